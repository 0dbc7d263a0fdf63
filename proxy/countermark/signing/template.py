"""The templates of nginx's secure_link directives: text with variables, of which there are exactly these.

    $uri                    the path, percent-decoded
    $request_uri            path and query as sent
    $args                   the query as sent
    $arg_NAME               a parameter's value
    $http_NAME              a header field's value
    $remote_addr            the client's address
    $host                   the request's host
    $secure_link_expires    the expiry that came with the hash, ten digits

{secret} stands where the directive of nginx holds the secret itself.

Most templates put nothing between their variables, so that a hash for one request is one for others too. `hold` lets one
cut of each text pass; a template for which that cannot be told is refused when the settings are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from countermark.core.errors import ParameterInvalid
from countermark.signing.borders import wanders

SECRET = "{secret}"  # noqa: S105 - a place and no password

_PART = re.compile(r"\$([A-Za-z0-9_]+)|(\{secret\})|([^${}]+)|(.)", re.DOTALL)
_VARIABLES = frozenset({"uri", "request_uri", "args", "remote_addr", "host", "secure_link_expires"})
_NAMED = re.compile(r"arg_[A-Za-z][A-Za-z0-9_]{0,63}|http_[a-z0-9_]{1,64}")
_PATHS = frozenset({"uri", "request_uri"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Template(Struct, frozen=True):
    """The parts in order: a variable by its name, anything else ("" and its text, or the secret) as it stands.

    `borders` says of each part what ends it, "" where it is no variable.
    """

    parts: tuple[tuple[str, str], ...]
    borders: tuple[str, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables, in order; some may stand twice."""
        return tuple(name for name, _ in self.parts if name)

    def glue(self, values: tuple[str, ...], secret: bytes) -> bytes:
        """The bytes with the secret in its place; one value a variable, in order."""
        left = iter(values)
        return b"".join(
            [next(left).encode() if name else secret if text == SECRET else text.encode() for name, text in self.parts]
        )


@lru_cache(maxsize=256)
def compiled(text: str) -> Template:
    """The template, or ValueError with a sentence that says what would be right."""
    if _CONTROL.search(text):
        raise ValueError("a template without control characters")
    parts: list[tuple[str, str]] = []
    for variable, secret, literal, stray in _PART.findall(text):
        if stray or (variable and variable not in _VARIABLES and not _NAMED.fullmatch(variable)):
            raise ValueError(
                f"a template of text, {SECRET} and $uri, $request_uri, $args, $arg_NAME, $http_NAME, $remote_addr, $host, "
                "$secure_link_expires"
            )
        parts.append((variable, secret or literal))
    borders = tuple(_border(parts, at) if variable else "" for at, (variable, _) in enumerate(parts))
    if "open" in borders:
        variable = parts[borders.index("open")][0]
        raise ValueError(f"a template with text or {SECRET} between ${variable} and what stands behind it")
    return Template(tuple(parts), borders)


def hold(template: Template, values: Mapping[str, str]) -> None:
    """Refuse values whose text could be cut elsewhere, or ParameterInvalid.

    From the left, each variable ends at something that it cannot hold itself; the one that does not is the last, or has
    only an expiry, an address and fixed text behind it.
    """
    for at, border in enumerate(template.borders):
        if not border:
            continue
        variable = template.parts[at][0]
        value = values[variable]
        if border == "slash" and "/" in value:
            raise _ambiguous(variable, "a slash")
        if border == "text" and template.parts[at + 1][1][0] in value:
            raise _ambiguous(variable, repr(template.parts[at + 1][1][0]))
        if border in {"address", "expiry and address"}:
            expires = values["secure_link_expires"] if border != "address" else ""
            if wanders(value, expires, values["remote_addr"]):
                raise _ambiguous(variable, "what could belong to the client's address")


def _border(parts: list[tuple[str, str]], at: int) -> str:
    """What ends a variable: nothing ("end"), a secret, the first character of a text, a slash, an address … or "open"."""
    variable, rest = parts[at][0], parts[at + 1 :]
    behind = [name for name, _ in rest if name]
    if variable == "secure_link_expires" or not behind or rest[0] == ("", SECRET):
        return "end"
    if not rest[0][0]:
        return "text"
    if rest[0][0] in _PATHS and variable not in _PATHS:
        return "slash"
    # What is left is glued to its neighbours: only fixed lengths and one address may follow, up to the end.
    tails = {
        ("secure_link_expires",): "end",
        ("remote_addr",): "address",
        ("secure_link_expires", "remote_addr"): "expiry and address",
    }
    glued = rest[: len(behind)]
    return tails.get(tuple(name for name, _ in glued), "open") if all(name for name, _ in glued) else "open"


def _ambiguous(variable: str, what: str) -> ParameterInvalid:
    return ParameterInvalid(f"The URL could be cut elsewhere: ${variable} holds {what}.")
