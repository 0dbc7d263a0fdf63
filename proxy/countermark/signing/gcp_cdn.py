"""Google Cloud CDN: signed URLs, signed prefixes and signed cookies (cloud.google.com/cdn/docs, "Using signed URLs").

    URL       …?w=800&Expires=N&KeyName=K&Signature=S            S of scheme, host, path and query before &Signature=
    prefix    …?URLPrefix=B&Expires=N&KeyName=K&Signature=S      S of the four but Signature; B is base64url of a URL
    cookie    Cloud-CDN-Cookie: URLPrefix=B:Expires=N:KeyName=K:Signature=S

S is HMAC-SHA1 in base64url with padding; keys are 16 bytes. What stands in the query beside a prefix is not signed.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from countermark.core.encoding import read_base64url
from countermark.core.errors import ParameterInvalid, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair, Target
from countermark.keys.keyring import Key
from countermark.settings.option import Option
from countermark.signing.cookies import read_cookie
from countermark.signing.dialect import (
    Capabilities,
    Denial,
    MintOrder,
    Presented,
    Realm,
    refuse_reserved,
    refuse_unfillable,
)
from countermark.signing.expiry import read_expiry
from countermark.signing.primitives import holds, sign
from countermark.signing.query import refuse_unsigned

COOKIE = "Cloud-CDN-Cookie"

_URL = ("Expires", "KeyName", "Signature")
_PREFIX = ("URLPrefix", *_URL)
_MAC_BYTES = 20
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DENIALS = {
    "signature_missing": Denial(status=403),
    "signature_invalid": Denial(status=403),
    "expired": Denial(status=403),
}
_WEAK = frozenset({"sha1", "method-unsigned"})
_IGNORED_QUERY = Option(
    name="unsafe_ignored_query",
    kind="bool",
    default=False,
    sentence="Takes parameters beside a signed prefix, which anybody can add, and ignores them.",
)


class GCPCDN:
    """A whole URL, or everything below a prefix, until a time."""

    name = "gcp_cdn"
    syntax = "native"
    reserved = frozenset(_PREFIX)
    denials: Mapping[str, Denial] = _DENIALS
    options = (_IGNORED_QUERY,)
    capabilities = Capabilities(
        title="Google Cloud CDN, signed URL or prefix",
        page="gcp_cdn",
        source="https://cloud.google.com/cdn/docs/using-signed-urls",
        algorithms=("hmac-sha1",),
        signs_path=True,
        signs_query=True,
        signs_host=True,
        signs_base_url=True,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=True,
        key_ids=True,
        forms=("base64_secret", "secret"),
        least_secret=16,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        names = {pair.name for pair in target.pairs}
        if "Signature" not in names:
            return None
        fields = _PREFIX if "URLPrefix" in names else _URL
        # The vendor's own order and place, and raw names: each URL has one spelling.
        own, signed = target.pairs[-len(fields) :], target.pairs[: -len(fields)]
        values = _values([pair.raw for pair in own], fields)
        if fields is _PREFIX:
            _hold_the_prefix(values["URLPrefix"], target, realm)
            if not realm.flag(self.name, _IGNORED_QUERY.name):
                refuse_unsigned(pair.name for pair in signed)
            return _presented(values, target, (), _joined(own))
        text = f"{_viewer_url(target, realm)}?{_joined((*signed, *own))}"
        return _presented(values, target, signed, text)

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "hmac-sha1" and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        text = presented.message.decode()
        url, mark, query = text.partition("?")
        return (("url", url), ("query", query)) if mark else (("prefix", text),)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order, takes=frozenset({"prefix"}))
        refuse_reserved(target, self.reserved)
        last = f"Expires={order.expires}&KeyName={key.id}"
        if "prefix" in order.extras:
            if target.query is not None:
                raise ParameterInvalid("A signed prefix does not sign a query.")
            text = f"URLPrefix={_padded(order.extras['prefix'].encode())}&{last}"
            return f"{target.path}?{text}&Signature={_padded(sign(key, text.encode()))}"
        query = f"{target.query}&{last}" if target.query else last
        signature = _padded(sign(key, f"{_viewer_url(target, realm)}?{query}".encode()))
        return f"{target.path}?{query}&Signature={signature}"


class GCPCDNCookie:
    """Everything below a prefix until a time, for whoever has the cookie."""

    name = "gcp_cdn_cookie"
    syntax = "native"
    reserved: frozenset[str] = frozenset()
    denials: Mapping[str, Denial] = _DENIALS
    options = (_IGNORED_QUERY,)
    capabilities = Capabilities(
        title="Google Cloud CDN, signed cookie",
        page="gcp_cdn",
        source="https://cloud.google.com/cdn/docs/using-signed-cookies",
        algorithms=("hmac-sha1",),
        signs_path=True,
        signs_query=False,
        signs_host=True,
        signs_base_url=True,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=True,
        key_ids=True,
        forms=("base64_secret", "secret"),
        least_secret=16,
        cookies=frozenset({COOKIE}),
        unminted="A Cloud CDN cookie is no part of a URL: its value is that of a prefix of gcp_cdn, with ':' for '&'.",
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        cookie = read_cookie(request.headers, COOKIE)
        if cookie is None:
            return None
        values = _values(cookie.split(":"), _PREFIX)
        _hold_the_prefix(values["URLPrefix"], request.target, realm)
        if not realm.flag(self.name, _IGNORED_QUERY.name):
            refuse_unsigned(pair.name for pair in request.target.pairs)
        text = cookie[: cookie.rindex(":")]
        return _presented(values, request.target, (), text, from_headers=True)

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "hmac-sha1" and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return (("cookie", presented.message.decode()),)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        raise ParameterInvalid(self.capabilities.unminted)


def _presented(
    values: Mapping[str, str], target: Target, pairs: tuple[Pair, ...], text: str, *, from_headers: bool = False
) -> Presented:
    if not _KEY_ID.fullmatch(values["KeyName"]):
        raise ParameterInvalid("KeyName must be the name of a key.")
    by_prefix = "URLPrefix" in values
    return Presented(
        signature=_mac(values["Signature"]),
        key_id=values["KeyName"],
        path=target.path,
        pairs=pairs,
        message=text.encode(),
        expires=read_expiry("Expires", values["Expires"]),
        exclusive_expiry=True,
        from_headers=from_headers,
        confidence=_WEAK | {"query-unsigned"} if by_prefix else _WEAK,
    )


def _values(raws: list[str], fields: tuple[str, ...]) -> dict[str, str]:
    """The values of exactly these fields in exactly this order."""
    named = [raw.partition("=") for raw in raws]
    if tuple(name for name, _, _ in named) != fields:
        raise ParameterInvalid(f"A signature ends with {', '.join(fields)}, in this order.")
    return {name: value for name, _, value in named}


def _joined(pairs: tuple[Pair, ...]) -> str:
    """The pairs as they stand, without the signature behind them."""
    return "&".join([pair.raw for pair in pairs[:-1]])


def _viewer_url(target: Target, realm: Realm) -> str:
    """Scheme, host and path as the viewer sees them: from the settings, never from a header that anybody can write."""
    if not realm.base_url:
        raise SignatureInvalid("The signature does not belong to this URL.", private="sites[].base_url is not set")
    return realm.base_url + target.path


def _hold_the_prefix(written: str, target: Target, realm: Realm) -> None:
    """Refuse a URL that is not below the signed prefix.

    The vendor compares characters, so that https://host/foo covers https://host/foobar too. Here a prefix ends at a
    slash: without one it covers itself and what is below it.
    """
    data = read_base64url(written.rstrip("="))
    if data is None or _padded(data) != written:
        raise ParameterInvalid("URLPrefix must be base64url with padding.")
    prefix, url = data.decode("latin-1"), _viewer_url(target, realm)
    # "http://" alone would be a key to every host.
    here = f"{prefix}/".startswith(f"{realm.base_url}/")
    if not here or (prefix != url and not url.startswith(f"{prefix.removesuffix('/')}/")):
        raise SignatureInvalid("The signature does not belong to this URL.", private="the URL is not below URLPrefix")


def _padded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode()


def _mac(text: str) -> bytes:
    mac = read_base64url(text.rstrip("="))
    if mac is None or len(mac) != _MAC_BYTES or _padded(mac) != text:
        raise SignatureInvalid("Signature is not a signature: 28 characters of base64url with padding.")
    return mac
