"""How a Redis lets somebody in: TLS with authorities and certificates of one's own, and Sentinels with passwords."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

import pytest

from countermark.backends.stores.redis import client, link
from countermark.backends.stores.redis.store import RedisStore
from countermark.backends.stores.redis.tls import tls_context
from countermark.backends.stores.table import open_store
from countermark.core.errors import ConfigurationInvalid
from countermark.identity.revocation import Revocation
from countermark.settings.store_url import read_redis_url
from tests.backends import redis_servers
from tests.backends.papers import Authority
from tests.backends.redis_servers import GROUP, Server
from tests.backends.waiting import eventually

Open = Callable[[str], Awaitable[RedisStore]]


@pytest.fixture(autouse=True)
def program() -> None:
    redis_servers.needs_redis()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about who is let in, not about how soon."""
    monkeypatch.setattr(link, "_FLIGHT_SECONDS", 5.0)
    monkeypatch.setattr(client, "ANSWER_SECONDS", 5.0)
    monkeypatch.setattr(client, "CONNECT_SECONDS", 5.0)


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    async with AsyncExitStack() as closing:

        async def open_one(url: str) -> RedisStore:
            store = await open_store(url)
            assert isinstance(store, RedisStore)
            closing.callback(store.cells.file.unlink, missing_ok=True)
            closing.push_async_callback(store.close)
            return store

        yield open_one


async def works(store: RedisStore) -> bool:
    """Whether it takes a revocation, and tells it to somebody who follows."""
    await eventually(lambda: store.trouble == "")
    value = token_hex(8)
    await store.revocations.append([Revocation(kind="jti", value=value, created=time.time())])
    page = await anext(aiter(store.revocations.follow("")))
    return value in [revocation.value for revocation in page.revocations]


def secured(server: Server, **files: Path) -> str:
    """The URL of a server that speaks TLS."""
    return f"rediss://127.0.0.1:{server.port}?{'&'.join(f'{name}={quote(str(file))}' for name, file in files.items())}"


async def test_a_server_whose_authority_is_named_is_spoken_to(tmp_path: Path, ours: Authority, opened: Open) -> None:
    """All connections, those that follow the list too."""
    with redis_servers.single(tmp_path / "redis", tls=ours) as server:
        assert await works(await opened(secured(server, cacert=ours.cacert)))


async def test_a_server_of_an_unknown_authority_is_refused(tmp_path: Path, ours: Authority, opened: Open) -> None:
    """Where another is named, and where none is: the reason says that it is the certificate."""
    other = Authority(tmp_path, "other")
    with redis_servers.single(tmp_path / "redis", tls=ours) as server:
        for url in (secured(server, cacert=other.cacert), f"rediss://127.0.0.1:{server.port}"):
            assert "CERTIFICATE_VERIFY_FAILED" in (await opened(url)).trouble


def test_the_authorities_of_the_system_do_not_count_beside_ones_own(ours: Authority) -> None:
    """Else whoever got a certificate from any public one would be the store."""
    own = tls_context(read_redis_url(f"rediss://h?cacert={ours.cacert}"))
    assert [authority["subject"] for authority in own.get_ca_certs()] == [((("commonName", "authority ours"),),)]


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path, ours: Authority, opened: Open) -> None:
    """Of the right authority, but for another machine."""
    with redis_servers.single(tmp_path / "redis", tls=ours) as server:
        store = await opened(secured(server, cacert=ours.cacert).replace("127.0.0.1", "localhost"))
        assert "CERTIFICATE_VERIFY_FAILED" in store.trouble
        assert "localhost" in store.trouble


async def test_tls_is_never_given_up(tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that speaks none is no store: it is asked nothing, and gets no password."""
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.05)
    with redis_servers.single(tmp_path / "redis") as server:
        commands = server.client.info("stats")["total_commands_processed"]
        store = await opened(f"rediss://:hunter2@127.0.0.1:{server.port}")
        assert store.trouble
        assert server.client.info("stats")["total_commands_processed"] == commands + 1
        server.client.config_set("requirepass", "hunter2")
        assert await works(await opened(f"redis://:hunter2@127.0.0.1:{server.port}"))


async def test_a_server_that_asks_for_a_certificate_gets_it(tmp_path: Path, ours: Authority, opened: Open) -> None:
    """And refuses whoever has none."""
    cert, key = ours.issue("gateway")
    both = tmp_path / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    with redis_servers.single(tmp_path / "redis", "--tls-auth-clients", "yes", tls=ours) as server:
        assert (await opened(secured(server, cacert=ours.cacert))).trouble
        assert await works(await opened(secured(server, cacert=ours.cacert, cert=cert, key=key)))
        assert await works(await opened(secured(server, cacert=ours.cacert, cert=both)))


@pytest.mark.parametrize("option", ["cacert", "cert"])
@pytest.mark.parametrize("content", [None, b"no certificate"])
async def test_a_file_that_cannot_be_used_is_told_at_once(tmp_path: Path, option: str, content: bytes | None) -> None:
    """By the option's name, before anybody is asked."""
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationInvalid) as caught:
        await open_store(f"rediss://:hunter2@127.0.0.1:1?{option}={file}")
    assert option in caught.value.faults[0].message
    assert "hunter2" not in str(caught.value)


PASSWORD = "p+s/:&s#"
PROTECTED = {
    "password": f"sentinel_password={quote(PASSWORD, safe='+')}",
    "user": f"sentinel_user=gateway&sentinel_password={quote(PASSWORD, safe='')}",
}


def watched(folder: Path, master: Server, protection: str, tls: Authority | None) -> Server:
    """A Sentinel that knows nobody without a password."""
    folder.mkdir()
    lines = [f"sentinel monitor {GROUP} 127.0.0.1 {master.port} 1", f'requirepass "{PASSWORD}"']
    if protection == "user":
        lines.append(f'user gateway on ">{PASSWORD}" ~* &* -@all +sentinel|get-master-addr-by-name')
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    config = str(folder / "sentinel.conf")
    return Server(folder, config, "--sentinel", program="redis-sentinel", tls=tls, client={"password": PASSWORD})


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("protection", ["password", "user"])
async def test_sentinels_with_passwords_are_asked(
    tmp_path: Path, ours: Authority, opened: Open, protection: str, secure: bool
) -> None:
    """With their own, over TLS too; with the servers' or a wrong one they name no master, and the reason says why."""
    tls = ours if secure else None
    with ExitStack() as stack:
        master = stack.enter_context(redis_servers.single(tmp_path / "master", tls=tls))
        sentinel = watched(tmp_path / "sentinel", master, protection, tls)
        stack.callback(sentinel.kill)
        await asyncio.to_thread(sentinel.start)
        scheme, cacert = ("rediss", f"&cacert={ours.cacert}") if secure else ("redis", "")
        place = f"{scheme}+sentinel://127.0.0.1:{sentinel.port}/{GROUP}"
        assert await works(await opened(f"{place}?{PROTECTED[protection]}{cacert}"))
        assert "uthentication required" in (await opened(f"{place}?wait=1{cacert}")).trouble
        wrong = await opened(f"{place}?sentinel_password=wrong{cacert}")
        assert "invalid username-password" in wrong.trouble
        assert PASSWORD not in wrong.trouble
