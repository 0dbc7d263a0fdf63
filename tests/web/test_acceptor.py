"""Accepting connections when there is no room for them."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest
import uvloop

from countermark.web.acceptor import Acceptor
from countermark.web.connection import Connection, Incoming
from countermark.web.guard import Guard, Limits
from countermark.web.roster import Berth, Roster

WAIT = 5.0


class Echo:
    """Answers everything at once."""

    def serve_at_once(self, connection: Connection, incoming: Incoming) -> bool:
        connection.write((b"HTTP/1.1 204 No Content\r\n\r\n",))
        return True

    async def serve(self, connection: Connection, incoming: Incoming) -> None:
        raise AssertionError(incoming)


class Exhausted(socket.socket):
    """A listening socket that finds no descriptor so many times."""

    failures = 0

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def limits(connections: int) -> Limits:
    return Limits(
        header_timeout=60, keepalive_timeout=60, write_timeout=60, connections=connections, connections_per_peer=1000
    )


async def ask(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return reader, writer


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_used_up_descriptors_do_not_end_accepting(run: object) -> None:
    """After a moment it goes on, on either loop."""

    async def main() -> None:
        listener = Exhausted()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.failures = 3
        guard = Guard(limits(10), asyncio.get_running_loop().time)
        acceptor = Acceptor(listener, guard, Echo())
        acceptor.start()
        reader, writer = await ask(listener.getsockname()[1])
        assert await asyncio.wait_for(reader.readline(), WAIT) == b"HTTP/1.1 204 No Content\r\n"
        assert listener.failures == 0
        writer.close()
        await acceptor.stop()
        guard.cut_all()
        await asyncio.sleep(0)

    run(main())  # type: ignore[operator]


async def test_a_newcomer_without_room_waits_and_is_served() -> None:
    """It is not reset: when a place is free, its turn comes."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    guard = Guard(limits(1), asyncio.get_running_loop().time)
    acceptor = Acceptor(listener, guard, Echo())
    acceptor.start()
    reader, writer = await ask(port)
    await asyncio.wait_for(reader.readline(), WAIT)
    (held,) = guard._open
    guard.busy(held)
    late_reader, late_writer = await ask(port)
    writer.close()
    assert await asyncio.wait_for(late_reader.readline(), WAIT) == b"HTTP/1.1 204 No Content\r\n"
    late_writer.close()
    await acceptor.stop()
    guard.cut_all()
    await asyncio.sleep(0)


async def test_an_answer_at_once_ends_the_connection_of_a_draining_worker() -> None:
    """Else the client would believe in a connection that is about to be closed, and lose its next request."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    guard = Guard(limits(10), asyncio.get_running_loop().time)
    kept: list[bool] = []

    class Watching(Echo):
        def serve_at_once(self, connection: Connection, incoming: Incoming) -> bool:
            kept.append(connection.keeps)
            return super().serve_at_once(connection, incoming)

    acceptor = Acceptor(listener, guard, Watching())
    acceptor.start()
    reader, writer = await ask(port)
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT)
    guard.draining = True
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT)
    assert kept == [True, False]
    writer.close()
    await acceptor.stop()
    guard.cut_all()
    await asyncio.sleep(0)


class Sibling:
    """An acceptor of one worker, on a listening socket that others have too."""

    def __init__(self, listener: socket.socket, berth: Berth) -> None:
        self.guard = Guard(limits(100), asyncio.get_running_loop().time, berth.tell)
        self.acceptor = Acceptor(listener.dup(), self.guard, Echo(), berth=berth)
        berth.tell(0)
        self.acceptor.start()

    async def end(self) -> None:
        await self.acceptor.stop()
        self.guard.cut_all()


async def test_a_few_connections_are_shared_evenly() -> None:
    """Else the worker that the kernel wakes first has them all, and with them all the load."""
    listener, roster = socket.create_server(("127.0.0.1", 0)), Roster.create(2)
    siblings = [Sibling(listener, Berth(roster, place)) for place in range(2)]
    connections = [await ask(listener.getsockname()[1]) for _ in range(10)]
    for reader, _ in connections:
        assert await asyncio.wait_for(reader.readline(), WAIT) == b"HTTP/1.1 204 No Content\r\n"
    assert [len(sibling.guard) for sibling in siblings] == [5, 5]
    for _, writer in connections:
        writer.close()
    for sibling in siblings:
        await sibling.end()
    listener.close()
    await asyncio.sleep(0)


async def test_what_a_sibling_does_not_take_is_taken_nevertheless() -> None:
    """It may hang, or be at a long piece of work."""
    listener, roster = socket.create_server(("127.0.0.1", 0)), Roster.create(2)
    Berth(roster, 1).tell(0)
    only = Sibling(listener, Berth(roster, 0))
    connections = [await ask(listener.getsockname()[1]) for _ in range(10)]
    for reader, _ in connections:
        assert await asyncio.wait_for(reader.readline(), WAIT) == b"HTTP/1.1 204 No Content\r\n"
    assert len(only.guard) == 10
    for _, writer in connections:
        writer.close()
    await only.end()
    listener.close()
    await asyncio.sleep(0)
