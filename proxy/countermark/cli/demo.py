"""`countermark demo`: the main job with real photographs, nothing to configure and nothing to install."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from countermark.cli.options import json_option
from countermark.demo.signer import DemoSigner
from countermark.demo.tour import origin_steps, tour
from countermark.demo.walk import Outcome, walk
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

    Without --check it then stays up on ports 8080 (pictures) and 8081 (metrics) until Ctrl-C.

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
    signer = DemoSigner(world.folder / "settings.yaml")
    outcomes = [*walk(tour(signer), world.public, world.admin)] if as_json else []
    if as_json:
        outcomes += walk(origin_steps(world.token), world.origin, world.admin)
        click.echo(json.dumps([_record(outcome) for outcome in outcomes], indent=2))
        return sum(bool(outcome.faults) for outcome in outcomes)
    count = faulty = 0
    for steps, address in ((tour(signer), world.public), (origin_steps(world.token), world.origin)):
        for outcome in walk(steps, address, world.admin):
            count += 1
            faulty += bool(outcome.faults)
            click.echo(_line(outcome))
    click.echo(f"\n{count - faulty} of {count} answers were as they must be.")
    return faulty


def _line(outcome: Outcome) -> str:
    reply = outcome.reply
    mark = click.style("ok  ", fg="green") if not outcome.faults else click.style("FAIL", fg="red")
    facts = [reply.headers.get("content-type", ""), reply.headers.get("countermark-reason", "")]
    facts.append(f"{len(reply.body)} bytes" if reply.body and "problem" not in facts[0] else "")
    told = ", ".join(fact for fact in facts if fact)
    lines = [f"{mark} {reply.status}  {outcome.step.title}  ({told})"]
    lines += [click.style(f"          {fault}", fg="red") for fault in outcome.faults]
    return "\n".join(lines)


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
    signer = DemoSigner(world.folder / "settings.yaml")
    public = "http://{}:{}".format(*world.public)
    click.echo("\nTry these for the next hour, then change a character and see what happens:")
    for title, target in (
        ("cut to a square", "/photos/astronaut.jpg?w=400&h=400&fit=cover&gravity=attention&fm=auto"),
        ("watermarked", "/shop/chelsea.jpg?w=451"),
        ("the original", "/photos/coffee.jpg"),
    ):
        click.echo(f"  {title:16} {public}{signer.native(target)}")
    click.echo(f"  {'unsigned':16} {public}/photos/coffee.jpg?w=400")
    click.echo(f"  {'metrics':16} http://{world.admin[0]}:{world.admin[1]}/metrics")
    click.echo(f"\nSettings, keys and log: {world.folder}\nCtrl-C ends it.")
    try:
        world.gateway.wait()
    except KeyboardInterrupt:
        click.echo("\nGood-bye.")


def _log_tail(folder: Path) -> str:
    log = folder / "gateway.log"
    return "\n".join(log.read_text().splitlines()[-20:]) if log.exists() else ""
