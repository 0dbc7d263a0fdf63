"""nginx: secure_link with secure_link_md5, secure_link_secret, and the third-party module secure_link_hmac.

    nginx_secure_link          /a.jpg?md5=H&expires=N     H = base64url MD5 of a template (nginx.org, secure_link_module)
    nginx_secure_link_secret   /p/H/a.jpg                 H = hex MD5({a.jpg and query}{secret})
    nginx_secure_link_hmac     /a.jpg?st=H&ts=T&e=L       H = base64url HMAC of a template
                               (github.com/nginx-modules/ngx_http_hmac_secure_link_module)

The two with templates take the directives as options, with {secret} where nginx has the secret; signing/template.py reads
them. What is made of a template covers what the template names: a parameter outside of it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import formatdate, parsedate_to_datetime
from ipaddress import ip_network
from urllib.parse import quote, urlsplit

from msgspec import Struct

from countermark.core.encoding import base64url, read_base64url
from countermark.core.errors import ParameterInvalid, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair, Target, decode_path
from countermark.keys.keyring import Key
from countermark.settings.option import Option
from countermark.signing.dialect import (
    Capabilities,
    Denial,
    MintOrder,
    Presented,
    Realm,
    refuse_reserved,
    refuse_unfillable,
)
from countermark.signing.endless import ALWAYS_ENDLESS, MAY_BE_ENDLESS
from countermark.signing.expiry import read_expiry
from countermark.signing.primitives import digest, holds, same, sign
from countermark.signing.query import plain, refuse_unsigned
from countermark.signing.template import Template, compiled, hold

_DENIALS = {
    "signature_missing": Denial(status=403),
    "signature_invalid": Denial(status=403),
}
_MD5_BYTES = 16
_HOUR = 3600
_MAC_BYTES = frozenset({16, 20, 32, 64})
_CHARACTERS = "/!$&'()*+,;=:@~"
"""What a path may hold as it is (RFC 3986 §3.3)."""

_FIELD = r"\$(?:arg_[A-Za-z][A-Za-z0-9_]{0,63}|http_[a-z0-9_]{1,64})"
_LINK = re.compile(rf"{_FIELD}(?:,{_FIELD})?")
_HMAC_LINK = re.compile(rf"{_FIELD}(?:,{_FIELD}){{0,2}}")
_ARGUMENT = re.compile(r"\$(arg_[A-Za-z0-9_]+)")
_HEX = re.compile(r"[0-9a-f]{32}")
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)
_LIFETIME = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)

_SPELLINGS = Option(
    name="unsafe_spellings",
    kind="bool",
    default=False,
    sentence="Takes any percent-escaping of what is hashed decoded, so that a link has many spellings.",
)


def _check_link(text: str) -> None:
    if not _LINK.fullmatch(text):
        raise ValueError("one or two of $arg_NAME and $http_NAME with a comma between them")


def _check_hmac_link(text: str) -> None:
    if not _HMAC_LINK.fullmatch(text):
        raise ValueError("one to three of $arg_NAME and $http_NAME with commas between them")


def _check_md5(text: str) -> None:
    _check_template(text)
    if "{secret}" not in text:
        raise ValueError("a template with {secret} in it")


def _check_message(text: str) -> None:
    _check_template(text)
    if "{secret}" in text:
        raise ValueError("a template without {secret}, which is the HMAC's key")


def _check_template(text: str) -> None:
    """A template whose parts keep apart, with or without one of its arguments being the expiry, that holds the path."""
    spellings = [text, *(_with_expiry(text, name) for name in _ARGUMENT.findall(text))]
    fault = ""
    for spelling in spellings:
        try:
            variables = compiled(spelling).variables
        except ValueError as error:
            fault = fault or str(error)
            continue
        if not {"uri", "request_uri"} & set(variables):
            raise ValueError("a template with $uri or $request_uri: without the path a link opens everything")
        return
    raise ValueError(fault)


class _Link(Struct, frozen=True, kw_only=True):
    """The fields of the first directive, the template of the second, and whether hashing sees arguments decoded."""

    dialect: str
    fields: tuple[str, ...]
    text: str
    template: Template
    decoded: bool

    @property
    def own(self) -> frozenset[str]:
        """Names of the parameters that carry the link's fields."""
        return frozenset(name.removeprefix("arg_") for name in self.fields if name.startswith("arg_"))

    @property
    def from_headers(self) -> bool:
        """Whether any of it stands in header fields."""
        return any(name.startswith("http_") for name in (*self.fields, *self.template.variables))


