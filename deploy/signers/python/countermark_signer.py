"""Signs URLs of private pictures for countermark's native dialect. Copy this file; it needs nothing but Python 3.9.

    signer = Signer(kid="k1", secret=os.environ["COUNTERMARK_SECRET"], audience="shop", base="https://img.example.com")
    signer.url("/shop/cat.jpg", {"w": 800, "fit": "cover"})

The secret is the `secret` of the key in keys.yaml, the audience the site's `audience` or else its name. Python has no
Ed25519 of its own, so this signer makes HMAC-SHA-256 only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Mapping
from urllib.parse import quote

RESERVED = frozenset({"sig", "kid", "exp", "nbf", "iat", "ip", "geo", "sid", "cid", "uid", "ctx", "jti", "once", "th"})

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KID = re.compile(r"[A-Za-z0-9._-]{1,80}")
_IP = re.compile(r"[0-9a-f:.]{2,39}(?:/[0-9]{1,3})?", re.ASCII)
_TRANSFORM_HASH = re.compile(r"[A-Za-z0-9_-]{8,64}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_MOST_COUNTRIES = 250
_TEN_DIGITS = range(10**9, 10**10)

# By option: its name in the URL, what it may be as a pattern and in words.
_FACTS = {
    "session": ("sid", re.compile(r"[A-Za-z0-9_-]{16,64}"), "16 to 64 of A-Z a-z 0-9 _ -"),
    "client": ("cid", re.compile(r"[A-Za-z0-9._-]{1,64}"), "1 to 64 of A-Z a-z 0-9 . _ -"),
    "user": ("uid", re.compile(r"[^\x00-\x1f\x7f]{1,128}"), "1 to 128 characters, none of them a control character"),
    "context": ("ctx", re.compile(r"[^\x00-\x1f\x7f]{1,128}"), "1 to 128 characters, none of them a control character"),
    "jti": ("jti", re.compile(r"[A-Za-z0-9_-]{8,64}"), "8 to 64 of A-Z a-z 0-9 _ -"),
    "once": ("once", re.compile(r"[A-Za-z0-9_-]{16,64}"), "'new', or 16 to 64 of A-Z a-z 0-9 _ -"),
}


class Signer:
    """Signs with one key for one site. Raises ValueError for what the gateway would refuse."""

    def __init__(self, *, kid: str, secret: str, audience: str, base: str = "") -> None:
        if not _KID.fullmatch(kid):
            raise ValueError("kid: 1 to 80 of A-Z a-z 0-9 . _ -")
        if not audience or _CONTROL.search(audience):
            raise ValueError("audience: the site's audience, or else its name")
        self._kid = kid
        self._secret = _secret(secret)
        self._audience = audience
        self._base = base.rstrip("/")

    def url(  # noqa: PLR0913 - one argument an option
        self,
        path: str,
        operations: Mapping[str, str | int | float] | None = None,
        *,
        life: int = 3600,
        exact: bool = False,
        not_before: int | None = None,
        ip: str | None = None,
        transform_hash: str | None = None,
        issued: int | None = None,
        countries: Collection[str] | None = None,
        session: str | None = None,
        client: str | None = None,
        user: str | None = None,
        context: str | None = None,
        jti: str | None = None,
        once: str | None = None,
        now: float | None = None,
    ) -> str:
        """The signed URL of a picture: a path as people read it, unescaped, and what to do with the picture.

        life            seconds that the URL lives at most
        exact           let it live exactly that long; else the expiry is rounded down, by a quarter of the life at most,
                        so that one picture has one URL for a while and caches can keep it
        not_before      unix seconds before which it is refused
        ip              client address or network, in its usual short form: 203.0.113.7, 2001:db8::/56
        transform_hash  the hash that binds the operations of the preset that is named
        issued          unix seconds at which it was signed
        countries       codes of the countries from which it opens: ["CH", "DE"]
        session         the session that it lives no longer than
        client          the client whom it is issued to
        user            the user whom it is issued for
        context         what it is made for, such as a campaign
        jti             a name of yours for it, by which it can be revoked
        once            "new" for a URL that opens one time only, or what tells it from others
        now             unix seconds, in place of the clock
        """
        pairs = {name: str(value) for name, value in (operations or {}).items()}
        _check_operations(pairs)
        expires = _expiry(time.time() if now is None else now, life, exact)
        pairs |= {"exp": str(expires), "kid": self._kid}
        if not_before is not None:
            pairs["nbf"] = _not_before(not_before, expires)
        if ip is not None:
            pairs["ip"] = _ip(ip)
        if transform_hash is not None:
            pairs["th"] = _transform_hash(transform_hash, pairs)
        if issued is not None:
            pairs["iat"] = _issued(issued, expires)
        if countries is not None:
            pairs["geo"] = _countries(countries)
        facts = {"session": session, "client": client, "user": user, "context": context, "jti": jti, "once": once}
        pairs |= dict(_fact(option, text) for option, text in facts.items() if text is not None)
        escaped_path = _path(path)
        query = "&".join(sorted(f"{_escape(name)}={_escape(value)}" for name, value in pairs.items()))
        message = f"countermark-v1\nread\n{self._audience}\n{escaped_path}\n{query}".encode()
        signature = hmac.new(self._secret, message, hashlib.sha256).digest()
        return f"{self._base}{escaped_path}?{query}&sig={_base64url(signature)}"


def _secret(text: str) -> bytes:
    try:
        secret = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        secret = b""
    if len(secret) < 32 or _base64url(secret) != text:
        raise ValueError("secret: at least 32 bytes as base64url without padding, as in keys.yaml")
    return secret


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _escape(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("control characters cannot stand in a URL")
    return quote(text, safe="")


def _path(path: str) -> str:
    first, *segments = path.split("/")
    if first or not segments or not {"", ".", ".."}.isdisjoint(segments) or "\\" in path:
        raise ValueError("path: starts with a slash, without empty segments, '.', '..' and backslashes")
    return "".join("/" + _escape(segment) for segment in segments)


def _check_operations(pairs: Mapping[str, str]) -> None:
    if "" in pairs:
        raise ValueError("operations: a name is empty")
    written_here = sorted(pairs.keys() & RESERVED)
    if written_here:
        raise ValueError(f"operations: {', '.join(written_here)} is not an operation")


def _expiry(now: float, life: int, exact: bool) -> int:
    if life < 1:
        raise ValueError("life: at least one second")
    window = 1 if exact else max(1, life // 4)
    expires = int(now + life) // window * window
    if expires not in _TEN_DIGITS:
        raise ValueError("life: ends outside of the times that a URL can say")
    return expires


def _not_before(not_before: int, expires: int) -> str:
    if not_before not in _TEN_DIGITS or not_before >= expires:
        raise ValueError("not_before: unix seconds, earlier than the expiry")
    return str(not_before)


def _ip(text: str) -> str:
    # What a server that listens on IPv6 and IPv4 at once calls an IPv4 client.
    if text.startswith("::ffff:") and "." in text:
        text = text[len("::ffff:") :]
    if not _IP.fullmatch(text):
        raise ValueError("ip: an address or a network such as 203.0.113.0/24")
    return text


def _transform_hash(text: str, pairs: Mapping[str, str]) -> str:
    if not pairs.get("preset") or not _TRANSFORM_HASH.fullmatch(text):
        raise ValueError("transform_hash: 8 to 64 of A-Z a-z 0-9 _ - beside the operation preset")
    return text


def _issued(issued: int, expires: int) -> str:
    if issued not in _TEN_DIGITS or issued > expires:
        raise ValueError("issued: unix seconds, not later than the expiry")
    return str(issued)


def _countries(codes: Collection[str]) -> str:
    # No country at all would bind nothing: never what somebody meant who gave a list.
    if not 1 <= len(codes) <= _MOST_COUNTRIES or not all(_COUNTRY.fullmatch(code) for code in codes):
        raise ValueError("countries: 1 to 250 codes of two letters in upper case, such as CH")
    return ".".join(sorted(set(codes)))


def _fact(option: str, text: str) -> tuple[str, str]:
    name, pattern, words = _FACTS[option]
    if option == "once" and text == "new":
        return name, secrets.token_urlsafe(16)
    if not pattern.fullmatch(text):
        raise ValueError(f"{option}: {words}")
    return name, text
