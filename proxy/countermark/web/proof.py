"""By what a proxy in front of us shows that it is the one that the settings mean."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from msgspec import Struct

from countermark.core.encoding import read_base64
from countermark.core.errors import CountermarkError
from countermark.core.request import EdgeRequest
from countermark.core.target import parse_target
from countermark.keys.keyring import Keyring
from countermark.signing.dialect import Realm
from countermark.signing.verify import authenticate
from countermark.web.host import read_host

CERTIFICATE_FIELD = "client-cert"

_BINARY = re.compile(r":([A-Za-z0-9+/=]+):")
_REMEMBERED = 256
_NOBODY = ip_address("0.0.0.0")  # noqa: S104 - no address to listen on: who asks is not part of what a hop signs
# The rules that some site may waive: the site's own reading of the target comes later.
_WAIVED = frozenset({"duplicate", "empty-segment", "encoded-slash"})


class Message(Struct, frozen=True):
    """What a proof may look at: header fields as `EdgeRequest` has them, method, Host field, raw target, unix time."""

    headers: Mapping[str, str]
    method: str
    host: str
    target: str
    now: float


class Proof(Protocol):
    """One thing that a hop must show."""

    def holds(self, message: Message) -> bool:
        """Whether this message shows it. Never raises: who shows nonsense has proved nothing."""
        ...


class SharedSecret:
    """A header with one of the secrets, compared in constant time with each of them."""

    def __init__(self, header: str, secrets: Iterable[str]) -> None:
        self._header = header.lower()
        self._secrets = tuple(secret.encode() for secret in secrets)

    def holds(self, message: Message) -> bool:
        given = message.headers.get(self._header, "").encode(errors="surrogateescape")
        found = False
        # Never stops at a match: the time taken must not tell which of them it was.
        for secret in self._secrets:
            found |= hmac.compare_digest(given, secret)
        return found


class Seen(Struct, frozen=True):
    """What counts of a certificate: its dates in unix seconds, and whether it is one of ours."""

    not_before: float
    not_after: float
    ours: bool


class ClientCertificate:
    """A client certificate that the TLS terminator hands on (RFC 9440).

    The terminator has seen the proof of its private key. Only a hop with networks may have this: from anybody else, the
    field is an invention.
    """

    def __init__(self, fingerprints: Iterable[str] = (), authorities: Sequence[x509.Certificate] = ()) -> None:
        self._fingerprints = frozenset(bytes.fromhex(text.replace(":", "")) for text in fingerprints)
        self._authorities = tuple(authorities)
        self._seen = lru_cache(_REMEMBERED)(self._look)

    def holds(self, message: Message) -> bool:
        seen = self._seen(message.headers.get(CERTIFICATE_FIELD, ""))
        return seen is not None and seen.ours and seen.not_before <= message.now <= seen.not_after

    def _look(self, field: str) -> Seen | None:
        found = _BINARY.fullmatch(field)
        der = read_base64(found[1]) if found is not None else None
        if der is None:
            return None
        try:
            certificate = x509.load_der_x509_certificate(der)
            return Seen(
                not_before=certificate.not_valid_before_utc.timestamp(),
                not_after=certificate.not_valid_after_utc.timestamp(),
                ours=hashlib.sha256(der).digest() in self._fingerprints or self._issued(certificate),
            )
        except ValueError:
            return None

    def _issued(self, certificate: x509.Certificate) -> bool:
        return any(_is_issued_by(certificate, authority) for authority in self._authorities)


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


class MessageSigned:
    """An HTTP message signature (RFC 9421), by the profile of the dialect `rfc9421`.

    The realm's options name the fields that must be covered: those that the hop is read by, else whoever can repeat a
    signed request could name another client in it.
    """

    def __init__(self, realm: Realm, keyring: Keyring) -> None:
        self._realm = realm
        self._keyring = keyring

    def holds(self, message: Message) -> bool:
        if "signature" not in message.headers:
            return False
        try:
            request = EdgeRequest(
                id="",
                method=message.method,
                target=parse_target(message.target, waive=_WAIVED),
                host=read_host(message.host),
                client=_NOBODY,
                headers=message.headers,
                received=message.now,
            )
            authenticate(request, self._realm, self._keyring, message.now)
        except CountermarkError:
            return False
        return True