class NginxSecureLink:
    """What an operator's template says, by MD5."""

    name = "nginx_secure_link"
    syntax = "native"
    reserved = frozenset({"md5", "expires"})
    denials: Mapping[str, Denial] = _DENIALS
    options = (
        Option(
            name="secure_link",
            kind="str",
            default="$arg_md5,$arg_expires",
            sentence="The directive: where hash and expiry stand, in $arg_NAME or $http_NAME.",
            check=_check_link,
        ),
        Option(
            name="secure_link_md5",
            kind="str",
            default="$secure_link_expires$uri$remote_addr {secret}",
            sentence="The directive: what is hashed, with {secret} in the secret's place.",
            check=_check_md5,
        ),
        MAY_BE_ENDLESS,
        _SPELLINGS,
    )
    capabilities = Capabilities(
        title="nginx, secure_link with secure_link_md5; what is signed is what the template says",
        page="nginx",
        source="https://nginx.org/en/docs/http/ngx_http_secure_link_module.html",
        algorithms=("md5",),
        signs_path=True,
        signs_query=True,
        signs_host=True,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=False,
        key_ids=False,
        forms=("text_secret", "secret"),
        least_secret=8,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        link = _link(self.name, realm, "secure_link", "secure_link_md5", decoded=False)
        fields = _fields(request, link)
        if not fields:
            return None
        # nginx cuts what the directive yields at its first comma, wherever the fields came from.
        hashed, comma, expiry = ",".join(fields).partition(",")
        expires = read_expiry("The expiry", expiry) if comma else None
        _hold_the_end(link, expires)
        return _presented(
            request, link, realm, signature=_base64url(hashed, {_MD5_BYTES}), expires=expires, confidence="md5"
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        text, *values = presented.message.decode().split("\n")
        glued = compiled(text).glue(tuple(values), key.material)
        return key.algorithm == "md5" and same(digest(key, glued), presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return _parts(presented)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        link = _link(self.name, realm, "secure_link", "secure_link_md5", decoded=False)
        values = _ordered(link, target, realm, order, {"secure_link_expires": str(order.expires)})
        named = tuple(values[name] for name in link.template.variables)
        hashed = base64url(digest(key, link.template.glue(named, key.material)))
        if len(link.fields) == 1:
            return _written(target, link, (f"{hashed},{order.expires}",))
        return _written(target, link, (hashed, str(order.expires)))


class NginxSecureLinkHMAC:
    """What an operator's template says, by HMAC."""

    name = "nginx_secure_link_hmac"
    syntax = "native"
    reserved = frozenset({"st", "ts", "e"})
    denials: Mapping[str, Denial] = _DENIALS
    options = (
        Option(
            name="secure_link_hmac",
            kind="str",
            default="$arg_st,$arg_ts,$arg_e",
            sentence="The directive: where token, time of issue and lifetime stand, in $arg_NAME or $http_NAME.",
            check=_check_hmac_link,
        ),
        Option(
            name="secure_link_hmac_message",
            kind="str",
            default="$uri|$arg_ts|$arg_e",
            sentence="The directive: what is signed.",
            check=_check_message,
        ),
        MAY_BE_ENDLESS,
        _SPELLINGS,
    )
    capabilities = Capabilities(
        title="nginx, secure_link_hmac; what is signed is what the template says",
        page="nginx",
        source="https://github.com/nginx-modules/ngx_http_hmac_secure_link_module",
        algorithms=("hmac-sha256", "hmac-sha512", "hmac-sha1", "hmac-md5"),
        signs_path=True,
        signs_query=True,
        signs_host=True,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=False,
        key_ids=False,
        binds=frozenset({"issued"}),
        forms=("text_secret", "secret"),
        least_secret=12,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        link = _link(self.name, realm, "secure_link_hmac", "secure_link_hmac_message", decoded=True)
        fields = _fields(request, link)
        if not fields:
            return None
        issued = _time(fields[1]) if len(fields) > 1 else None
        lifetime = _lifetime(fields[2]) if len(fields) > 2 else 0
        expires = issued + lifetime if issued is not None and lifetime else None
        for name in link.fields[1:]:
            _hold_the_field(link, name)
        signature = _base64url(fields[0], _MAC_BYTES)
        return _presented(request, link, realm, signature=signature, expires=expires, issued=issued)

    def holds(self, presented: Presented, key: Key) -> bool:
        text, *values = presented.message.decode().split("\n")
        message = compiled(text).glue(tuple(values), b"")
        return key.algorithm in self.capabilities.algorithms and holds(key, message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return _parts(presented)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        link = _link(self.name, realm, "secure_link_hmac", "secure_link_hmac_message", decoded=True)
        # Whole hours, counted back from the expiry: one picture keeps one URL while its expiry stays the same.
        lifetime = -(-(order.expires - order.now) // _HOUR) * _HOUR
        times = (str(order.expires - lifetime), str(lifetime))
        if len(link.fields) != 1 + len(times):
            raise ParameterInvalid("This site's links have no lifetime, so none with an end can be made.")
        values = _ordered(link, target, realm, order, dict(zip(link.fields[1:], times, strict=True)))
        message = link.template.glue(tuple(values[name] for name in link.template.variables), b"")
        return _written(target, link, (base64url(sign(key, message)), *times))


class NginxSecureLinkSecret:
    """Path and query for ever."""

    name = "nginx_secure_link_secret"
    syntax = "native"
    reserved: frozenset[str] = frozenset()
    denials: Mapping[str, Denial] = _DENIALS
    options = (
        Option(name="prefix", kind="str", default="p", sentence="The path's first segment, before the hash."),
        ALWAYS_ENDLESS,
    )
    capabilities = Capabilities(
        title="nginx, secure_link_secret",
        page="nginx",
        source="https://nginx.org/en/docs/http/ngx_http_secure_link_module.html",
        algorithms=("md5",),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=False,
        address=False,
        prefix=False,
        key_ids=False,
        forms=("text_secret", "secret"),
        least_secret=8,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        prefix, _, rest = target.raw[1:].partition("/")
        # nginx takes any first segment; it is not hashed, so one of them has to do.
        if prefix != realm.text(self.name, "prefix") or not rest:
            return None
        hashed, _, link = rest.partition("/")
        path = link.partition("?")[0]
        if not _HEX.fullmatch(hashed) or not path:
            raise SignatureInvalid("There is no hash before the link: 32 hexadecimal digits in lower case.")
        return Presented(
            signature=bytes.fromhex(hashed),
            key_id="",
            path=f"/{path}",
            # The prefix opens the location and is no part of the picture's name.
            source=path,
            pairs=target.pairs,
            message=link.encode(),
            confidence=frozenset({"md5", "host-unsigned", "method-unsigned"}),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "md5" and same(digest(key, presented.message + key.material), presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return ("link", presented.message.decode()), ("secret", "{secret}")

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order)
        link = target.raw[1:]
        hashed = digest(key, link.encode() + key.material).hex()
        return f"/{realm.text(self.name, 'prefix')}/{hashed}/{link}"


def _link(dialect: str, realm: Realm, first: str, second: str, *, decoded: bool) -> _Link:
    fields = tuple(name.removeprefix("$") for name in realm.text(dialect, first).split(","))
    text = realm.text(dialect, second)
    if not decoded and len(fields) == 2:
        text = _with_expiry(text, fields[1])
    try:
        template = compiled(text)
    except ValueError as error:
        raise SignatureInvalid("The signature does not belong to this URL.", private=f"should be {error}") from None
    return _Link(dialect=dialect, fields=fields, text=text, template=template, decoded=decoded)


def _with_expiry(text: str, argument: str) -> str:
    """The template with this argument called what it is: the expiry, of which the length is known."""
    return re.sub(rf"\${argument}(?![A-Za-z0-9_])", "$secure_link_expires", text)


def _fields(request: EdgeRequest, link: _Link) -> tuple[str, ...]:
    """The first directive's values, as they stand or decoded; nothing where no link is there."""
    pairs = {pair.name: pair for pair in request.target.pairs}
    hashed = link.fields[0]
    carried = bool(_header(request, hashed)) if hashed.startswith("http_") else hashed.removeprefix("arg_") in pairs
    if not carried:
        return ()
    return tuple(
        _header(request, name)
        if name.startswith("http_")
        else _own(pairs, name.removeprefix("arg_"), decoded=link.decoded and name != hashed)
        for name in link.fields
    )


def _own(pairs: Mapping[str, Pair], name: str, *, decoded: bool) -> str:
    if name not in pairs:
        raise ParameterInvalid(f"{name} is required.")
    return pairs[name].value if decoded else plain(pairs[name])


def _header(request: EdgeRequest, variable: str) -> str:
    value = request.headers.get(variable.removeprefix("http_").replace("_", "-"), "")
    if not value.isascii():
        raise ParameterInvalid("A header field that is signed holds ASCII only.")
    return value


def _hold_the_end(link: _Link, expires: int | None) -> None:
    """Refuse an expiry that anybody could change."""
    if (expires is not None) != ("secure_link_expires" in link.template.variables):
        private = "secure_link_md5 holds an expiry that secure_link does not bring, or the other way about"
        raise SignatureInvalid("The signature does not belong to this URL.", private=private)


def _hold_the_field(link: _Link, name: str) -> None:
    if name not in link.template.variables:
        private = f"secure_link_hmac_message does not hold ${name}: anybody could change it"
        raise SignatureInvalid("The signature does not belong to this URL.", private=private)


def _presented(
    request: EdgeRequest,
    link: _Link,
    realm: Realm,
    *,
    signature: bytes,
    expires: int | None,
    issued: int | None = None,
    confidence: str = "",
) -> Presented:
    target, variables = request.target, set(link.template.variables)
    whole = not variables.isdisjoint({"args", "request_uri"})
    if not whole:
        refuse_unsigned(
            {pair.name for pair in target.pairs} - link.own - {name.removeprefix("arg_") for name in variables}
        )
    path = _path(target.path, realm, link) if "uri" in variables else target.path
    values = _values(request, link, realm, expires)
    hold(link.template, values)
    weak = {"method-unsigned", confidence, "" if "host" in variables else "host-unsigned"} - {""}
    return Presented(
        signature=signature,
        key_id="",
        path=path,
        pairs=tuple([pair for pair in target.pairs if pair.name not in link.own]),
        message="\n".join((link.text, *(values[name] for name in link.template.variables))).encode(),
        expires=expires,
        issued=issued,
        address=ip_network(request.client) if "remote_addr" in variables else None,
        from_headers=link.from_headers,
        confidence=frozenset(weak),
    )


def _values(request: EdgeRequest, link: _Link, realm: Realm, expires: int | None) -> dict[str, str]:
    """What each variable of the template stands for in this request."""
    target = request.target
    if not request.host.isascii():
        raise ParameterInvalid("The host holds ASCII only.")
    values = {
        "uri": f"/{decode_path(target.path)}",
        "request_uri": target.raw,
        "args": target.query or "",
        "remote_addr": str(request.client),
        "host": request.host,
        "secure_link_expires": "" if expires is None else str(expires),
    }
    pairs = {pair.name: pair for pair in target.pairs}
    for variable in link.template.variables:
        if variable.startswith("http_"):
            values[variable] = _header(request, variable)
        if variable.startswith("arg_"):
            values[variable] = _argument(pairs.get(variable.removeprefix("arg_")), link, realm)
    return values


def _argument(pair: Pair | None, link: _Link, realm: Realm) -> str:
    if pair is None:
        return ""
    name, equals, raw = pair.raw.partition("=")
    # An empty value and none at all are hashed alike.
    if name != pair.name or not equals or not raw:
        raise ParameterInvalid(f"{pair.name[:40]} must have a value, and no escapes in its name.")
    if not link.decoded:
        return raw
    if raw != quote(pair.value, safe="") and not realm.flag(link.dialect, _SPELLINGS.name):
        raise ParameterInvalid("Parameters escape every byte but A-Z a-z 0-9 - . _ ~ as %XX in upper case.")
    return pair.value


def _path(path: str, realm: Realm, link: _Link) -> str:
    """The path in the one spelling that is its own: $uri is decoded, so that each of them has the same hash."""
    spelled = quote(f"/{decode_path(path)}", safe=_CHARACTERS)
    if path != spelled and not realm.flag(link.dialect, _SPELLINGS.name):
        raise ParameterInvalid("The path escapes what must be escaped (RFC 3986) and nothing else, in upper case.")
    return spelled


def _ordered(link: _Link, target: Target, realm: Realm, order: MintOrder, times: Mapping[str, str]) -> dict[str, str]:
    """What each variable of the template will stand for in the request that is ordered."""
    bound = "remote_addr" in link.template.variables
    refuse_unfillable(link.dialect, order, takes=frozenset({"address"} if bound else ()))
    refuse_reserved(target, link.own)
    if link.from_headers:
        raise ParameterInvalid("This site's links hold header fields, which stand in no URL.")
    if bound and order.address is None:
        raise ParameterInvalid("This site binds its links to an address, and none was given (--ip).")
    client = ip_network(order.address or "192.0.2.0").network_address
    host = urlsplit(realm.base_url).hostname or ""
    request = EdgeRequest(id="", method="GET", target=target, host=host, client=client, headers={}, received=0.0)
    return {**_values(request, link, realm, None), **times}


def _written(target: Target, link: _Link, values: tuple[str, ...]) -> str:
    pairs = [
        f"{name.removeprefix('arg_')}={quote(value, safe=',')}" for name, value in zip(link.fields, values, strict=True)
    ]
    return f"{target.raw}{'?' if target.query is None else '&'}{'&'.join(pairs)}"


def _parts(presented: Presented) -> tuple[tuple[str, str], ...]:
    text, *values = presented.message.decode().split("\n")
    left = iter(values)
    return tuple((f"${name}", next(left)) if name else ("text", literal) for name, literal in compiled(text).parts)


def _base64url(text: str, sizes: set[int] | frozenset[int]) -> bytes:
    signature = read_base64url(text)
    if signature is None or len(signature) not in sizes:
        raise SignatureInvalid("The hash is not one: base64url without padding.")
    return signature


def _time(text: str) -> int:
    """Unix seconds of ten digits, of an ISO 8601 time with its offset, or of an IMF-fixdate (RFC 9110 §5.6.7)."""
    try:
        if _ISO.fullmatch(text):
            return int(datetime.fromisoformat(text).timestamp())
        if text.endswith(" GMT"):
            seconds = int(parsedate_to_datetime(text).timestamp())
            if formatdate(seconds, usegmt=True) == text:
                return seconds
    except (ValueError, TypeError, OverflowError):
        pass
    return read_expiry("The time of issue", text)


def _lifetime(text: str) -> int:
    if not _LIFETIME.fullmatch(text):
        raise ParameterInvalid("The lifetime must be a whole number of seconds.")
    return int(text)
