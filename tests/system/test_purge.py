"""What is revoked leaves a real Varnish, and people on call learn of it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession
from benchmarks.gateway import free_port

from benchmarks import processes
from countermark.core.encoding import base64url
from countermark.core.target import parse_target
from countermark.keys.keyring import Key
from countermark.signing.native import mint_native
from tests.pictures import photo
from tests.sinks import mail_server, web_sink

ROOT = Path(__file__).parents[2]
WAIT = 30.0
TOKEN = "cmadm_" + "t" * 43
SECRET = bytes(range(32))
KEY = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=SECRET)
WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
VARNISH = shutil.which("varnishd") or shutil.which("varnishd", path="/usr/sbin")
XKEY = any(Path("/usr/lib").glob("*/varnish/vmods/libvmod_xkey.so"))

pytestmark = [
    pytest.mark.skipif(VARNISH is None, reason="varnish is not installed"),
    pytest.mark.timeout(120),
]


class Edge:
    """A gateway with Varnish before it."""

    def __init__(self, folder: Path, session: ClientSession, cache: str, admin: str) -> None:
        self.log = folder / "log"
        self._session = session
        self._cache = cache
        self._admin = admin

    async def get(self, target: str) -> tuple[int, int, dict[str, str]]:
        """Status, age in hits of Varnish, and fields of an answer through the cache."""
        async with self._session.get(f"{self._cache}{target}", headers={"Host": "img.example"}) as response:
            await response.read()
            numbers = response.headers.get("X-Varnish", "").split()
            return response.status, len(numbers) - 1, {name.lower(): text for name, text in response.headers.items()}

    async def revoke(self, order: dict[str, Any]) -> dict[str, Any]:
        """What the admin API answers."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self._session.post(f"{self._admin}/v1/revocations", json=order, headers=headers) as response:
            answer: dict[str, Any] = await response.json()
            assert response.status in (200, 201), answer
            return answer

    async def metrics(self) -> str:
        async with self._session.get(f"{self._admin}/metrics") as response:
            return await response.text()

    def notices(self, kind: str) -> list[dict[str, Any]]:
        """Notices of a kind in the log so far."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("}\n")]
        return [line for line in lines if line.get("kind") == kind]

    async def heard(self, kind: str) -> dict[str, Any]:
        """The first notice of a kind, once it is in the log."""
        async with asyncio.timeout(WAIT):
            while not (found := self.notices(kind)):
                await asyncio.sleep(0.02)
        return found[0]


@asynccontextmanager
async def edge(folder: Path, vcl: str, **settings: object) -> AsyncIterator[Edge]:
    """Both, started and ended."""
    gateway, admin, cache = free_port(), free_port(), free_port()
    (folder / "pictures").mkdir()
    (folder / "pictures" / "cat.jpg").write_bytes(photo("chelsea"))
    key = {"id": "k1", "dialect": "native", "algorithm": "hmac-sha256", "secret": base64url(SECRET)}
    (folder / "keys.yaml").write_text(json.dumps([key]))
    token = {"name": "oncall", "sha256": sha256(TOKEN.encode()).hexdigest(), "roles": ["operator"]}
    (folder / "tokens.yaml").write_text(json.dumps([token]))
    site = {
        "name": "shop",
        "origin": "photos",
        "shared_caches": True,
        "cdns": ["front"],
        "base_url": "http://img.example",
    }
    whole = {
        "server": {"listen": f"127.0.0.1:{gateway}", "admin": f"127.0.0.1:{admin}", "workers": 1},
        "admin": {"tokens": str(folder / "tokens.yaml")},
        "origins": {"photos": {"url": f"file:{folder}/pictures"}},
        "sites": [site],
        "cdns": {"front": {"kind": "varnish", "addresses": [f"http://127.0.0.1:{cache}"]}},
        "render": {"children": 1},
        "log": {"format": "json"},
        **settings,
    }
    (folder / "settings.yaml").write_text(json.dumps(whole))
    code = (ROOT / "deploy" / "purge" / vcl).read_text().replace('.port = "8080"', f'.port = "{gateway}"')
    (folder / "cache.vcl").write_text(code)
    serve = [sys.executable, "-m", "countermark.cli.main", "serve", "--config", str(folder / "settings.yaml")]
    listen = ["-a", f"127.0.0.1:{cache}", "-f", str(folder / "cache.vcl"), "-n", str(folder / "varnish")]
    varnish = [str(VARNISH), "-F", "-j", "none", "-s", "malloc,64m", *listen]
    async with AsyncExitStack() as stack:
        stack.callback(processes.end, begun(serve, folder / "log"))
        stack.callback(processes.end, begun(varnish, folder / "varnish.log"))
        session = await stack.enter_async_context(ClientSession())
        ready = Edge(folder, session, f"http://127.0.0.1:{cache}", f"http://127.0.0.1:{admin}")
        async with asyncio.timeout(WAIT):
            while not await _up(ready):
                await asyncio.sleep(0.05)
        yield ready


def begun(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "proxy")}
    with log.open("wb") as output:
        return subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


async def _up(ready: Edge) -> bool:
    try:
        return (await ready.get("/unsigned.jpg"))[0] == 401
    except (ClientError, OSError):
        return False


def signed(target: str) -> str:
    return mint_native(parse_target(target), audience="shop", key=KEY, expires=int(time.time()) + 3600)


@pytest.mark.parametrize(
    "vcl",
    [
        pytest.param(
            "varnish-xkey.vcl", marks=pytest.mark.skipif(not XKEY, reason="varnish-modules are not installed")
        ),
        "varnish-ban.vcl",
    ],
)
async def test_a_revoked_picture_leaves_varnish(tmp_path: Path, vcl: str) -> None:
    """It was a hit; after the revocation the gateway is asked, and refuses. Tags never reach viewers."""
    async with edge(tmp_path, vcl) as front:
        shown, other = signed("/cat.jpg?w=100"), signed("/cat.jpg?w=120")
        assert (await front.get(shown))[:2] == (200, 0)
        status, hits, fields = await front.get(shown)
        assert (status, hits) == (200, 1)
        assert "xkey" not in fields
        url = f"http://img.example{shown}"
        assert (await front.revoke({"url": url, "reason": "leaked"}))["purging"] == ["front"]
        told = await front.heard("purge.done")
        assert told["facts"]["cdn"] == "front"
        assert (await front.get(shown))[0] == 410
        assert (await front.get(other))[0] == 200
        metrics = await front.metrics()
    assert 'countermark_purges_total{cdn="front",outcome="done"} 1.0' in metrics
    assert 'countermark_purge_seconds_count{cdn="front"} 1.0' in metrics


async def test_what_a_key_signed_leaves_varnish(tmp_path: Path) -> None:
    """A revoked key has a tag of its own; nobody knows all the URLs that it signed."""
    async with edge(tmp_path, "varnish-ban.vcl") as front:
        targets = [signed(f"/cat.jpg?w={width}") for width in (50, 60, 70)]
        for target in targets * 2:
            assert (await front.get(target))[0] == 200
        assert [(await front.get(target))[1] for target in targets] == [1, 1, 1]
        await front.revoke({"kind": "key", "value": "k1"})
        await front.heard("purge.done")
        assert [(await front.get(target))[0] for target in targets] == [410, 410, 410]


async def test_on_call_learns_of_a_critical_revocation(tmp_path: Path) -> None:
    """By mail and webhook; the SIEM's webhook hears the rest, too."""
    async with mail_server() as inbox, web_sink() as pager, web_sink() as siem:
        mail = {
            "server": inbox.server,
            "security": "none",
            "sender": "gate@example.com",
            "recipients": ["a@example.com"],
        }
        webhooks = [{"url": pager.url, "secret": WHSEC}, {"url": siem.url, "secret": WHSEC, "severity": "info"}]
        notify = {"webhooks": webhooks, "mail": mail, "runbook": "https://wiki.example.com/countermark"}
        async with edge(tmp_path, "varnish-ban.vcl", notify=notify) as front:
            shown = signed("/cat.jpg?w=100")
            assert (await front.get(shown))[0] == 200
            order = {"url": f"http://img.example{shown}", "reason": "on a forum", "severity": "critical"}
            await front.revoke(order)
            async with asyncio.timeout(WAIT):
                letter = await inbox.mails.get()
                paged = await pager.asked.get()
                heard = {json.loads((await siem.asked.get()).body)["type"] for _ in range(2)}
    assert letter["Subject"].startswith("[countermark critical] revocation.added grant:")
    assert "on a forum" in letter.get_content()
    assert "https://wiki.example.com/countermark#revocation.added" in letter.get_content()
    assert json.loads(paged.body)["data"]["actor"] == "oncall"
    assert heard == {"revocation.added", "purge.done"}
    assert pager.asked.empty()
