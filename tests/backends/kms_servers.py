"""Contract servers of two key management services: the documented calls, with one key that can be switched off.

Vault: POST /v1/MOUNT/encrypt|decrypt/KEY (https://developer.hashicorp.com/vault/api-docs/secret/transit).
Google: POST /v1/NAME:encrypt|decrypt (https://cloud.google.com/kms/docs/reference/rest), and the metadata server's token.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "a-token"

Answer = tuple[int, dict[str, Any]]


class Service:
    """What both have: a key, whether it is enabled, and a server that can be taken away."""

    def __init__(self) -> None:
        self.enabled = True
        self.key = AESGCM(secrets.token_bytes(32))
        self.address = ""

    def get(self, path: str, headers: dict[str, str]) -> Answer:
        return 404, {}

    def post(self, path: str, headers: dict[str, str], body: dict[str, str]) -> Answer:
        raise NotImplementedError

    def encrypt(self, plain: str, associated: str) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + self.key.encrypt(nonce, b64decode(plain), b64decode(associated))

    def decrypt(self, sealed: bytes, associated: str) -> str | None:
        try:
            return b64encode(self.key.decrypt(sealed[:12], sealed[12:], b64decode(associated))).decode()
        except (InvalidTag, ValueError):
            return None


class Amazon(Service):
    """AWS KMS once its key is disabled, which moto does not mind."""

    def post(self, path: str, headers: dict[str, str], body: dict[str, str]) -> Answer:
        return 400, {"__type": "DisabledException", "message": f"{body['KeyId']} is disabled."}


class Vault(Service):
    """The transit engine, mounted at `transit`, with the key `urls`."""

    def post(self, path: str, headers: dict[str, str], body: dict[str, str]) -> Answer:
        if headers.get("X-Vault-Token") != TOKEN:
            return 403, {"errors": ["permission denied"]}
        if not self.enabled:
            return 503, {"errors": ["Vault is sealed"]}
        if path == "/v1/transit/encrypt/urls":
            sealed = b64encode(self.encrypt(body["plaintext"], body["associated_data"])).decode()
            return 200, {"data": {"ciphertext": f"vault:v1:{sealed}", "key_version": 1}}
        if path != "/v1/transit/decrypt/urls":
            return 400, {"errors": ["encryption key not found"]}
        head, _, sealed = body["ciphertext"].rpartition(":")
        if head != "vault:v1":
            return 400, {"errors": ["invalid ciphertext: no prefix"]}
        plain = self.decrypt(b64decode(sealed), body["associated_data"])
        if plain is None:
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": plain}}


class Google(Service):
    """One key, and the token of the machine's service account."""

    NAME = "projects/p/locations/global/keyRings/r/cryptoKeys/urls"

    def get(self, path: str, headers: dict[str, str]) -> Answer:
        if headers.get("Metadata-Flavor") != "Google":
            return 403, {}
        return 200, {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}

    def post(self, path: str, headers: dict[str, str], body: dict[str, str]) -> Answer:
        name, _, call = path.removeprefix("/v1/").rpartition(":")
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}}
        if name != self.NAME:
            return 404, {"error": {"code": 404, "status": "NOT_FOUND"}}
        if not self.enabled:
            return 400, {"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "key is not enabled"}}
        if call == "encrypt":
            sealed = self.encrypt(body["plaintext"], body["additionalAuthenticatedData"])
            return 200, {"name": f"{name}/cryptoKeyVersions/1", "ciphertext": b64encode(sealed).decode()}
        plain = self.decrypt(b64decode(body["ciphertext"]), body["additionalAuthenticatedData"])
        if plain is None:
            return 400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Decryption failed"}}
        return 200, {"plaintext": plain}


@contextmanager
def serving(service: Service) -> Iterator[ThreadingHTTPServer]:
    """The service on a port of the kernel's choice; `service.address` is HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*service.get(self.path, dict(self.headers)))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(*service.post(self.path, dict(self.headers), body))

        def _answer(self, status: int, told: dict[str, Any]) -> None:
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.address = f"127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
