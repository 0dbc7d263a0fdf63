"""Data keys wrapped in a token: what its module, its PIN and its keys may do wrong, on a real SoftHSM2."""

from __future__ import annotations

import sys
from collections.abc import Callable, ItemsView
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import MechanismFlag

from countermark.backends.kms.table import open_kms
from countermark.core.errors import ConfigurationInvalid, KmsUnavailable
from countermark.keys.envelope import seal, unseal
from countermark.keys.sealed import context_bytes
from tests.backends.softhsm import MODULE, PIN, Token

DATA_KEY = bytes(range(32))
CONTEXT = {"key": "k1", "dialect": "native", "not_after": "1900000000"}


def test_the_token_does_what_another_maker_of_gcm_does(token: Token) -> None:
    """Nonce, ciphertext and tag of AES-256-GCM with the context as additional data, both ways."""
    key = bytes(range(100, 132))
    token.put("urls", key)
    kms = open_kms(token.setting())
    assert unseal(key, kms.wrap(DATA_KEY, CONTEXT), context=context_bytes(CONTEXT)) == DATA_KEY
    assert kms.unwrap(seal(key, DATA_KEY, context=context_bytes(CONTEXT), nonce=bytes(12)), CONTEXT) == DATA_KEY


def test_no_nonce_comes_twice(token: Token) -> None:
    """Each wrapping of the same is another text."""
    token.generate("urls")
    kms = open_kms(token.setting())
    assert len({kms.wrap(DATA_KEY, CONTEXT)[:12] for _ in range(20)}) == 20


def test_another_key_of_the_token_opens_nothing(token: Token) -> None:
    """The label chooses, and the text does not."""
    token.generate("urls")
    token.generate("others")
    wrapped = open_kms(token.setting()).wrap(DATA_KEY, CONTEXT)
    with pytest.raises(ValueError, match="not wrapped with this key"):
        open_kms(token.setting(key="others")).unwrap(wrapped, CONTEXT)


@pytest.mark.parametrize("length", [0, 12, 28, 59, 61])
def test_a_text_of_another_length_never_reaches_the_token(length: int) -> None:
    """It is refused where there is no token at all."""
    kms = open_kms("pkcs11:/none.so?token=t&key=k&pin_file=/none")
    with pytest.raises(ValueError, match="no key was wrapped"):
        kms.unwrap(bytes(length), CONTEXT)


def test_a_wrong_pin_is_told_and_not_shown(token: Token) -> None:
    """With the hint that tokens count: and the right one works afterwards."""
    token.generate("urls")
    kms = open_kms(token.setting())
    token.pin_file.write_text("4711-wrong")
    with pytest.raises(KmsUnavailable, match="refused the PIN") as told:
        kms.wrap(DATA_KEY, CONTEXT)
    assert "4711" not in str(told.value)
    token.pin_file.write_text(PIN)
    assert kms.wrap(DATA_KEY, CONTEXT)


def test_a_pin_file_must_be_its_owners_and_hold_something(token: Token, tmp_path: Path) -> None:
    """Nothing is tried at the token with a PIN that others know, or with none."""
    with pytest.raises(KmsUnavailable, match="cannot be read: No such file"):
        open_kms(token.setting(pin_file=tmp_path / "none")).wrap(DATA_KEY, CONTEXT)
    token.pin_file.chmod(0o640)
    with pytest.raises(KmsUnavailable, match="mode 0640"):
        open_kms(token.setting()).wrap(DATA_KEY, CONTEXT)
    token.pin_file.chmod(0o600)
    token.pin_file.write_text("\n")
    with pytest.raises(KmsUnavailable, match="is empty"):
        open_kms(token.setting()).wrap(DATA_KEY, CONTEXT)


def test_only_the_one_key_of_256_bits_will_do(token: Token) -> None:
    """Not none, a shorter one, one that may not decrypt, or one of two."""
    kms = open_kms(token.setting())
    with pytest.raises(KmsUnavailable, match="has no AES-256 key of the label 'urls'"):
        kms.wrap(DATA_KEY, CONTEXT)
    token.generate("urls", 128)
    token.generate("urls", capabilities=MechanismFlag.ENCRYPT)
    with pytest.raises(KmsUnavailable, match="has no AES-256 key"):
        kms.wrap(DATA_KEY, CONTEXT)
    token.generate("urls")
    assert kms.wrap(DATA_KEY, CONTEXT)
    token.generate("urls")
    with pytest.raises(KmsUnavailable, match="has several AES-256 keys"):
        kms.wrap(DATA_KEY, CONTEXT)


def test_a_module_that_is_none_is_told(token: Token, tmp_path: Path) -> None:
    """One that is not there, and a file that is no library."""
    text = tmp_path / "text.so"
    text.write_text("not a library")
    for module in (tmp_path / "none.so", text):
        with pytest.raises(KmsUnavailable, match=f"cannot be asked: .*{module.name}"):
            open_kms(token.setting(module=module)).wrap(DATA_KEY, CONTEXT)


def test_a_token_that_comes_back_is_found(token: Token) -> None:
    """By the process that missed it: a module shows what was there when it was initialised."""
    token.generate("urls")
    kms = open_kms(token.setting())
    wrapped = kms.wrap(DATA_KEY, CONTEXT)
    away = token.folder.rename(token.folder.with_name("away"))
    token.folder.mkdir()
    with pytest.raises(KmsUnavailable, match="no token of this label"):
        kms.unwrap(wrapped, CONTEXT)
    token.folder.rmdir()
    away.rename(token.folder)
    assert kms.unwrap(wrapped, CONTEXT) == DATA_KEY


class _Meanwhile(dict[str, str]):
    """The context, at whose reading in the middle of a call something happens to the token."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__(CONTEXT)
        self._happens = happens

    def items(self) -> ItemsView[str, str]:
        self._happens()
        return super().items()


def _forget_sessions() -> None:
    pkcs11.lib(str(MODULE)).finalize()


def _destroy_keys() -> None:
    with next(iter(pkcs11.lib(str(MODULE)).get_tokens())).open(rw=True) as session:
        for key in session.get_objects():
            key.destroy()


@pytest.mark.parametrize("happens", [_forget_sessions, _destroy_keys])
def test_what_fails_in_the_middle_is_trouble_and_no_wrong_text(token: Token, happens: Callable[[], None]) -> None:
    """Though the token may have one code for both."""
    token.generate("urls")
    kms = open_kms(token.setting())
    wrapped = kms.wrap(DATA_KEY, CONTEXT)
    with pytest.raises(KmsUnavailable, match="cannot be asked"):
        kms.unwrap(wrapped, _Meanwhile(happens))


def test_calls_of_several_threads_take_turns(token: Token) -> None:
    """None logs another one out, and the module sees one at a time."""
    token.generate("urls")
    token.generate("others")
    services = [open_kms(token.setting(key=key)) for key in ("urls", "others")] * 10
    with ThreadPoolExecutor(4) as threads:
        wrapped = list(threads.map(lambda kms: kms.wrap(DATA_KEY, CONTEXT), services))
        opened = list(threads.map(lambda kms, text: kms.unwrap(text, CONTEXT), services, wrapped))
    assert opened == [DATA_KEY] * len(services)


def test_the_package_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has no token needs none of it, and who has one is told what to install."""
    monkeypatch.delitem(sys.modules, "countermark.backends.kms.pkcs11", raising=False)
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(ConfigurationInvalid, match=r"countermark\[pkcs11\]"):
        open_kms("pkcs11:/hsm.so?token=t&key=k&pin_file=/pin")
    assert open_kms("local:/master.key").scheme == "local"
