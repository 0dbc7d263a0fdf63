"""Google Media CDN (cloud.google.com/media-cdn/docs/create-signatures): Ed25519 URLs and cookies, and its tokens.

    gcp_media_cdn          {url}?Expires={unix}&KeyName={id}&Signature={s}                 of the URL in front of Signature
                           {url}?URLPrefix={b64}&Expires={unix}&KeyName={id}&Signature={s}     of these three parameters
                           {prefix}edge-cache-token=Expires={unix}&KeyName={id}&Signature={s}/{rest}   of what comes before
    gcp_media_cdn_cookie   Edge-Cache-Cookie=URLPrefix={b64}:Expires={unix}:KeyName={id}:Signature={s}
    gcp_media_cdn_token    {path}?edge-cache-token={fields joined by ~}~Signature={s}, or ~hmac={hex}

Scheme and host are signed and come from the site's `base_url`. In a token, `FullPath` is signed with the path behind it and
each name in `Headers` with the request's value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network

from countermark.core.encoding import base64, base64url, read_base64, read_base64url, read_hex
from countermark.core.errors import ParameterInvalid, ParameterUnknown, SignatureInvalid
from countermark.core.grant import Network
from countermark.core.request import Address, EdgeRequest
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
from countermark.signing.expiry import read_delimited
from countermark.signing.fields import read_fields
from countermark.signing.glob import covers
from countermark.signing.primitives import holds, sign
from countermark.signing.tail import joined, split_tail
from countermark.signing.viewer import viewer_base

_WHOLE = ("Expires", "KeyName", "Signature")
_PREFIXED = ("URLPrefix", *_WHOLE)
_COOKIE = "Edge-Cache-Cookie"
_TOKEN = "edge-cache-token"  # noqa: S105 - a parameter's name
_FIELDS = (
    "URLPrefix",
    "PathGlobs",
    "FullPath",
    "Starts",
    "Expires",
    "SessionID",
    "Data",
    "Headers",
    "IPRanges",
    "Signature",
    "hmac",
)
_SCOPES = frozenset({"URLPrefix", "PathGlobs", "FullPath"})
_COMPONENT = re.compile(rf"(/|/.*/){_TOKEN}=(Expires=([^&/]*)&KeyName=([^&/]*))&Signature=([^&/]*)/(.+)")
_MAX_PARTS = 10
_ED25519_BYTES = 64
_MAC_BYTES = (20, 32)
_FIELD_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_GLUE = re.compile(r"[,~\x00-\x1f\x7f]|[^\x00-\x7f]")
_ELSEWHERE = "The signature does not belong to this URL."
_WEAK = frozenset({"method-unsigned", "query-unsigned"})
_DENIALS = {
    "signature_missing": Denial(status=403),
    "signature_invalid": Denial(status=403),
    "expired": Denial(status=403),
}
_SIBLINGS = Option(
    name="unsafe_prefix_siblings",
    kind="bool",
    default=False,
    sentence="A URLPrefix may end without a slash, so that /foo covers /foobar too.",
)
_UNSIGNED = Option(
    name="unsafe_unsigned_operations",
    kind="bool",
    default=False,
    sentence="Where the signature does not cover the query, anybody may choose operations there.",
)
_SOURCE = "https://cloud.google.com/media-cdn/docs/create-signatures"


class MediaCDN:
    """Signed URLs, of one URL or of a prefix; the prefix may end with the credentials, as a folder of the path."""

    name = "gcp_media_cdn"
    syntax = "native"
    reserved = frozenset(_PREFIXED)
    denials: Mapping[str, Denial] = _DENIALS
    options: tuple[Option, ...] = (_SIBLINGS, _UNSIGNED)
    capabilities = Capabilities(
        title="Google Media CDN, signed URLs",
        page="gcp_media_cdn",
        source=_SOURCE,
        algorithms=("ed25519",),
        signs_path=True,
        signs_query=True,
        signs_host=True,
        signs_base_url=True,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=True,
        key_ids=True,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        if f"/{_TOKEN}=" in target.path:
            return self._read_component(target, realm)
        if "Signature" not in {pair.name for pair in target.pairs}:
            return None
        pairs, values = split_tail(target, self.reserved)
        if tuple(values) not in (_WHOLE, _PREFIXED):
            raise ParameterInvalid(
                "The URL ends with Expires, KeyName and Signature, URLPrefix in front of them or not."
            )
        signed = "&".join([f"{name}={value}" for name, value in values.items() if name != "Signature"])
        if "URLPrefix" in values:
            _hold_the_prefix(read_base64(_standard(values["URLPrefix"])), target.path, realm, self.name)
            return _presented(target.path, _obeyed(pairs, realm, self.name), values, signed, weak=_WEAK)
        url = viewer_base(realm) + joined(target.path, pairs)
        signed = f"{url}{'&' if pairs else '?'}{signed}"
        return _presented(target.path, pairs, values, signed, weak=frozenset({"method-unsigned"}))

    def _read_component(self, target: Target, realm: Realm) -> Presented:
        """The picture is what the path says without the credentials: all below the folder in front of them is signed."""
        found = _COMPONENT.fullmatch(target.path)
        # With two of them, the one that was signed and the one that a later reader takes out could be different ones.
        if found is None or target.path.count(f"/{_TOKEN}=") != 1:
            raise ParameterInvalid(
                f"The path has one {_TOKEN}=Expires=…&KeyName=…&Signature=… as a folder, in this order."
            )
        folder, facts, expires, key_name, text, rest = found.groups()
        signature = read_base64url(text)
        if signature is None or len(signature) != _ED25519_BYTES:
            raise SignatureInvalid("Signature in a path must be 86 characters of base64url without padding.")
        return Presented(
            signature=signature,
            key_id=key_name,
            path=folder + rest,
            pairs=_obeyed(target.pairs, realm, self.name),
            message=f"{viewer_base(realm)}{folder}{_TOKEN}={facts}".encode(),
            expires=read_delimited("Expires", expires),
            exclusive_expiry=True,
            confidence=_WEAK,
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "ed25519" and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return (("signed text", presented.message.decode()),)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order, takes=frozenset({"prefix", "folder"}))
        refuse_reserved(target, self.reserved)
        base = viewer_base(realm)
        facts = f"Expires={order.expires}&KeyName={key.id}"
        if "folder" in order.extras:
            return _with_component(target, order.extras, base, facts, key)
        if "prefix" in order.extras:
            facts = f"URLPrefix={_padded((base + order.extras['prefix']).encode())}&{facts}"
            signed = facts
        else:
            url = base + joined(target.path, target.pairs)
            signed = f"{url}{'&' if target.pairs else '?'}{facts}"
        tail = f"{facts}&Signature={_padded(sign(key, signed.encode()))}"
        return joined(target.path, (*target.pairs, Pair("", "", tail)))


class MediaCDNCookie:
    """Signed cookies: a prefix of URLs."""

    name = "gcp_media_cdn_cookie"
    syntax = "native"
    reserved: frozenset[str] = frozenset()
    denials: Mapping[str, Denial] = _DENIALS
    options: tuple[Option, ...] = (_SIBLINGS, _UNSIGNED)
    capabilities = Capabilities(
        title="Google Media CDN, signed cookies",
        page="gcp_media_cdn",
        source=_SOURCE,
        algorithms=("ed25519",),
        signs_path=True,
        signs_query=False,
        signs_host=True,
        signs_base_url=True,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=True,
        key_ids=True,
        cookies=frozenset({_COOKIE}),
        unminted="A Media CDN cookie is no part of a URL; sign the URL itself with dialect gcp_media_cdn.",
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        text = read_cookie(request.headers, _COOKIE)
        if text is None:
            return None
        parts = [part.partition("=") for part in text.split(":")]
        values = {name: value for name, _, value in parts}
        if tuple(name for name, _, _ in parts) != _PREFIXED:
            raise ParameterInvalid(f"{_COOKIE} holds {', '.join(_PREFIXED)}, in this order and once each.")
        target = request.target
        _hold_the_prefix(read_base64(_standard(values["URLPrefix"])), target.path, realm, self.name)
        pairs = _obeyed(target.pairs, realm, self.name)
        signed = text.rpartition(":")[0]
        return _presented(target.path, pairs, values, signed, weak=_WEAK, from_headers=True)

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "ed25519" and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return (("signed text", presented.message.decode()),)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        raise ParameterInvalid(self.capabilities.unminted)


class MediaCDNToken:
    """Tokens of dual-token authentication: a prefix, globs or one path, with headers and address ranges."""

    name = "gcp_media_cdn_token"
    syntax = "native"
    reserved = frozenset({_TOKEN})
    denials: Mapping[str, Denial] = _DENIALS
    options: tuple[Option, ...] = (_SIBLINGS, _UNSIGNED)
    capabilities = Capabilities(
        title="Google Media CDN, tokens",
        page="gcp_media_cdn",
        source="https://cloud.google.com/media-cdn/docs/generate-tokens",
        algorithms=("ed25519", "hmac-sha256", "hmac-sha1"),
        signs_path=True,
        signs_query=False,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=True,
        key_ids=False,
        binds=frozenset({"not_before"}),
        forms=("secret", "base64_secret"),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        if _TOKEN not in {pair.name for pair in target.pairs}:
            return None
        *pairs, last = target.pairs
        if not last.raw.startswith(f"{_TOKEN}="):
            raise ParameterInvalid(f"{_TOKEN} must be the last parameter, its name without percent escapes.")
        token = last.raw.removeprefix(f"{_TOKEN}=")
        fields = read_fields(token, _FIELDS)
        if (
            len(_SCOPES & fields.keys()) != 1
            or "Expires" not in fields
            or ("Signature" in fields) == ("hmac" in fields)
        ):
            raise ParameterInvalid("A token has one scope, Expires, and either Signature or hmac.")
        self._hold_the_scope(fields, target.path, realm)
        ranges = _ranges(fields["IPRanges"]) if "IPRanges" in fields else ()
        return Presented(
            signature=_token_signature(fields),
            key_id="",
            path=target.path,
            pairs=_obeyed(tuple(pairs), realm, self.name),
            message=_token_message(token.split("~")[:-1], target.path, request.headers).encode(),
            expires=read_delimited("Expires", fields["Expires"]),
            not_before=read_delimited("Starts", fields["Starts"]) if "Starts" in fields else None,
            exclusive_expiry=True,
            address=_range_of(request.client, ranges),
            # Of several ranges the claims name the client's, so they are not to be remembered for others either.
            from_headers="Headers" in fields or len(ranges) > 1,
            confidence=_WEAK if "URLPrefix" in fields else _WEAK | {"host-unsigned"},
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm in self.capabilities.algorithms and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return (("signed text", presented.message.decode()),)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order, takes=frozenset({"not_before", "address", "prefix", "globs", "id", "data"}))
        refuse_reserved(target, self.reserved)
        fields = [*_scope(realm, order.extras)]
        fields += [] if order.not_before is None else [f"Starts={order.not_before}"]
        fields += [f"Expires={order.expires}"]
        fields += [
            f"{name}={order.extras[word]}"
            for name, word in (("SessionID", "id"), ("Data", "data"))
            if word in order.extras
        ]
        fields += [] if order.address is None else [f"IPRanges={base64url(str(ip_network(order.address)).encode())}"]
        signature = sign(key, _token_message(fields, target.path, {}).encode())
        last = f"Signature={base64url(signature)}" if key.algorithm == "ed25519" else f"hmac={signature.hex()}"
        return joined(target.path, (*target.pairs, Pair("", "", f"{_TOKEN}={'~'.join([*fields, last])}")))

    def _hold_the_scope(self, fields: Mapping[str, str], path: str, realm: Realm) -> None:
        if "URLPrefix" in fields:
            _hold_the_prefix(read_base64url(fields["URLPrefix"]), path, realm, self.name)
        elif "PathGlobs" in fields:
            globs = re.split("[,!]", fields["PathGlobs"])
            if len(globs) > _MAX_PARTS or not any(covers(glob, path) for glob in globs if glob.startswith("/")):
                raise SignatureInvalid(_ELSEWHERE, private=f"token for {fields['PathGlobs']}")
        elif fields["FullPath"] or "~" in path:
            # The path is signed between two "~": one in it would write fields of its own.
            raise ParameterInvalid("FullPath stands without a value, and for no path with a '~'.")


def _with_component(target: Target, extras: Mapping[str, str], base: str, facts: str, key: Key) -> str:
    folder = extras["folder"]
    inside = folder.startswith("/") and folder.endswith("/") and target.path.startswith(folder)
    if not inside or target.query is not None or extras.keys() != {"folder"}:
        raise ParameterInvalid(
            "folder is one with a slash at both ends in which the path lies, for a URL without query."
        )
    signed = f"{folder}{_TOKEN}={facts}"
    signature = base64url(sign(key, f"{base}{signed}".encode()))
    return f"{signed}&Signature={signature}/{target.path.removeprefix(folder)}"


def _presented(
    path: str,
    pairs: tuple[Pair, ...],
    values: Mapping[str, str],
    signed: str,
    *,
    weak: frozenset[str],
    from_headers: bool = False,
) -> Presented:
    signature = read_base64(_standard(values["Signature"]))
    if signature is None or len(signature) != _ED25519_BYTES:
        raise SignatureInvalid("Signature must be 88 characters of base64url with padding.")
    return Presented(
        signature=signature,
        key_id=values["KeyName"],
        path=path,
        pairs=pairs,
        message=signed.encode(),
        expires=read_delimited("Expires", values["Expires"]),
        exclusive_expiry=True,
        from_headers=from_headers,
        confidence=weak,
    )


def _hold_the_prefix(decoded: bytes | None, path: str, realm: Realm, dialect: str) -> None:
    try:
        prefix = "" if decoded is None else decoded.decode("ascii")
    except UnicodeDecodeError:
        prefix = ""
    base = viewer_base(realm)
    if not prefix or "?" in prefix or "#" in prefix:
        raise ParameterInvalid("URLPrefix must be the base64url of a URL's beginning.")
    if not prefix.endswith("/") and not realm.flag(dialect, "unsafe_prefix_siblings"):
        raise ParameterInvalid("URLPrefix must end with a slash, or it covers siblings too.")
    # A prefix that ends within the host would cover other hosts.
    if not prefix.startswith(f"{base}/") or not f"{base}{path}".startswith(prefix):
        raise SignatureInvalid(_ELSEWHERE, private=f"prefix {prefix}")


def _obeyed(pairs: tuple[Pair, ...], realm: Realm, dialect: str) -> tuple[Pair, ...]:
    if pairs and not realm.flag(dialect, "unsafe_unsigned_operations"):
        raise ParameterUnknown("The signature does not cover the query, so the URL must not have other parameters.")
    return pairs


def _token_message(fields: list[str], path: str, headers: Mapping[str, str]) -> str:
    return "~".join([_signed_field(field, path, headers) for field in fields])


def _signed_field(field: str, path: str, headers: Mapping[str, str]) -> str:
    if field == "FullPath":
        return f"FullPath={path}"
    name, _, value = field.partition("=")
    if name != "Headers":
        return field
    return (
        f"Headers={','.join([f'{header}={_header(header, headers)}' for header in value.split(',')[: _MAX_PARTS + 1]])}"
    )


def _header(name: str, headers: Mapping[str, str]) -> str:
    value = headers.get(name.lower())
    # Values are signed between commas and "~": one with either could stand for another header or field, and take the place
    # of one that a proxy in front has set.
    if not _FIELD_NAME.fullmatch(name) or value is None or _GLUE.search(value):
        raise SignatureInvalid(_ELSEWHERE, private=f"header {name[:64]!r} is missing or cannot be signed")
    return value


def _token_signature(fields: Mapping[str, str]) -> bytes:
    if "Signature" in fields:
        signature = read_base64url(fields["Signature"])
        if signature is not None and len(signature) == _ED25519_BYTES:
            return signature
        raise SignatureInvalid("Signature must be 86 characters of base64url without padding.")
    signature = read_hex(fields["hmac"])
    if signature is None or len(signature) not in _MAC_BYTES:
        raise SignatureInvalid("hmac must be 40 or 64 hexadecimal digits in lower case.")
    return signature


def _ranges(text: str) -> tuple[Network, ...]:
    data = read_base64url(text)
    written = () if data is None else data.decode("ascii", errors="replace").split(",")[:_MAX_PARTS]
    ranges = tuple(network for network in map(_network, written) if network is not None)
    if not ranges:
        raise ParameterInvalid("IPRanges must be the base64url of networks, joined by commas.")
    return ranges


def _network(text: str) -> Network | None:
    """None for what is no network, and so nobody's: the vendor's own example has one that is cut short."""
    try:
        return ip_network(text)
    except ValueError:
        return None


def _range_of(client: Address, ranges: tuple[Network, ...]) -> Network | None:
    """The range that the client is in; else the first, which refuses him once the signature is known to hold."""
    if not ranges:
        return None
    return next((network for network in ranges if client in network), ranges[0])


def _scope(realm: Realm, extras: Mapping[str, str]) -> tuple[str, ...]:
    if "prefix" in extras:
        return (f"URLPrefix={base64url((viewer_base(realm) + extras['prefix']).encode())}",)
    return (f"PathGlobs={extras['globs']}",) if "globs" in extras else ("FullPath",)


def _standard(text: str) -> str:
    """Base64url with padding as plain base64; what has the other alphabet already becomes nothing that is read."""
    return "!" if {"+", "/"} & set(text) else text.translate(str.maketrans("-_", "+/"))


def _padded(data: bytes) -> str:
    return base64(data).translate(str.maketrans("+/", "-_"))
