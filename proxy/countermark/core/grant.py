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


class Grant(Struct, frozen=True, kw_only=True):
    """A yes: this object of this site, until then. `shareable` is False where a shared cache must not keep the answer."""

    site: str
    object_path: str
    claims: Claims
    expires: int | None
    shareable: bool
