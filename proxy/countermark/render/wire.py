"""What the gateway, the fork server and the render children say to each other.

Every message is one msgpack packet on a SEQPACKET socket, descriptors beside it. Small pictures go in the message; any other
original comes as a sealed memory file, any other result goes back through the child's output file.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from countermark.imaging.operations import Recipe

PACKET = 96 * 1024
# A picture up to this size goes in the message. Measured, an original of 60 kB: 13 us for both sides, 52 by a memory file.
SMALL = 64 * 1024


class Upbringing(Struct, frozen=True, kw_only=True):
    """What every child of one pool has in common. `engine` and `prepare` are MODULE:NAME; `memory` in bytes."""

    engine: str
    prepare: str
    watermarks: dict[str, bytes]
    waived: tuple[str, ...]
    memory: int


class Fork(Struct, frozen=True, tag="fork"):
    """To the fork server, with the child's socket and output file beside it."""

    serial: int


class Listening(Struct, frozen=True, tag="listening"):
    """From the fork server: everything is imported."""


class Unable(Struct, frozen=True, tag="unable"):
    """From the fork server or a child, instead of Listening or Ready, before it ends."""

    message: str


class Forked(Struct, frozen=True, tag="forked"):
    """From the fork server, with the child's pidfd beside it."""

    serial: int
    pid: int


class Ended(Struct, frozen=True, tag="ended"):
    """From the fork server: a child is gone. `status` is its exit code, or the negative number of its signal."""

    pid: int
    status: int


class Ready(Struct, frozen=True, tag="ready"):
    """From a child: the sandbox is locked, jobs may come."""


class Job(Struct, frozen=True, tag="job"):
    """To a child. The original is `body`, or where that is empty, `size` bytes of the memory file beside it.

    `seconds` are of wall time.
    """

    recipe: Recipe
    body: bytes
    size: int
    seconds: float


class Done(Struct, frozen=True, kw_only=True, tag="done"):
    """From a child: the result is `body`, or where that is empty, `size` bytes of its output file.

    `resident` is its private memory after the job, in bytes.
    """

    format: str
    width: int
    height: int
    body: bytes
    size: int
    seconds: float
    resident: int


class Failed(Struct, frozen=True, kw_only=True, tag="failed"):
    """From a child: the picture was refused, or (reason "") the engine broke and the child ends."""

    reason: str
    detail: str
    private: str
    resident: int


Word = Listening | Unable | Forked | Ended
Answer = Ready | Unable | Done | Failed

_encoder = msgspec.msgpack.Encoder()
read_upbringing = msgspec.msgpack.Decoder(Upbringing).decode
read_order = msgspec.msgpack.Decoder(Fork).decode
read_word: msgspec.msgpack.Decoder[Word] = msgspec.msgpack.Decoder(Word)
read_job = msgspec.msgpack.Decoder(Job).decode
read_answer: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def write(message: Struct) -> bytes:
    """The packet of a message."""
    return _encoder.encode(message)


def send(sock: socket.socket, message: Struct, descriptors: Sequence[int] = ()) -> None:
    """Send one packet. Raises OSError; BlockingIOError when the socket does not wait and is full."""
    if descriptors:
        socket.send_fds(sock, [write(message)], list(descriptors))
        return
    sock.send(write(message))


def receive(sock: socket.socket, descriptors: int) -> tuple[bytes, list[int]]:
    """One packet and at most so many descriptors, closed on exec; b"" at the end of the socket. Raises OSError."""
    packet, received, _, _ = socket.recv_fds(sock, PACKET, descriptors, socket.MSG_CMSG_CLOEXEC)
    return packet, received


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a packet socket with room for the largest packet; the first does not wait."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PACKET)
    ours.setblocking(False)
    return ours, theirs
