"""Akamai Edge Authorization Token 2.0 (github.com/akamai/EdgeAuth-Token-Python).

    {path}?{query}&__token__=exp={unix}~hmac={hex}                     of one URL
    __token__=ip={ip}~st={unix}~exp={unix}~acl={globs}~id=…~data=…~hmac={hex}     of all paths that the globs cover

Signed are the token's fields as they came, then `url=` with path and query for a URL token, then `salt=` where the site has
one. The token stands last in the query, in a cookie or in a header field, as the site says.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import quote_plus, unquote

from countermark.core.encoding import read_hex
from countermark.core.errors import ParameterInvalid, ParameterUnknown, SignatureInvalid, TargetMalformed
from countermark.core.grant import Network
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
from countermark.signing.expiry import read_delimited
from countermark.signing.fields import read_fields
from countermark.signing.glob import covers
from countermark.signing.primitives import holds, sign
from countermark.signing.spelling import decoded_path
from countermark.signing.tail import joined

_NAMES = ("__token__", "hdnts", "hdnea", "hdntl", "__gda__")
_FIELDS = ("ip", "st", "exp", "acl", "id", "data", "hmac")
_LENGTHS = (16, 20, 32)


class AkamaiEdgeAuth:
    """Reads tokens from the carrier that the site names."""

    name = "akamai_edgeauth"
    syntax = "native"
    reserved = frozenset(_NAMES)
    denials: Mapping[str, Denial] = {
        "signature_missing": Denial(status=403),
        "signature_invalid": Denial(status=403),
        "expired": Denial(status=403),
    }
    options: tuple[Option, ...] = (
        Option(
            name="token", kind="str", default=_NAMES[0], sentence="The name that carries the token.", choices=_NAMES
        ),
        Option(
            name="carrier",
            kind="str",
            default="query",
            sentence="Where the token stands.",
            choices=("query", "cookie", "header"),
        ),
        Option(name="salt", kind="str", default="", sentence="What is signed behind the fields; empty for none."),
        Option(
            name="escape_early",
            kind="bool",
            default=False,
            sentence="The signer decodes the path and escapes it, id, data and ip as forms do.",
        ),
        Option(
            name="ignore_query",
            kind="bool",
            default=False,
            sentence="The token of a URL signs its path only; the URL then has no operations.",
        ),
        Option(
            name="unsafe_unsigned_operations",
            kind="bool",
            default=False,
            sentence="Where the token does not sign the query, anybody may choose operations there.",
        ),
    )
    capabilities = Capabilities(
        title="Akamai Edge Authorization Token 2.0",
        page="akamai_edgeauth",
        source="https://github.com/akamai/EdgeAuth-Token-Python",
        algorithms=("hmac-sha256", "hmac-sha1", "hmac-md5"),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=True,
        key_ids=False,
        binds=frozenset({"not_before"}),
        forms=("hex_secret", "secret"),
        least_secret=16,
        cookies=frozenset(_NAMES),
        headers=frozenset(_NAMES),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        found = self._carried(request, realm)
        if found is None:
            return None
        token, pairs = found
        escaped = realm.flag(self.name, "escape_early")
        fields = read_fields(token, _FIELDS)
        if "exp" not in fields or token.rpartition("~")[2] != f"hmac={fields.get('hmac')}":
            raise ParameterInvalid("A token has the fields exp and hmac, the latter last.")
        path = request.target.path
        signed = token.rpartition("~")[0]
        obeyed = pairs
        if "acl" in fields:
            _hold_the_acl(fields["acl"], path, escaped=escaped)
        else:
            asked = path if realm.flag(self.name, "ignore_query") else joined(path, pairs)
            signed += f"~url={_escaped(asked) if escaped else asked}"
        if "acl" in fields or realm.flag(self.name, "ignore_query"):
            obeyed = _unsigned(pairs, allowed=realm.flag(self.name, "unsafe_unsigned_operations"))
        salt = realm.text(self.name, "salt")
        return Presented(
            signature=_signature(fields["hmac"]),
            key_id="",
            path=path,
            pairs=obeyed,
            message=(f"{signed}~salt={salt}" if salt else signed).encode(),
            expires=read_delimited("exp", fields["exp"]),
            not_before=read_delimited("st", fields["st"]) if "st" in fields else None,
            address=_network(unquote(fields["ip"]) if escaped else fields["ip"]) if "ip" in fields else None,
            from_headers=realm.text(self.name, "carrier") != "query",
            confidence=frozenset(
                {"method-unsigned", "host-unsigned"} | ({"query-unsigned"} if "acl" in fields else set())
            ),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm in self.capabilities.algorithms and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        signed, salted, _ = presented.message.decode().partition("~salt=")
        return (("token and url", signed), ("salt", "{salt}")) if salted else (("token and url", signed),)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order, takes=frozenset({"not_before", "address", "acl", "id", "data"}))
        refuse_reserved(target, self.reserved)
        if realm.text(self.name, "carrier") != "query":
            raise ParameterInvalid("This site takes its tokens from a cookie or header field, not from the URL.")
        escaped = realm.flag(self.name, "escape_early")
        written = {"ip": order.address, "st": order.not_before, "exp": order.expires, **order.extras}
        fields = []
        for name in _FIELDS:
            if written.get(name) is not None:
                text = str(written[name])
                fields.append(f"{name}={_escaped(text) if escaped and name in {'ip', 'id', 'data'} else text}")
        signed = list(fields)
        if "acl" not in order.extras:
            asked = target.path if realm.flag(self.name, "ignore_query") else joined(target.path, target.pairs)
            signed.append(f"url={_escaped(asked) if escaped else asked}")
        salt = realm.text(self.name, "salt")
        signed += [f"salt={salt}"] if salt else []
        fields.append(f"hmac={sign(key, '~'.join(signed).encode()).hex()}")
        token = f"{realm.text(self.name, 'token')}={'~'.join(fields)}"
        return joined(target.path, (*target.pairs, Pair("", "", token)))

    def _carried(self, request: EdgeRequest, realm: Realm) -> tuple[str, tuple[Pair, ...]] | None:
        """The token's text and the pairs beside it."""
        name, carrier = realm.text(self.name, "token"), realm.text(self.name, "carrier")
        pairs = request.target.pairs
        if carrier == "query":
            if name not in {pair.name for pair in pairs}:
                return None
            *front, last = pairs
            # What stands behind the token is not signed.
            if not last.raw.startswith(f"{name}="):
                raise ParameterInvalid(f"{name} must be the last parameter, its name without percent escapes.")
            return last.raw.removeprefix(f"{name}="), tuple(front)
        text = read_cookie(request.headers, name) if carrier == "cookie" else request.headers.get(name)
        return None if text is None else (text, pairs)


