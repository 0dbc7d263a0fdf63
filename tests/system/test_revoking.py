"""What operators take back is refused by the workers of a real gateway, while it serves."""

from __future__ import annotations

import time

import pytest

from countermark.core.encoding import read_base64url
from countermark.core.target import parse_target
from countermark.keys.keyring import Key
from countermark.signing.native import mint_native
from countermark.web.admin_gate import hash_of
from tests.system.conftest import Launch, config, until
from tests.system.test_admin import KEYS, SETTINGS, TOKEN, Operator

pytestmark = pytest.mark.timeout(120)

FILES = {
    "keys.yaml": KEYS,
    "admin-tokens.yaml": f"- {{ name: oncall, sha256: {hash_of(TOKEN)}, roles: [admin] }}\n",
    "pictures/cat.gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;",
}
K1 = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=bytes(32))


def url(key: Key) -> str:
    """A new URL of the picture every time, so that no answer was given before."""
    expires = int(time.time()) + 300
    return mint_native(
        parse_target("/shop/cat.gif"), audience="shop", key=key, expires=expires, facts={"jti": f"{time.time_ns():x}"}
    )


@pytest.fixture
def operator(serve: Launch) -> Operator:
    """A gateway with the real data plane, two workers and one picture."""
    rest = "render: { children: 1, unsafe_waive_sandbox: [landlock, seccomp, namespaces, rlimits] }\n"
    text = "".join(line for line in config(workers=2).splitlines(keepends=True) if not line.startswith("render:"))
    return Operator(serve(text + SETTINGS + rest, files=FILES, worker="countermark.cli.worker"))


def test_a_revoked_url_is_refused_by_every_worker(operator: Operator) -> None:
    """It opened before, also where it had been kept; a URL of the same picture opens on."""
    gateway, leaked = operator.gateway, url(K1)
    assert gateway.get(leaked)[0] == 200
    operator.does("revoke", "--url", leaked)
    until(lambda: all(gateway.get(leaked)[0] == 410 for _ in range(8)), what="the refusal by both workers")
    assert gateway.get(url(K1))[0] == 200


def test_a_session_opens_until_it_is_refreshed_and_logged_out(operator: Operator) -> None:
    """The client's own URLs, by the seed of the present generation alone."""
    gateway = operator.gateway
    words = dict(
        line.split(": ") for line in operator.does("sessions", "login", "--site", "shop", "--user", "a").splitlines()
    )
    first = _key(words)
    assert gateway.get(url(first))[0] == 200
    words = dict(line.split(": ") for line in operator.does("sessions", "refresh", first.id).splitlines())
    second = _key(words)
    assert gateway.get(url(second))[0] == 200
    until(lambda: all(gateway.get(url(first))[0] in (403, 410) for _ in range(8)), what="the end of the first seed")
    operator.does("sessions", "logout", words["id"])
    until(lambda: all(gateway.get(url(second))[0] in (403, 410) for _ in range(8)), what="the end of the session")


def _key(words: dict[str, str]) -> Key:
    seed = read_base64url(words["seed"])
    assert seed is not None
    return Key(id=words["key_id"], dialect="native", algorithm="hmac-sha256", material=seed)
