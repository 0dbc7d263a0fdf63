"""`countermark revocations`: the list of what was taken back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from countermark.cli.gateway import Gateway, gateway_options
from countermark.cli.moments import spelled
from countermark.cli.revoke import KINDS

_CHUNK = 2**20
_STEP = 100_000


@click.group("revocations")
def command() -> None:
    """Look at what was taken back, lift it, and carry the list from one gateway to another."""


@command.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Those of this kind only.")
@click.option("--value", help="Those with this value only.")
@gateway_options
def list_revocations(gateway: Gateway, *, kind: str | None, value: str | None, as_json: bool) -> None:
    """Print the entries, oldest first; --json prints one object a line.

    An entry that was lifted stays on the list, and a later one says that it was.

    \b
    Example:
      countermark revocations list --kind user --value alice
    """
    query: dict[str, Any] = {"limit": 10_000}
    query |= {name: given for name, given in (("kind", kind), ("value", value)) if given}
    more, looked = True, 0
    while more:
        page = gateway.ask("GET", "/v1/revocations", query=query)
        for entry in page["revocations"]:
            click.echo(json.dumps(entry) if as_json else _line(entry))
        more, query["after"] = page["more"], page["cursor"]
        looked += query["limit"]
        if more and looked % _STEP == 0:
            click.echo(f"looked at {looked} entries", err=True)


@command.command("lift")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("value")
@click.option("--reason", default="", help="Why, for people.")
@gateway_options
def lift(gateway: Gateway, *, kind: str, value: str, reason: str, as_json: bool) -> None:
    """Let count again what was revoked under this kind and value. A value that begins with "-" stands after --.

    \b
    Example:
      countermark revocations lift user alice --reason 'it was another alice'
      countermark revocations lift jti -- -k3Yw0
    """
    lifted = gateway.ask("POST", "/v1/revocations/lift", body={"kind": kind, "value": value, "reason": reason})
    click.echo(json.dumps(lifted) if as_json else f"lifted {kind} {value}")


@command.command("export")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file. Default: standard output.")
@gateway_options
def export(gateway: Gateway, *, output: Path | None, as_json: bool) -> None:
    """Write the whole list as NDJSON, one entry a line. A file is there whole or not at all.

    \b
    Example:
      countermark revocations export --output revocations.ndjson
    """
    if output is None:
        _pour(gateway, sys.stdout.buffer)
        return
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("wb") as file:
            entries = _pour(gateway, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(output)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    click.echo(json.dumps({"revocations": entries}) if as_json else f"wrote {entries} entries")


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@gateway_options
def take_in(gateway: Gateway, *, file: Path, as_json: bool) -> None:
    """Add the entries of an exported file. Entries before a faulty line stay; importing again does no harm.

    \b
    Example:
      countermark revocations import revocations.ndjson
    """
    with gateway.exchange("POST", "/v1/revocations/import", body=_pieces(file)) as response:
        imported = json.loads(response.read())
    click.echo(json.dumps(imported) if as_json else f"imported {imported['revocations']} entries")


def _pour(gateway: Gateway, file: BinaryIO) -> int:
    """The export into a file; how many entries it has."""
    entries = 0
    with gateway.exchange("GET", "/v1/revocations/export") as response:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            entries += chunk.count(b"\n")
    return entries


def _pieces(path: Path) -> Iterator[bytes]:
    """A file piece by piece, with a bar where somebody watches."""
    size = path.stat().st_size
    hidden = not sys.stderr.isatty()
    with (
        path.open("rb") as file,
        click.progressbar(length=size, label="importing", file=sys.stderr, hidden=hidden) as bar,
    ):
        while chunk := file.read(_CHUNK):
            yield chunk
            bar.update(len(chunk))


def _line(entry: dict[str, Any]) -> str:
    verb = "lifted" if entry.get("lifted") else "revoked"
    words = [spelled(entry["created"]), verb, f"{entry['kind']}:{entry['value']}"]
    if "issued_before" in entry:
        words.append(f"issued before {spelled(entry['issued_before'])}")
    if "expires" in entry:
        words.append(f"until {spelled(entry['expires'])}")
    if "author" in entry:
        words.append(f"by {entry['author']}")
    return "  ".join((*words, entry.get("reason", ""))).rstrip()
