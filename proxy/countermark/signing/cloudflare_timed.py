"""Cloudflare's timed HMAC, the rule function is_timed_hmac_valid_v0 (developers.cloudflare.com/ruleset-engine, functions).

    /img/a.jpg?w=800&verify={issued}-{mac}      mac = HMAC-SHA256({path and query before &verify=}{issued})

The time is that of issue; how long a URL lives from then on is the site's. The MAC is standard base64, percent-encoded,
or base64url without padding where the rule has the flag `s`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from countermark.core.encoding import base64, base64url
from countermark.core.errors import ParameterInvalid, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Target
from countermark.keys.keyring import Key
from countermark.keys.material import read_form
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
from countermark.signing.expiry import read_expiry
from countermark.signing.primitives import holds, sign

_MAC_BYTES = 32
_PARAMETER = "verify"


class CloudflareTimedHMAC:
    """Path and query for a while from their time of issue."""

    name = "cloudflare_timed_hmac"
    syntax = "native"
    reserved = frozenset({_PARAMETER})
    denials: Mapping[str, Denial] = {
        "signature_missing": Denial(status=403),
        "signature_invalid": Denial(status=403),
        "expired": Denial(status=403),
    }
    options = (
        Option(name="ttl", kind="int", default=3600, sentence="Seconds from its issue within which a URL is taken."),
        Option(
            name="encoding",
            kind="str",
            default="base64",
            sentence="Of the MAC; base64url is the rule's flag `s`.",
            choices=("base64", "base64url"),
        ),
    )
    capabilities = Capabilities(
        title="Cloudflare, timed HMAC",
        page="cloudflare_timed_hmac",
        source="https://developers.cloudflare.com/ruleset-engine/rules-language/functions/",
        algorithms=("hmac-sha256",),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=False,
        key_ids=False,
        binds=frozenset({"issued"}),
        forms=("text_secret", "secret"),
        least_secret=16,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        if all(pair.name != _PARAMETER for pair in target.pairs):
            return None
        *signed, last = target.pairs
        if last.name != _PARAMETER:
            raise SignatureInvalid(f"{_PARAMETER} must be the last parameter.")
        time, _, mac = last.raw.removeprefix(f"{_PARAMETER}=").partition("-")
        # Nothing separates it from the text before it: only the ten digits keep w=17 from becoming w=1.
        issued = read_expiry(f"The time in {_PARAMETER}", time)
        text = target.raw[: -len(last.raw) - 1]
        return Presented(
            signature=_mac(mac, realm.text(self.name, "encoding")),
            key_id="",
            path=target.path,
            pairs=tuple(signed),
            message=f"{text}{issued}".encode(),
            expires=issued + realm.number(self.name, "ttl"),
            exclusive_expiry=True,
            issued=issued,
            confidence=frozenset({"host-unsigned", "method-unsigned"}),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "hmac-sha256" and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        text = presented.message.decode()
        return ("path and query", text[:-10]), ("issued", text[-10:])

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order)
        refuse_reserved(target, self.reserved)
        # The site knows only lives from the issue: the expiry that was ordered says when that has to be.
        issued = order.expires - realm.number(self.name, "ttl")
        if issued > order.now:
            raise ParameterInvalid("This site's URLs do not live that long; see its option `ttl`.")
        mac = _written(sign(key, f"{target.raw}{issued}".encode()), realm.text(self.name, "encoding"))
        return f"{target.raw}{'?' if target.query is None else '&'}{_PARAMETER}={issued}-{mac}"


def _written(mac: bytes, encoding: str) -> str:
    return base64url(mac) if encoding == "base64url" else quote(base64(mac), safe="")


def _mac(text: str, encoding: str) -> bytes:
    mac = read_form("base64_secret", text.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="))
    if encoding == "base64url":
        mac = read_form("secret", text)
    # Escaped as the vendor's signers do and in no other way: each MAC has one spelling.
    if mac is None or len(mac) != _MAC_BYTES or _written(mac, encoding) != text:
        raise SignatureInvalid(f"{_PARAMETER} is not a time, - and a MAC in {encoding}, percent-encoded.")
    return mac
