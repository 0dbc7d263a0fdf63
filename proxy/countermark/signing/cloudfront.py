"""Amazon CloudFront signed URLs and signed cookies (CloudFront Developer Guide, "Serve private content").

    canned policy   {url}?Expires={unix}&Signature={s}&Key-Pair-Id={id}
    custom policy   {url}?Policy={json in base64}&Signature={s}&Key-Pair-Id={id}
    cookies         CloudFront-Expires or CloudFront-Policy, CloudFront-Signature, CloudFront-Key-Pair-Id

Signed is the policy: of a canned one the JSON that both sides make of URL and expiry, of a custom one the bytes as they
came. `Hash-Algorithm=SHA256` stands beside it where the key's algorithm is not RSA with SHA-1. Base64 has -_~ for +=/.
The URL is the viewer's: scheme and host come from the site's `base_url`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

from msgspec import Struct

from countermark.core.encoding import base64, read_base64
from countermark.core.errors import ParameterInvalid, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair, Target
from countermark.keys.keyring import Key
from countermark.settings.option import Option
from countermark.signing import primitives
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
from countermark.signing.glob import covers
from countermark.signing.tail import joined, split_tail
from countermark.signing.viewer import viewer_base

MAX_POLICY = 4096

_NAMES = frozenset({"Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"})
_SHA256 = "SHA256"
_RESOURCE = re.compile(r"(?:https?|http\*)://[!-~]+")
_LATEST = 9_999_999_999
_TO_BASE64 = str.maketrans("-_~", "+=/")
_FROM_BASE64 = str.maketrans("+=/", "-_~")
_MALFORMED = "The policy must have one statement with a Resource and a DateLessThan, and nothing that is not known."
_DENIALS = {
    "signature_missing": Denial(status=403),
    "signature_invalid": Denial(status=403),
    "expired": Denial(status=403),
}
_WILDCARD_HOST = Option(
    name="unsafe_wildcard_host",
    kind="bool",
    default=False,
    sentence="A policy's Resource may have wildcards in its host, as in http*://*/images/*.",
)


class Policy(Struct, frozen=True, kw_only=True):
    """What a policy allows: a pattern of URLs, strictly between two times, for a network."""

    resource: str
    expires: int
    starts: int | None = None
    network: IPv4Network | None = None


class CloudFront:
    """Signed URLs."""

    name = "cloudfront"
    syntax = "native"
    reserved = _NAMES
    denials: Mapping[str, Denial] = _DENIALS
    options: tuple[Option, ...] = (_WILDCARD_HOST,)
    capabilities = Capabilities(
        title="Amazon CloudFront, signed URLs",
        page="cloudfront",
        source="https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html",
        algorithms=("rsa-sha256", "ecdsa-p256", "rsa-sha1"),
        signs_path=True,
        signs_query=True,
        signs_host=True,
        signs_base_url=True,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=True,
        key_ids=True,
        binds=frozenset({"not_before"}),
        waivers=frozenset({"empty-segment"}),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        if "Signature" not in {pair.name for pair in request.target.pairs}:
            return None
        pairs, values = split_tail(request.target, self.reserved)
        return _presented(request.target.path, pairs, values, realm, self.name)

    def holds(self, presented: Presented, key: Key) -> bool:
        return _holds(self.capabilities, presented, key)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return _parts(presented)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order, takes=frozenset({"not_before", "address", "resource"}))
        refuse_reserved(target, self.reserved)
        url = viewer_base(realm) + joined(target.path, target.pairs)
        resource = order.extras.get("resource", url)
        if "*" in url:
            # Whoever holds the signature could present the same bytes as a custom policy, where the star is a wildcard.
            raise ParameterInvalid("Write '*' as %2A in a URL that is to be signed.")
        canned = resource == url and order.not_before is None and order.address is None
        policy = canned_policy(url, order.expires) if canned else _custom(resource, order)
        signed = [f"Expires={order.expires}" if canned else f"Policy={write_text(policy)}"]
        signed += [f"Signature={write_text(primitives.sign(key, policy))}", f"Key-Pair-Id={key.id}"]
        signed += [] if key.algorithm == "rsa-sha1" else [f"Hash-Algorithm={_SHA256}"]
        return joined(target.path, (*target.pairs, *(Pair("", "", raw) for raw in signed)))


class CloudFrontCookie:
    """Signed cookies: the same policies, in Cookie fields."""

    name = "cloudfront_cookie"
    syntax = "native"
    reserved: frozenset[str] = frozenset()
    denials: Mapping[str, Denial] = _DENIALS
    options: tuple[Option, ...] = (_WILDCARD_HOST,)
    capabilities = Capabilities(
        title="Amazon CloudFront, signed cookies",
        page="cloudfront",
        source="https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-cookies.html",
        algorithms=("rsa-sha256", "ecdsa-p256", "rsa-sha1"),
        signs_path=True,
        signs_query=True,
        signs_host=True,
        signs_base_url=True,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=True,
        key_ids=True,
        binds=frozenset({"not_before"}),
        waivers=frozenset({"empty-segment"}),
        cookies=frozenset(f"CloudFront-{name}" for name in _NAMES),
        unminted="A CloudFront cookie is no part of a URL; sign the URL itself with dialect cloudfront.",
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        found = {name: read_cookie(request.headers, f"CloudFront-{name}") for name in _NAMES}
        values = {name: value for name, value in found.items() if value is not None}
        if "Signature" not in values:
            return None
        target = request.target
        return _presented(target.path, target.pairs, values, realm, self.name, from_headers=True)

    def holds(self, presented: Presented, key: Key) -> bool:
        return _holds(self.capabilities, presented, key)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return _parts(presented)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        raise ParameterInvalid(self.capabilities.unminted)


def read_policy(data: bytes) -> Policy:
    """A custom policy, strictly: no name twice, none that is not known, nothing missing. Raises ParameterInvalid."""
    if len(data) > MAX_POLICY:
        raise ParameterInvalid(f"The policy is longer than {MAX_POLICY} bytes.")
    try:
        document = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ParameterInvalid("The policy is not JSON in which each name stands once.") from None
    statements = _members(document, {"Statement"})["Statement"]
    if not isinstance(statements, list) or len(statements) != 1:
        raise ParameterInvalid(_MALFORMED)
    # A Resource that is missing means every URL to the vendor.
    statement = _members(statements[0], {"Resource", "Condition"})
    condition = statement["Condition"]
    known = {"DateLessThan": "AWS:EpochTime", "DateGreaterThan": "AWS:EpochTime", "IpAddress": "AWS:SourceIp"}
    if not isinstance(condition, dict) or not {"DateLessThan"} <= condition.keys() <= known.keys():
        raise ParameterInvalid(_MALFORMED)
    facts = {name: _members(value, {known[name]})[known[name]] for name, value in condition.items()}
    return Policy(
        resource=_resource(statement["Resource"]),
        expires=_time(facts["DateLessThan"]),
        starts=_time(facts["DateGreaterThan"]) if "DateGreaterThan" in facts else None,
        network=_network(facts["IpAddress"]) if "IpAddress" in facts else None,
    )


def _presented(
    path: str,
    pairs: tuple[Pair, ...],
    values: Mapping[str, str],
    realm: Realm,
    dialect: str,
    *,
    from_headers: bool = False,
) -> Presented:
    if "Key-Pair-Id" not in values or ("Expires" in values) == ("Policy" in values):
        raise ParameterInvalid("Signature stands with Key-Pair-Id and either Expires or Policy.")
    hashed = values.get("Hash-Algorithm", "")
    if hashed not in ("", _SHA256):
        raise ParameterInvalid("Hash-Algorithm is SHA256, or it is not there.")
    url = viewer_base(realm) + joined(path, pairs)
    if "Expires" in values:
        policy = Policy(resource=url, expires=read_delimited("Expires", values["Expires"]))
        signed = canned_policy(url, policy.expires)
    else:
        signed = read_text("Policy", values["Policy"])
        policy = read_policy(signed)
        _hold_the_scope(policy, signed, url, wildcard_host=realm.flag(dialect, "unsafe_wildcard_host"))
    return Presented(
        signature=_signature(values["Signature"]),
        key_id=values["Key-Pair-Id"],
        path=path,
        pairs=pairs,
        message=f"{hashed}\n".encode() + signed,
        expires=policy.expires,
        # Valid strictly between the two times; both are whole seconds.
        not_before=None if policy.starts is None else policy.starts + 1,
        exclusive_expiry=True,
        address=policy.network,
        from_headers=from_headers,
        confidence=frozenset({"method-unsigned"} | (set() if hashed else {"sha1"})),
    )


def _signature(text: str) -> bytes:
    try:
        return read_text("Signature", text)
    except ParameterInvalid as error:
        raise SignatureInvalid(error.detail) from None


def _holds(capabilities: Capabilities, presented: Presented, key: Key) -> bool:
    hashed, _, signed = presented.message.partition(b"\n")
    # The parameter is not signed: it must agree with the key and never chooses (algorithm confusion).
    if key.algorithm not in capabilities.algorithms or (key.algorithm == "rsa-sha1") != (not hashed):
        return False
    return primitives.holds(key, signed, presented.signature)


def _parts(presented: Presented) -> tuple[tuple[str, str], ...]:
    hashed, _, signed = presented.message.decode().partition("\n")
    return ("hash", hashed or "SHA1"), ("policy", signed)


def _hold_the_scope(policy: Policy, signed: bytes, url: str, *, wildcard_host: bool) -> None:
    host = policy.resource.partition("://")[2].partition("/")[0]
    if not wildcard_host and ("*" in host or "?" in host):
        raise ParameterInvalid("The policy's Resource must not have wildcards in its host.")
    # The signature of a canned URL with a query also fits these bytes as a custom policy, where its "?" would cover
    # paths that nobody signed. In bytes that a canned URL can have, it stands for itself.
    single = signed != canned_policy(policy.resource, policy.expires)
    if not covers(policy.resource, url, single=single):
        raise SignatureInvalid("The signature does not belong to this URL.", private=f"policy for {policy.resource}")


def canned_policy(url: str, expires: int) -> bytes:
    """The policy that a signature without one stands for, to the byte."""
    condition = f'{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}'
    return f'{{"Statement":[{{"Resource":"{_quoted(url)}","Condition":{condition}}}]}}'.encode()


def _quoted(url: str) -> str:
    # Signed JSON that is glued together: a quotation mark in the URL would write conditions of its own.
    if '"' in url or "\\" in url:
        raise ParameterInvalid("Write quotation marks as %22 in a signed URL.")
    return url


def _custom(resource: str, order: MintOrder) -> bytes:
    condition: dict[str, Any] = {"DateLessThan": {"AWS:EpochTime": order.expires}}
    if order.address is not None:
        if isinstance(order.address, IPv6Address) or order.address.version != 4:
            raise ParameterInvalid("CloudFront binds URLs to IPv4 addresses only.")
        network = IPv4Network(order.address) if isinstance(order.address, IPv4Address) else order.address
        condition["IpAddress"] = {"AWS:SourceIp": str(network)}
    if order.not_before is not None:
        condition["DateGreaterThan"] = {"AWS:EpochTime": order.not_before - 1}
    policy = {"Statement": [{"Resource": resource, "Condition": condition}]}
    return json.dumps(policy, separators=(",", ":")).encode()


def write_text(data: bytes) -> str:
    """CloudFront's base64."""
    return base64(data).translate(_FROM_BASE64)


def read_text(name: str, text: str) -> bytes:
    """The bytes of CloudFront's base64 in its one spelling. Raises ParameterInvalid."""
    data = read_base64(text.translate(_TO_BASE64))
    if data is None or not {"+", "=", "/"}.isdisjoint(text):
        raise ParameterInvalid(f"{name} must be base64 with - _ ~ in place of + = /.")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Readers disagree on which of two equal names counts.
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _no_constant(constant: str) -> Any:
    raise ValueError(constant)


def _members(value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != names:
        raise ParameterInvalid(_MALFORMED)
    return value


def _resource(value: Any) -> str:
    if not isinstance(value, str) or not _RESOURCE.fullmatch(value):
        raise ParameterInvalid("The policy's Resource must be a URL that starts with http:// or https://.")
    return _quoted(value)


def _time(value: Any) -> int:
    if type(value) is not int or not 0 < value <= _LATEST:
        raise ParameterInvalid("The policy's times must be unix seconds.")
    return value


def _network(value: Any) -> IPv4Network:
    try:
        if isinstance(value, str) and value.isascii():
            return IPv4Network(value, strict=False)
    except ValueError:
        pass
    raise ParameterInvalid("The policy's AWS:SourceIp must be an IPv4 address or network.")
