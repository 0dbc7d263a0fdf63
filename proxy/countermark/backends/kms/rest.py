"""One JSON call of an HTTP API, with bounds on time and size, and without redirects: the answer is a key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from countermark.core.errors import ConfigurationInvalid, Fault, KmsUnavailable

SECONDS = 5.0
MAX_ANSWER = 64 * 1024


def checked(url: str) -> str:
    """The URL of an API. Raises ConfigurationInvalid unless it is https:, or http: to this machine."""
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise ConfigurationInvalid([Fault(path="kms", message="should have an https: address")])
    return url.rstrip("/")


def call(
    method: str, url: str, *, headers: Mapping[str, str], body: Mapping[str, str] | None = None, service: str
) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of the answer, {} where it is none. Raises KmsUnavailable when nobody answers."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=SECONDS)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, parts.path, body=text, headers={"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        answer = response.read(MAX_ANSWER)
    except (OSError, HTTPException) as error:
        raise KmsUnavailable(f"{service} cannot be asked: {str(error) or type(error).__name__}") from None
    finally:
        connection.close()
    try:
        told = json.loads(answer)
    except ValueError:
        told = {}
    return response.status, told if isinstance(told, dict) else {}
