"""A gateway that may write nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from countermark.core.target import parse_target
from countermark.keys.keyring import Key
from countermark.signing.native import mint_native
from tests.system.conftest import Launch, config

# A file system that takes nothing, not even root's.
SEALED = Path("/sys/kernel")
FILES = {
    "keys.yaml": f"- {{ id: k1, secret: {'A' * 43} }}\n",
    "pictures/cat.gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;",
}
SETTINGS = f"""\
origins: {{ pictures: {{ url: "file:./pictures" }} }}
sites: [ {{ name: shop, match: {{ prefix: /shop/ }}, origin: pictures }} ]
store: "sqlite:{SEALED}/countermark/store.db"
render: {{ children: 1, unsafe_waive_sandbox: [landlock, seccomp, namespaces, rlimits] }}
"""

pytestmark = [pytest.mark.timeout(120), pytest.mark.skipif(not SEALED.is_dir(), reason="needs sysfs")]


def url(**facts: str) -> str:
    key = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=bytes(32))
    target = parse_target("/shop/cat.gif")
    return mint_native(target, audience="shop", key=key, expires=int(time.time()) + 300, facts=facts)


def test_what_needs_no_memory_is_served(serve: Launch) -> None:
    """It is ready and shows pictures; a single use, which it could not remember, is refused; the log says why."""
    text = "".join(line for line in config(workers=2).splitlines(keepends=True) if not line.startswith("render:"))
    gateway = serve(text + SETTINGS, files=FILES, worker="countermark.cli.worker")
    assert gateway.get("/readyz")[0] == 200
    assert gateway.get(url())[0] == 200
    assert gateway.get(url(once="once-000000000000"))[0] == 503
    gateway.wait_for("revocations are kept in memory alone", 2)