def _signature(text: str) -> bytes:
    signature = read_hex(text)
    if signature is None or len(signature) not in _LENGTHS:
        raise SignatureInvalid("hmac must be 32, 40 or 64 hexadecimal digits in lower case.")
    return signature


def _hold_the_acl(acl: str, path: str, *, escaped: bool) -> None:
    globs = (unquote(acl) if escaped else acl).split("!")
    path = unquote(path) if escaped else path
    if not any(covers(glob, path) for glob in globs if glob.startswith("/")):
        raise SignatureInvalid("The signature does not belong to this URL.", private=f"token for {acl}")


def _unsigned(pairs: tuple[Pair, ...], *, allowed: bool) -> tuple[Pair, ...]:
    if pairs and not allowed:
        raise ParameterUnknown("This token does not sign the query, so the URL must not have other parameters.")
    return pairs


def _escaped(text: str) -> str:
    """As forms are escaped, in lower case, which is what the vendor's library calls escaping early."""
    path, mark, query = text.partition("?")
    return _lower(quote_plus(_decoded(path) + mark + query))


def _lower(text: str) -> str:
    head, *escapes = text.split("%")
    return head + "".join(f"%{escape[:2].lower()}{escape[2:]}" for escape in escapes)


def _decoded(path: str) -> str:
    decoded = decoded_path(path)
    # Decoding joins what the URL keeps apart: /a%3Fw=9 would be signed as the path /a and its query.
    if "?" in decoded:
        raise TargetMalformed("A path with '?' cannot be signed here.", rule="path-spelling")
    return decoded


def _network(text: str) -> Network:
    try:
        network = ip_network(ip_address(text))
    except ValueError:
        network = None
    if network is None or str(network.network_address) != text or text.startswith("::ffff:"):
        raise ParameterInvalid("ip must be an address in its usual short form.")
    return network
