"""The plain options for what a native URL binds, and what they become in an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from countermark.cli.address import CountryType
from countermark.signing.dialect import Capabilities
from countermark.signing.table import DIALECTS

_NAMES = {
    "session": "sid",
    "client": "cid",
    "user": "uid",
    "context": "ctx",
    "jti": "jti",
    "once": "once",
    "country": "geo",
    "issued": "iat",
}
"""By option: what `Native.mint` calls it."""

_OPTIONS = (
    click.option("--session", help="Let it live no longer than this session."),
    click.option("--client", help="The client whom it is issued to."),
    click.option("--user", help="The user whom it is issued for."),
    click.option("--context", help="What it is made for, such as a campaign."),
    click.option("--jti", help="A name of yours for it, by which it can be revoked."),
    click.option("--once", is_flag=True, help="Let it open one time only."),
    click.option(
        "--country",
        type=CountryType(),
        multiple=True,
        metavar="CODE",
        help="Bind it to this country, such as CH; may be given again.",
    ),
    click.option("--issued", is_flag=True, help="Say in it when it was signed."),
)

_Command = Callable[..., None]


def binding_options(command: _Command) -> _Command:
    """Give a command these options; their values come as `**bound`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def extras(dialect: str, bound: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, str]:
    """The words of an order: those that were given as such, and the plain options. Raises click.UsageError.

    Only the native dialect takes the options: others that bind the same have their own words, spellings and duties.
    """
    given = {option: value for option, value in bound.items() if value not in (None, False, ())}
    if given and dialect != "native":
        raise click.UsageError(_unable(dialect, given))
    twice = [f"--{option}" for option in given if _NAMES[option] in words]
    if twice:
        raise click.UsageError(f"Given twice, as an option and by --with: {', '.join(twice)}.")
    return {**words, **{_NAMES[option]: _written(option, value) for option, value in given.items()}}


def _written(option: str, value: Any) -> str:
    match option:
        case "country":
            return ".".join(sorted(set(value)))
        case "once":
            return "new"
        case "issued":
            return "now"
        case _:
            return str(value)


def _unable(dialect: str, given: Mapping[str, Any]) -> str:
    facts: Capabilities = DIALECTS[dialect].capabilities
    options = ", ".join(f"--{option}" for option in given)
    own = f" Words of its own are given by --with, see docs/dialects/{facts.page}.md." if facts.binds else ""
    return (
        f"The dialect {dialect} cannot bind {options}; native can, where the site accepts it (--dialect native).{own}"
    )
