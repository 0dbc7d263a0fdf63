"""`countermark health`: for HEALTHCHECK in a container, which has no curl."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import click

TIMEOUT = 3.0


@click.command("health")
@click.option("--url", default="http://127.0.0.1:8080/readyz", show_default=True, help="An http: address to ask.")
def command(url: str) -> None:
    """Exit 0 when the gateway is ready, 1 when it is not.

    \b
    Example:
      countermark health --url http://127.0.0.1:8080/readyz
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise click.UsageError("--url takes an http: address")
    connection = HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        body = response.read(4096).decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise click.ClickException(f"{url}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise click.ClickException(f"{url}: {response.status} {body.strip()}")
    click.echo(body.strip())
