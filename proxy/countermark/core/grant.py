"""What a request may do: Claims are what its credentials say, a Grant is what the site makes of them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from msgspec import Struct

from countermark.core.target import Pair

Network = IPv4Network | IPv6Network


class Claims(Struct, frozen=True, kw_only=True):
    """The authentic content of a request's credentials. Only `signing/verify.py` makes one, and only after the MAC held.

    path         the raw (percent-encoded) path that was signed, without the dialect's own parts
    pairs        the query pairs that remain for the URL syntax: reserved parameters are taken out
    id           revocation handle: SHA-256 over dialect, key id and the signed bytes (never the signature's text)
    expires      unix seconds after which it is refused, None where the dialect has no expiry
    address      client network it is bound to, already compared with the request
    preset       name of a preset and the transform hash it was signed with ("" where not bound)
    source       object key or absolute URL that the credentials name, percent-encoded, to be decoded once; "" is the path
                 behind the site's prefix
    issued       unix seconds at which it was made
    once         id of a credential that opens one time only
    client_id    whom the issuer gave it to
    user         for which of his users, as the issuer names them
    session      the session that it lives no longer than
    jti          the issuer's own name for it, by which he may take it back
    context      what it was made for, such as a campaign
    countries    ISO 3166-1 alpha-2 codes that it is bound to, in upper case; empty for all
    blocked_countries  ISO 3166-1 alpha-2 codes that it is closed to, in upper case
    exclusive_expiry   whether it ends at `expires` itself and not after it
    cache_life   seconds that caches downstream may keep the answer, though the permission end before; 0 for the site's rule
    from_headers       whether any of it was read from header fields, so that the URL alone proves nothing
    confidence   weaknesses of the format, for docs and policy: md5, sha1, truncated, method-unsigned, host-unsigned,
                 query-unsigned, case-folded
    """

    dialect: str
    syntax: str
    key_id: str
    id: bytes
    path: str
    pairs: tuple[Pair, ...]
    expires: int | None = None
    not_before: int | None = None
    address: Network | None = None
    preset: str = ""
    transform_hash: str = ""
    source: str = ""
    issued: int | None = None
    once: str = ""
    client_id: str = ""
    user: str = ""
    session: str = ""
    jti: str = ""
    context: str = ""
    countries: frozenset[str] = frozenset()
    blocked_countries: frozenset[str] = frozenset()
    exclusive_expiry: bool = False
    cache_life: int = 0
    from_headers: bool = False
    confidence: frozenset[str] = frozenset()


class Grant(Struct, frozen=True, kw_only=True):
    """A yes: this object of this site, until then. `shareable` is False where a shared cache must not keep the answer."""

    site: str
    object_key: str
    claims: Claims
    expires: int | None
    shareable: bool
