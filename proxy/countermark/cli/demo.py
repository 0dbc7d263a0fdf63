"""`countermark demo`: the main job with real photographs, nothing to configure and nothing to install."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shlex import quote

import click

from countermark.cli.options import json_option
from countermark.demo.files import WORKERS, Files
from countermark.demo.signer import DemoSigner
from countermark.demo.tour import origin_chapter, tour
from countermark.demo.walk import Outcome, Reply, walk
from countermark.demo.world import Address, World, free_address, running

PUBLIC: Address = ("127.0.0.1", 8080)
ADMIN: Address = ("127.0.0.1", 8081)


@click.command("demo")
@click.option("--check", is_flag=True, help="Walk the tour on free ports, print each step, end; exit 1 on a surprise.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the demo's files here; else they are removed at its end.",
)
@json_option
def command(check: bool, folder: Path | None, as_json: bool) -> None:
    """Serve real photographs from a private origin and walk a tour of what the gateway answers.

    Without --check it then stays up on ports 8080 (pictures) and 8081 (metrics, admin API) until Ctrl-C, and says what else
    to try.

    \b
    Example:
      countermark demo
      countermark demo --check --json
    """
    public, admin = (free_address(), free_address()) if check else (PUBLIC, ADMIN)
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="countermark-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            world = stack.enter_context(running(folder.absolute(), public, admin))
        except RuntimeError as error:
            raise click.ClickException(f"{error}\n{_log_tail(folder)}") from None
        faulty = _walk(world, as_json=as_json)
        if check:
            raise SystemExit(1 if faulty else 0)
        _stay(world)


def _walk(world: World, *, as_json: bool) -> int:
    """Print every step of the tour; how many had a fault."""
    files = Files(world.folder)
    chapters = tour(DemoSigner(files.settings), files)
    places = [(chapter, world.public) for chapter in chapters]
    places.append((origin_chapter(world.token), world.origin))
    records: list[dict[str, object]] = []
    faulty = 0
    for chapter, address in places:
        if not as_json:
            click.secho(f"\n{chapter.title}", bold=True)
        for outcome in walk(chapter.steps, address, world.admin, workers=WORKERS):
            faulty += bool(outcome.faults)
            records.append({"chapter": chapter.title, **_record(outcome)})
            if not as_json:
                click.echo(_line(outcome))
    count = len(records)
    click.echo(
        json.dumps(records, indent=2) if as_json else f"\n{count - faulty} of {count} answers were as they must be."
    )
    return faulty


def _line(outcome: Outcome) -> str:
    reply = outcome.reply
    mark = click.style("ok  ", fg="green") if not outcome.faults else click.style("FAIL", fg="red")
    facts = [_type(reply), reply.headers.get("countermark-reason", ""), outcome.note]
    told = ", ".join(fact for fact in facts if fact)
    lines = [f"{mark} {reply.status}  {outcome.step.title}{f'  ({told})' if told else ''}"]
    lines += [click.style(f"          {fault}", fg="red") for fault in outcome.faults]
    return "\n".join(lines)


def _type(reply: Reply) -> str:
    """The kind of a picture and its size; what else there is says enough by its status."""
    kind = reply.headers.get("content-type", "")
    if not kind.startswith("image/"):
        return ""
    return f"{kind}, {len(reply.body)} bytes" if reply.body else kind


def _record(outcome: Outcome) -> dict[str, object]:
    step, reply = outcome.step, outcome.reply
    return {
        "title": step.title,
        "expected": step.status,
        "status": reply.status,
        "reason": reply.headers.get("countermark-reason", ""),
        "faults": outcome.faults,
    }


def _stay(world: World) -> None:
    files = Files(world.folder)
    public = "http://{}:{}".format(*world.public)
    click.secho("\nTry these for the next hour, then change a character and see what happens", bold=True)
    for line in _urls(DemoSigner(files.settings), public):
        click.echo(f"  {line}")
    click.echo(f"  {'metrics':16} http://{world.admin[0]}:{world.admin[1]}/metrics")
    click.secho("\nTry these in a second terminal", bold=True)
    for line in _commands(DemoSigner(files.settings), files, public):
        click.echo(f"  {line}")
    click.echo(f"\nSettings, keys, policies, log and the admin token: {world.folder}\nCtrl-C ends it.")
    try:
        world.gateway.wait()
    except KeyboardInterrupt:
        click.echo("\nGood-bye.")


def _urls(signer: DemoSigner, public: str) -> Iterator[str]:
    for title, target in (
        ("cut to a square", "/photos/astronaut.jpg?w=400&h=400&fit=cover&gravity=attention&fm=auto"),
        ("watermarked", "/shop/chelsea.jpg?w=451"),
        ("the original", "/photos/coffee.jpg"),
    ):
        yield f"{title:16} {public}{signer.native(target)}"
    yield f"{'unsigned':16} {public}/photos/coffee.jpg?w=400"


def _commands(signer: DemoSigner, files: Files, public: str) -> Iterator[str]:
    """What to type to be refused, to take a URL back, and to log somebody in."""
    countermark = os.path.relpath(Path(sys.executable).with_name("countermark"))
    config = f"--config {quote(str(files.settings))}"
    leaked = f"{public}{signer.native('/photos/chelsea.jpg?w=452')}"
    licensed = signer.native("/licensed/rocket.jpg?w=300", ends=600, facts={"uid": "anna"})
    once = signer.native("/photos/rocket.jpg?w=453", facts={"once": secrets.token_hex(16)})
    yield "# from Austria, which the policy allows; then write US in its place (the URL lives ten minutes)"
    yield f"curl -sI -H 'CF-IPCountry: AT' '{public}{licensed}'"
    yield "# opens one time: run it twice"
    yield f"curl -s -o /dev/null -w '%{{http_code}}\\n' '{public}{once}'"
    yield "# take a URL back, and see it refused"
    yield f"export COUNTERMARK_ADMIN_TOKEN_FILE={quote(str(files.token))}"
    yield f"curl -sI '{leaked}'"
    yield f"{countermark} revoke {config} --url '{leaked}' --reason 'posted in a forum'"
    yield f"curl -sI '{leaked}'"
    yield f"{countermark} revocations list {config}"
    yield "# a user's session, in which his browser signs by itself"
    yield f"{countermark} sessions login {config} --site photos --user anna"


def _log_tail(folder: Path) -> str:
    log = folder / "gateway.log"
    return "\n".join(log.read_text().splitlines()[-20:]) if log.exists() else ""
