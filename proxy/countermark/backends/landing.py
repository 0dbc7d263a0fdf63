"""How the end of a flight travels from its leader to the sibling processes.

One packet: a kind, then MessagePack. A rendition's body goes beside it as the descriptor of a memory file, so that the
packet stays small and the leader's send never waits. An error travels as its class in `core/errors.py` and its fields.
"""

from __future__ import annotations

import os
import socket
from typing import Any

import msgspec
from msgspec.structs import replace

from countermark.core import errors
from countermark.core.picture import Rendition

PACKET = 65536

Outcome = Rendition | BaseException | None

_RENDITION = b"R"
_ERROR = b"E"
_LONGEST_TEXT = 4096

_encode = msgspec.msgpack.Encoder().encode
_decode_rendition = msgspec.msgpack.Decoder(Rendition).decode
_decode_error = msgspec.msgpack.Decoder(tuple[str, dict[str, Any]]).decode


class LeaderFailed(RuntimeError):
    """The leader met a fault of this program. Followers are told its kind; the fault itself is the leader's to raise."""


class Landing:
    """An outcome for any number of followers; packed when the first one comes, since mostly none does."""

    def __init__(self, outcome: Rendition | BaseException) -> None:
        self._outcome = outcome
        self._packet = b""
        self._body: list[int] = []

    def send(self, peer: socket.socket) -> None:
        """Raises OSError where the peer has gone or no descriptor is left."""
        if not self._packet:
            self._pack()
        socket.send_fds(peer, [self._packet], self._body)

    def close(self) -> None:
        while self._body:
            os.close(self._body.pop())

    def _pack(self) -> None:
        if isinstance(self._outcome, Rendition):
            self._body.append(_memory_file(self._outcome.body))
            self._packet = _RENDITION + _encode(replace(self._outcome, body=b""))
        else:
            self._packet = _ERROR + _encode(_described(self._outcome))


def receive(peer: socket.socket) -> Outcome:
    """What the leader sent; None where it ended without a word. Raises BlockingIOError while nothing is there."""
    packet, descriptors, _, _ = socket.recv_fds(peer, PACKET, 1, socket.MSG_CMSG_CLOEXEC)
    try:
        return _unpacked(packet, descriptors)
    except (msgspec.DecodeError, OSError):
        return None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def copied(outcome: Outcome) -> Outcome:
    """The outcome for one more follower: an error raised in several tasks would gather all their tracebacks."""
    return _revived(*_described(outcome)) if isinstance(outcome, BaseException) else outcome


def _unpacked(packet: bytes, descriptors: list[int]) -> Outcome:
    kind, content = packet[:1], packet[1:]
    if kind == _ERROR:
        return _revived(*_decode_error(content))
    if kind == _RENDITION and descriptors:
        return replace(_decode_rendition(content), body=_contents(descriptors[0]))
    return None


def _described(error: BaseException) -> tuple[str, dict[str, Any]]:
    """An error's class name and plain fields; for a fault of the program no name, since nothing else is rebuilt."""
    kind = type(error).__name__
    if isinstance(error, errors.CountermarkError) and getattr(errors, kind, None) is type(error):
        return kind, {name: _shortened(value) for name, value in vars(error).items() if isinstance(value, str | int)}
    detail = str(error) if isinstance(error, LeaderFailed) else f"the computation that was waited for failed: {kind}"
    return "", {"detail": detail}


def _revived(kind: str, fields: dict[str, Any]) -> BaseException:
    if not kind:
        return LeaderFailed(fields["detail"])
    error: BaseException = getattr(errors, kind).__new__(getattr(errors, kind), fields["detail"])
    vars(error).update(fields)
    return error


def _shortened(value: str | int) -> str | int:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value


def _memory_file(body: bytes) -> int:
    descriptor = os.memfd_create("countermark-rendition", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", buffering=0, closefd=False) as file:
            view = memoryview(body)
            while view:
                view = view[file.write(view) or 0 :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _contents(descriptor: int) -> bytes:
    """All of a memory file. Read by position: every process that was sent the descriptor shares its one offset."""
    size = os.fstat(descriptor).st_size
    content = os.pread(descriptor, size, 0)
    if len(content) != size:
        raise OSError("the memory file ended early")
    return content
