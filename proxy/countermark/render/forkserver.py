"""The fork server: imports everything once, forks render children on request, and ends when its gateway does.

A process of its own, started by exec: it holds neither the gateway's memory (keys, credentials) nor its descriptors, and
it never uses libvips itself, because threads do not survive a fork. `python -m countermark.render.forkserver CONTROL
UPBRINGING`, both numbers of inherited descriptors.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys

from countermark.render import child, wire


class ForkServer:
    """One control socket, and the children that it is parent of, by pidfd."""

    def __init__(self, control: socket.socket, upbringing: wire.Upbringing) -> None:
        self._control = control
        self._upbringing = upbringing
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._children: dict[int, int] = {}

    def serve(self) -> None:
        """Until the gateway's end closes."""
        while True:
            for key, _ in self._selector.select():
                if key.fd != self._control.fileno():
                    self._bury(key.fd)
                elif not self._obey():
                    return

    def end(self) -> None:
        """Kill the children that are left: their gateway is gone, and a hung one would not see that."""
        for pidfd in self._children:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    def _obey(self) -> bool:
        packet, descriptors = wire.receive(self._control, 2)
        if not packet:
            return False
        serial = wire.read_order(packet).serial
        theirs, output = descriptors
        pid = os.fork()
        if pid == 0:
            child.live(socket.socket(fileno=theirs), output, self._upbringing)
        # Kept open here, the child's end would hide its death from the gateway.
        os.close(theirs)
        os.close(output)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = pid
        self._selector.register(pidfd, selectors.EVENT_READ)
        wire.send(self._control, wire.Forked(serial, pid), (pidfd,))
        return True

    def _bury(self, pidfd: int) -> None:
        self._selector.unregister(pidfd)
        pid = self._children.pop(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        wire.send(self._control, wire.Ended(pid, os.waitstatus_to_exitcode(status)))


def main(control: socket.socket, upbringing: wire.Upbringing) -> int:
    """Import what the children need, then serve."""
    # The end of the control socket ends us; a signal to the whole service must not, for the gateway may be draining.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        child.load(upbringing.engine)
        child.load(upbringing.prepare)
    except Exception as error:  # noqa: BLE001 - an engine may raise anything
        wire.send(control, wire.Unable(f"The render engine cannot be imported: {error!r}"[: wire.PACKET // 2]))
        return 1
    if len(os.listdir("/proc/self/task")) != 1:
        wire.send(control, wire.Unable("Importing the render engine started threads; they would be lost in a fork."))
        return 1
    gc.collect()
    gc.freeze()  # the collector of a child must not write on, and so copy, the pages that all share
    server = ForkServer(control, upbringing)
    wire.send(control, wire.Listening())
    try:
        server.serve()
    except ConnectionError:
        pass  # the gateway died while we spoke
    finally:
        server.end()
    return 0


if __name__ == "__main__":
    control, page = int(sys.argv[1]), int(sys.argv[2])
    with os.fdopen(page, "rb") as file:
        brought_up = wire.read_upbringing(file.read())
    raise SystemExit(main(socket.socket(fileno=control), brought_up))
