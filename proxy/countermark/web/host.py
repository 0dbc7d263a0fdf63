"""The Host field of a request."""

from __future__ import annotations

import re

from countermark.core.errors import Malformed

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9.])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def read_host(text: str) -> str:
    """The Host field in lower case and without port. Raises Malformed where it is no host (RFC 9112 §3.2)."""
    host = text.lower()
    if not _HOST.fullmatch(host):
        raise Malformed("The Host field is not a host name with an optional port.")
    if host.startswith("["):
        return host[: host.index("]") + 1]
    return host.partition(":")[0]
