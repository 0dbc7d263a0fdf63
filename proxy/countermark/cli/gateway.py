"""A running gateway's admin API, as commands speak to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlencode, urlsplit

import click

from countermark.cli.options import config_option, json_option
from countermark.configuration import read_settings

TIMEOUT = 60.0
TOKEN = "COUNTERMARK_ADMIN_TOKEN"  # noqa: S105 - the name of the variable
MAX_ANSWER = 64 * 2**20

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


class Gateway:
    """Where the API is, and by which token it is asked."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    def ask(self, method: str, path: str, *, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        """The decoded answer. Raises ClickException with the gateway's own sentence where it refuses."""
        data = None if body is None else json.dumps(body).encode()
        with self.exchange(method, path, body=data, query=query) as response:
            return json.loads(response.read(MAX_ANSWER))

    @contextmanager
    def exchange(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Iterable[bytes] | None = None,
        query: dict[str, Any] | None = None,
    ) -> Iterator[HTTPResponse]:
        """A good answer that is still to be read. Pieces of a body are sent as they come.

        Raises ClickException with the gateway's own sentence where it refuses, or where no gateway answers.
        """
        connection = self._connection()
        target = urlsplit(self._url).path + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            try:
                connection.request(method, target, body=body, headers=headers)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have said why before it hung up
            response = connection.getresponse()
            if response.status >= 300:
                raise click.ClickException(_sentence(response))
            yield response
        except (OSError, HTTPException) as error:
            raise click.ClickException(
                f"No gateway answers at {self._url}: {str(error) or type(error).__name__}. Is it running, and is this its "
                "admin address (server.admin, or --admin)?"
            ) from None
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self._url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=TIMEOUT)


def gateway_options(command: Callable[_Given, _Returned]) -> Callable[..., _Returned]:
    """--admin and --config, which become the first argument: a Gateway; and --json."""

    @click.option(
        "--admin", "url", metavar="URL", help="Admin address, http://HOST:PORT. Default: the settings' server.admin."
    )
    @config_option
    @json_option
    @wraps(command)
    def asked(*, url: str | None, config: Path, **given: Any) -> _Returned:
        return command(Gateway(_address(url, config), _token()), **given)  # type: ignore[arg-type]

    return asked


def _address(url: str | None, config: Path) -> str:
    if url is None:
        url = f"http://{read_settings(config).server.admin}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise click.UsageError(f"{url} is no address of a gateway; give --admin http://HOST:PORT.")
    return url


def _token() -> str:
    file = os.environ.get(f"{TOKEN}_FILE")
    if file and TOKEN in os.environ:
        raise click.UsageError(f"Give either {TOKEN} or {TOKEN}_FILE.")
    try:
        token = Path(file).read_text(encoding="utf-8").strip() if file else os.environ.get(TOKEN, "")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{TOKEN}_FILE: {file} cannot be read: {error}") from None
    if not token:
        raise click.UsageError(
            f"An admin token is needed: set {TOKEN}, or {TOKEN}_FILE; `countermark admin token new` makes one."
        )
    if not token.isascii() or not token.isprintable():
        raise click.UsageError(f"What {TOKEN} holds is no token; one starts with cmadm_.")
    return token


def _sentence(response: HTTPResponse) -> str:
    text = response.read(64 * 1024)
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The gateway answered {response.status} {response.reason}; is this its admin address?"
