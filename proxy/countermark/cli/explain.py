"""`countermark explain`: why a URL is refused."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from countermark.cli.address import dialect_option, site_option
from countermark.cli.options import config_option, json_option
from countermark.cli.verify import bindings, country_option, explanation, header_option, ip_option, verdict
from countermark.core.request import Address
from countermark.signing.explain import Explanation


@click.command("explain")
@click.argument("url")
@config_option
@site_option
@dialect_option
@ip_option
@country_option
@header_option
@json_option
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - one argument an option
    ctx: click.Context,
    url: str,
    config: Path,
    site_name: str | None,
    dialect_name: str | None,
    client: Address,
    country: str | None,
    headers: tuple[tuple[str, str], ...],
    as_json: bool,
) -> None:
    """Say which check fails first, what exactly is signed, and what may have changed the URL on its way.

    It never prints the signature that would have been right.

    \b
    Example:
      countermark explain 'https://img.example.com/shop/cat.jpg?exp=…&kid=k1&sig=…&utm_source=mail'
      countermark explain --dialect keycdn_image 'https://img.example.com/shop/cat.jpg?width=800&token=…'
    """
    found = explanation(url, config, site_name, dialect_name, client, country, headers)
    click.echo(msgspec.json.encode(found).decode() if as_json else _text(found))
    ctx.exit(0 if found.good else 1)


def _text(found: Explanation) -> str:
    lines = [verdict(found)]
    if found.good:
        lines.append("all checks passed")
    lines += bindings(found)
    if found.step:
        lines.append(f"first failed check: {found.step}" + (f" ({found.private})" if found.private else ""))
    if found.parts:
        lines.append("signed, in this order:")
        lines += [f"  {part.name:<14}{part.text}" for part in found.parts]
    for finding in found.findings:
        certainty = "this explains it" if finding.proven else "perhaps"
        lines.append(f"{certainty}: {finding.change}: {finding.detail}")
    if found.step in {"target", "reading", "signature"} and not found.findings:
        lines.append("no change that is usual on the way explains it")
    return "\n".join(lines)
