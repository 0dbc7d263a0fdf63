"""Revocations as a file: JSON lines, one entry each, in the order of the list.

    {"kind":"user","value":"u-17","created":1764000000.0,"reason":"left the company","author":"ops"}

Only `kind` and `value` must be there. The same file imported twice changes nothing in the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.identity.revocation import Kind, Revocation, Severity

LONGEST_LINE = 8192

_LONGEST_VALUE = 2048
_LAST_SECOND = 2**32 - 2

_GRANT = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PATH = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}:/.*", re.ASCII)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class _Line(Struct, forbid_unknown_fields=True):
    """As Revocation, but that a misspelt field is told: without its issued_before an entry would hit far too much."""

    kind: Kind
    value: str
    issued_before: int | None = None
    lifted: bool = False
    created: float | None = None
    expires: int | None = None
    reason: str = ""
    author: str = ""
    severity: Severity = "warning"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode


def line_of(revocation: Revocation) -> bytes:
    """One line, with its end."""
    return _encode(revocation) + b"\n"


def read(lines: Iterable[bytes], *, name: str, now: float, author: str = "") -> Iterator[Revocation]:
    """The entries of a file called `name`, one at a time; empty lines are skipped.

    `created` and `author` stand in where a line has none. A line beyond LONGEST_LINE is refused before it is read, as far
    as the caller splits lines there. Raises ConfigurationInvalid with the first line that is wrong.
    """
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        try:
            yield read_line(line, now=now, author=author)
        except ValueError as error:
            raise ConfigurationInvalid([_fault(name, number, str(error))]) from None


def read_line(line: bytes, *, now: float, author: str) -> Revocation:
    """One entry, with `now` and `author` where the line has none. Raises ValueError with a sentence."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f"the line is longer than {LONGEST_LINE} octets")
    try:
        found = _revocation(line, now, author)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    if wrong := fault_of(found):
        raise ValueError(wrong)
    return found


def fault_of(revocation: Revocation) -> str:
    """Why it cannot have been meant, "" where it can; for all that comes from outside."""
    kind, value = revocation.kind, revocation.value
    if not value or len(value) > _LONGEST_VALUE or _UNPRINTABLE.search(value):
        return f"value should be 1 to {_LONGEST_VALUE} printable characters"
    if kind == "grant" and not _GRANT.fullmatch(value):
        return "the value of a grant should be the SHA-256 of what was signed, 64 lower-case hexadecimal digits"
    if kind == "path" and not _PATH.fullmatch(value):
        return "the value of a path should be SITE:/PREFIX, such as shop:/private/"
    for name, seconds in (("issued_before", revocation.issued_before), ("expires", revocation.expires)):
        if seconds is not None and not 0 <= seconds <= _LAST_SECOND:
            return f"{name} should be unix seconds (not milliseconds)"
    return ""


def _revocation(line: bytes, now: float, author: str) -> Revocation:
    read = _decode(line)
    return Revocation(
        kind=read.kind,
        value=read.value,
        issued_before=read.issued_before,
        lifted=read.lifted,
        created=now if read.created is None else read.created,
        expires=read.expires,
        reason=read.reason,
        author=read.author or author,
        severity=read.severity,
    )


def _fault(name: str, number: int, message: str) -> Fault:
    return Fault(path="", message=message, file=name, line=number, column=1)
