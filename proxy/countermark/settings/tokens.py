"""The file of admin tokens: a YAML list, one entry a token.

- name: oncall                 # stands in the log beside whatever is done with it
  sha256: 9f86d081…            # of the token itself, which nobody keeps
  roles: [operator]            # viewer, issuer, operator, keys, admin
  sites: [shop]                # default: every site
  expires: 2027-01-01T00:00:00Z    # or unix seconds; default: never
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, inspect

from countermark.core.errors import ConfigurationInvalid
from countermark.settings.convert import Reading, convert
from countermark.settings.document import Entries, parse
from countermark.settings.units import parse_moment

Role = Literal["viewer", "issuer", "operator", "keys", "admin"]
ROLES: Mapping[Role, str] = {
    "viewer": "looks at everything",
    "issuer": "opens and ends sessions",
    "operator": "revokes and lifts",
    "keys": "looks at keys, rotates and revokes them, and has the gateway read all files anew",
    "admin": "does everything",
}
"""Each role, and what a token that has it may do."""


class AdminToken(Struct, frozen=True, kw_only=True):
    """One token. `sites` ("*",) is every site; `expires` is unix seconds, None for never."""

    name: str
    sha256: str
    roles: tuple[Role, ...]
    sites: tuple[str, ...] = ("*",)
    expires: int | None = None


class _Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[
        str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$", description="1 to 64 of A-Z a-z 0-9 . _ @ -")
    ]
    sha256: Annotated[
        str, Meta(pattern="^[0-9a-f]{64}$", description="64 hexadecimal digits in lower case", extra={"secret": True})
    ]
    roles: Annotated[tuple[Role, ...], Meta(min_length=1)]
    sites: Annotated[tuple[str, ...], Meta(min_length=1)] = ("*",)
    expires: str = ""


_KIND = inspect.type_info(tuple[_Entry, ...])


def load_tokens(text: str, *, file: str) -> tuple[AdminToken, ...]:
    """The tokens of such a file. Raises ConfigurationInvalid with all faults."""
    reading = Reading()
    root = parse(text, file=file)
    if isinstance(root, Entries) and not root.nodes:
        return ()
    entries: tuple[_Entry, ...] = convert(root, _KIND, "", reading) or ()
    names: set[str] = set()
    hashes: set[str] = set()
    tokens = []
    for index, entry in enumerate(entries):
        if entry.name in names:
            reading.fault(f"[{index}].name", f"another token is called {entry.name}")
        # Its holder could not tell under which of the names he is written down.
        if entry.sha256 and entry.sha256 in hashes:
            reading.fault(f"[{index}].sha256", "another entry is for the same token")
        names.add(entry.name)
        hashes.add(entry.sha256)
        tokens.append(
            AdminToken(
                name=entry.name,
                sha256=entry.sha256,
                roles=entry.roles,
                sites=entry.sites,
                expires=_moment(entry.expires, f"[{index}].expires", reading),
            )
        )
    if reading.faults:
        raise ConfigurationInvalid(reading.faults)
    return tuple(tokens)


def render_token(token: AdminToken) -> str:
    """A token as an entry of the file; several after one another are a file."""
    lines = [f"- name: {token.name}", f"  sha256: {json.dumps(token.sha256)}", f"  roles: [{', '.join(token.roles)}]"]
    if token.sites != ("*",):
        lines.append(f"  sites: [{', '.join(token.sites)}]")
    if token.expires is not None:
        lines.append(f"  expires: {token.expires}")
    return "\n".join(lines) + "\n"


def _moment(text: str, path: str, reading: Reading) -> int | None:
    if not text:
        return None
    try:
        return parse_moment(text)
    except ValueError:
        reading.fault(path, "should be a time such as 2027-01-01T00:00:00Z, or unix seconds")
        return None
