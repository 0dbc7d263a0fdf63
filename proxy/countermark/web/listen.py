"""Listening sockets: bound once by the supervisor, or handed over by systemd, and inherited by the workers."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from countermark.core.errors import ConfigurationInvalid, Fault

BACKLOG = 1024

# The kernel doubles it. It bounds what a client that never reads can make the kernel hold.
SEND_BUFFER = 128 * 1024

# sd_listen_fds(3): the first descriptor that systemd passes.
_FIRST_DESCRIPTOR = 3


def split_address(text: str) -> tuple[str, int]:
    """HOST:PORT or [IPV6]:PORT as host and port. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def bind(address: str, *, setting: str) -> socket.socket:
    """A listening socket. Raises ConfigurationInvalid naming the setting where the address cannot be had."""
    try:
        host, port = split_address(address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationInvalid([Fault(path=setting, message=f"cannot listen on {address}: {reason}")]) from error
    return _ready(sock)


def inherited(environ: MutableMapping[str, str]) -> socket.socket | None:
    """The socket that systemd passed to this process, None where it passed none. Clears what children must not see."""
    count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count:
        return None
    if count != "1":
        raise ConfigurationInvalid([Fault(path="server.listen", message=f"systemd passed {count} sockets, not one")])
    return _ready(socket.socket(fileno=_FIRST_DESCRIPTOR))


def name(sock: socket.socket) -> str:
    """HOST:PORT as bound."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ready(sock: socket.socket) -> socket.socket:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    sock.setblocking(False)
    return sock
