"""Keys by the admin API of a real gateway: what was answered is what its workers do."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from countermark.core.target import parse_target
from countermark.keys.keyfile import load
from countermark.keys.keyring import Key
from countermark.signing.native import mint_native
from countermark.signing.table import KEY_USES
from countermark.web.admin_gate import hash_of
from tests.system.conftest import WAIT, Gateway, Launch, config, until
from tests.system.test_admin import KEYS, SETTINGS, TOKEN

pytestmark = pytest.mark.timeout(120)

FILES = {
    "keys.yaml": KEYS,
    "admin-tokens.yaml": f"- {{ name: timer, sha256: {hash_of(TOKEN)}, roles: [keys] }}\n",
    "pictures/none": "",
}
ROTATION = "rotation: { native: {} }\nkeys_history: ./history.jsonl\n"
K1 = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=bytes(32))


@pytest.fixture
def gateway(serve: Launch) -> Gateway:
    """With the real data plane; its origin is empty, so 404 is what a good signature gets."""
    rest = "render: { children: 1, unsafe_waive_sandbox: [landlock, seccomp, namespaces, rlimits] }\n"
    text = "".join(line for line in config(workers=1).splitlines(keepends=True) if not line.startswith("render:"))
    return serve(text + SETTINGS + ROTATION + rest, files=FILES, worker="countermark.cli.worker")


def ask(gateway: Gateway, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    host, port = gateway.admin.rsplit(":", 1)
    connection = HTTPConnection(host, int(port), timeout=2 * WAIT)  # one reload may wait for another
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, body=sent, headers={"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def listed(gateway: Gateway) -> dict[str, str]:
    """The states of the native keys, as the gateway has them in force."""
    keys = ask(gateway, "GET", "/v1/keys")[1]["keys"]
    return {key["id"]: key["state"] for key in keys if key["dialect"] == "native"}


def status(gateway: Gateway, key: Key) -> int:
    """What a new URL of this key gets."""
    expires = int(time.time()) + 300
    facts = {"jti": f"{time.time_ns():x}"}
    url = mint_native(parse_target("/shop/cat.gif"), audience="shop", key=key, expires=expires, facts=facts)
    return gateway.get(url)[0]


def in_file(gateway: Gateway) -> dict[str, Key]:
    text = (gateway.folder / "keys.yaml").read_text()
    return {key.id: key for key in load(text, file="", uses=KEY_USES).keys}


def history(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_a_key_is_published_follows_and_leaves(gateway: Gateway) -> None:
    """Two rotations at once publish one successor; when the leaked key is revoked, that one signs."""
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: ask(gateway, "POST", "/v1/keys/rotate", {}), range(2)))
    assert [answer[0] for answer in answers] == [200, 200]
    (published,) = (change["key"] for answer in answers for change in answer[1]["changes"])
    assert listed(gateway) == {"k1": "active", published: "pending"}
    assert status(gateway, K1) == 404

    assert ask(gateway, "POST", "/v1/keys/k1/revoke")[0] == 200
    assert listed(gateway)["k1"] == "revoked"
    # The old worker takes connections until it has been told to leave.
    until(lambda: status(gateway, K1) == 403, what="the end of the old worker")
    assert status(gateway, in_file(gateway)[published]) == 404

    assert ask(gateway, "POST", "/v1/keys/rotate", {"if_due": True})[0] == 200
    assert listed(gateway)[published] == "active"
    assert {record["by"] for record in history(gateway.folder)} == {"timer"}
    notices = [line for line in gateway.log("notice") if line["kind"].startswith("key.")]
    told = [(notice["kind"], notice["subject"]) for notice in notices]
    assert told[:2] == [("key.published", f"key:{published}"), ("key.revoked", "key:k1")]
    assert ("key.rotated", f"key:{published}") in told
    assert {notice["actor"] for notice in notices} == {"timer"}


def test_a_change_that_the_gateway_does_not_take_is_told(gateway: Gateway) -> None:
    """The settings are broken: what was in force stays, and a reload takes the change when they are mended."""
    good = (gateway.folder / "countermark.yaml").read_text()
    gateway.configure(good + "foo: 1\n")
    code, problem = ask(gateway, "POST", "/v1/keys/k1/revoke")
    assert code == 409
    assert "is changed, but the old configuration stays" in problem["detail"]
    assert "foo" in problem["detail"]
    assert (in_file(gateway)["k1"].state, listed(gateway)) == ("revoked", {"k1": "active"})
    gateway.configure(good)
    assert ask(gateway, "POST", "/v1/reload")[0] == 200
    assert listed(gateway) == {"k1": "revoked"}
