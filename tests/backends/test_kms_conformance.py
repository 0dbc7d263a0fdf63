"""One suite over all key management services: AWS by moto, Vault and Google by servers of their documented calls, SoftHSM."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from countermark.backends.kms.local import new_master
from countermark.backends.kms.table import open_kms
from countermark.core.errors import ConfigurationInvalid, KmsUnavailable
from countermark.keys.sealed import KeyWrapper
from tests.backends.kms_servers import TOKEN, Amazon, Google, Service, Vault, serving
from tests.backends.softhsm import Token

DATA_KEY = bytes(range(32))
CONTEXT = {"key": "k1", "dialect": "native", "not_after": "1900000000"}


@dataclass
class Case:
    """A service; the same with its key taken away by an administrator, and one that is not there."""

    kms: KeyWrapper
    disable: Callable[[], KeyWrapper]
    vanished: KeyWrapper


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["local", "aws", "vault", "gcp", "pkcs11"])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """Each service in turn."""
    match request.param:
        case "local":
            file = tmp_path / "master.key"
            file.write_text(new_master())
            file.chmod(0o600)
            kms = open_kms(f"local:{file}")
            yield Case(kms, lambda: (file.unlink(), kms)[1], open_kms(f"local:{tmp_path}/none.key"))
        case "aws":
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                monkeypatch.setenv(name, "testing")
            endpoint = request.getfixturevalue("aws")
            client: Any = boto3.client("kms", region_name="eu-west-1", endpoint_url=endpoint)
            made = client.create_key()["KeyMetadata"]
            monkeypatch.setattr("countermark.backends.kms.aws.ATTEMPTS", 1)
            refusing = Amazon()
            with serving(refusing):
                kms, disabled, vanished = (
                    open_kms(f"aws:{made['Arn']}?endpoint={place}")
                    for place in (endpoint, f"http://{refusing.address}", "http://127.0.0.1:1")
                )
                yield Case(kms, lambda: disabled, vanished)
        case "vault":
            monkeypatch.setenv("VAULT_TOKEN", TOKEN)
            vault = Vault()
            with serving(vault):
                kms = open_kms(f"vault:http://{vault.address}/transit/urls")
                yield Case(kms, lambda: _disabled(kms, vault), open_kms("vault:http://127.0.0.1:1/transit/urls"))
        case "gcp":
            google = Google()
            with serving(google):
                monkeypatch.setenv("GCE_METADATA_HOST", google.address)
                kms = open_kms(f"gcp:{google.NAME}?endpoint=http://{google.address}")
                vanished = open_kms(f"gcp:{google.NAME}?endpoint=http://127.0.0.1:1")
                yield Case(kms, lambda: _disabled(kms, google), vanished)
        case "pkcs11":
            yield _token(request.getfixturevalue("token"), tmp_path / "none.so")


def _token(token: Token, nothing: Path) -> Case:
    token.generate("urls")
    kms = open_kms(token.setting())
    return Case(kms, lambda: (token.destroy("urls"), kms)[1], open_kms(token.setting(module=nothing)))


def _disabled(kms: KeyWrapper, service: Service) -> KeyWrapper:
    service.enabled = False
    return kms


def test_what_is_wrapped_opens_with_its_context(case: Case) -> None:
    """And is not the data key itself."""
    wrapped = case.kms.wrap(DATA_KEY, CONTEXT)
    assert DATA_KEY not in wrapped
    assert case.kms.unwrap(wrapped, CONTEXT) == DATA_KEY


@pytest.mark.parametrize(
    "context", [{}, {**CONTEXT, "key": "k2"}, {**CONTEXT, "not_after": "2900000000"}, {**CONTEXT, "more": "x"}]
)
def test_another_context_opens_nothing(case: Case, context: dict[str, str]) -> None:
    """A swapped id or a stretched date is refused by the service itself."""
    wrapped = case.kms.wrap(DATA_KEY, CONTEXT)
    with pytest.raises(ValueError):
        case.kms.unwrap(wrapped, context)


def test_a_changed_text_opens_nothing(case: Case) -> None:
    """Not one bit of it may differ, and nothing else is taken for one."""
    wrapped = bytearray(case.kms.wrap(DATA_KEY, CONTEXT))
    wrapped[-5] ^= 1
    for text in (bytes(wrapped), b"x" * 60):
        with pytest.raises((ValueError, KmsUnavailable)):
            case.kms.unwrap(text, CONTEXT)


def test_a_key_that_was_taken_away_is_told_as_trouble(case: Case) -> None:
    """Not as a wrong text: the operator must look at the service, not at the file."""
    wrapped = case.kms.wrap(DATA_KEY, CONTEXT)
    disabled = case.disable()
    with pytest.raises(KmsUnavailable):
        disabled.unwrap(wrapped, CONTEXT)


def test_a_service_that_is_not_there_is_told_as_trouble(case: Case) -> None:
    """With a sentence that says so."""
    with pytest.raises(KmsUnavailable, match=r"cannot be (asked|read)"):
        case.vanished.unwrap(b"x" * 60, CONTEXT)


def test_a_token_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wrong one is the service's refusal; a file that cannot be read is told."""
    vault = Vault()
    with serving(vault):
        monkeypatch.setenv("VAULT_TOKEN", "wrong")
        with pytest.raises(KmsUnavailable, match="403: permission denied"):
            open_kms(f"vault:http://{vault.address}/transit/urls").wrap(DATA_KEY, CONTEXT)
        file = tmp_path / "token"
        file.write_text(f"{TOKEN}\n")
        assert open_kms(f"vault:http://{vault.address}/transit/urls?token_file={file}").wrap(DATA_KEY, CONTEXT)
        with pytest.raises(KmsUnavailable, match="token file"):
            open_kms(f"vault:http://{vault.address}/transit/urls?token_file={file}x").wrap(DATA_KEY, CONTEXT)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("hsm:x", "should start with one of"),
        ("local:", "should start with one of"),
        ("vault:http://vault.example.com/transit/urls", "https"),
        ("gcp:projects/p?endpoint=http://kms.example.com", "https"),
        ("vault:https://vault.example.com/transit/urls?tokenfile=x", "no option 'tokenfile'"),
        ("aws:alias/urls", "region"),
        ("pkcs11:/hsm.so?token=t&key=k&pin_file=/pin&pin=1234", "no option 'pin'"),
        ("pkcs11:/hsm.so?token=t&key=k", "needs the option pin_file"),
        ("pkcs11:hsm.so?token=t&key=k&pin_file=/pin", "absolute path"),
        ("pkcs11:/hsm.so?token=t&key=k&pin_file=pin", "absolute path"),
    ],
)
def test_a_setting_that_makes_no_sense_is_told(setting: str, sentence: str) -> None:
    """Above all one that would send a token in the clear."""
    with pytest.raises(ConfigurationInvalid, match=sentence):
        open_kms(setting)
