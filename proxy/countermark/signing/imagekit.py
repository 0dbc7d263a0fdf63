"""ImageKit's signed URLs, https://imagekit.io/docs/media-delivery-basic-security.

    {endpoint}{path}?{query}&ik-t={unix}&ik-s={HMAC-SHA-1 in hexadecimal}

Signed is the URL behind the endpoint, without ik-t and ik-s, directly followed by the expiry: 9999999999 where there is
none. The endpoint is the site's prefix. Operations stand in a first segment `tr:w-300,h-200` or in the parameter `tr`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from countermark.core.encoding import read_hex
from countermark.core.errors import ParameterInvalid, SignatureInvalid, SiteUnknown
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair, Target
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
from countermark.signing.endless import MAY_BE_ENDLESS
from countermark.signing.expiry import read_expiry
from countermark.signing.primitives import mac, same

_BYTES = 20
_ENDLESS = "9999999999"
_WEAK = frozenset({"host-unsigned", "method-unsigned"})
_ENCODED = re.compile(r"https?%3A%2F%2F", re.IGNORECASE)


class ImageKit:
    """Path and query behind the endpoint, and a time."""

    name = "imagekit"
    syntax = "imagekit"
    reserved = frozenset({"ik-s", "ik-t"})
    denials: Mapping[str, Denial] = {
        "signature_missing": Denial(status=401),
        "signature_invalid": Denial(status=401),
        "expired": Denial(status=401),
    }
    options: tuple[Option, ...] = (MAY_BE_ENDLESS,)
    capabilities = Capabilities(
        title="ImageKit",
        page="imagekit",
        source="https://imagekit.io/docs/media-delivery-basic-security",
        algorithms=("hmac-sha1",),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=False,
        key_ids=False,
        binds=frozenset({"preset"}),
        forms=("text_secret", "secret"),
        least_secret=16,
        waivers=frozenset({"empty-segment", "encoded-slash"}),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        if all(pair.name != "ik-s" for pair in target.pairs):
            return None
        path = realm.behind_prefix(target.path)
        if path is None:
            raise SiteUnknown("No site is configured for this host and path.")
        *pairs, last = target.pairs
        if last.name != "ik-s" or any(pair.name == "ik-t" for pair in pairs[:-1]):
            raise ParameterInvalid("ik-t and ik-s must be the last parameters, in this order.")
        signature = read_hex(last.raw.removeprefix("ik-s="))
        if signature is None or len(signature) != _BYTES:
            raise SignatureInvalid("ik-s is not a signature: 40 lower-case hexadecimal digits.")
        expires = _expires(pairs.pop()) if pairs and pairs[-1].name == "ik-t" else None
        operations, preset, image = _operations(path, pairs)
        return Presented(
            signature=signature,
            key_id="",
            path=target.path,
            pairs=operations,
            # Nothing stands before the expiry: its ten digits, never fewer, keep those of a path or query out of it.
            message=_message(path, "&".join([pair.raw for pair in pairs]), str(expires or _ENDLESS)),
            expires=expires,
            preset=preset,
            source=unquote(image) if _ENCODED.match(image) else image,
            confidence=_WEAK,
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "hmac-sha1" and same(mac(key, presented.message), presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        text = presented.message.decode()
        return ("path and query", text[:-10]), ("expiry", text[-10:])

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order)
        refuse_reserved(target, self.reserved)
        path = realm.behind_prefix(target.path)
        if not path or key.algorithm != "hmac-sha1":
            raise ParameterInvalid("ImageKit signs a path behind the site's prefix.")
        signature = mac(key, _message(path, target.query or "", str(order.expires))).hex()
        return f"{target.raw}{'&' if target.query else '?'}ik-t={order.expires}&ik-s={signature}"


def _message(path: str, query: str, expires: str) -> bytes:
    return f"{path}{'?' if query else ''}{query}{expires}".encode()


def _expires(pair: Pair) -> int:
    if pair.raw != f"ik-t={pair.value}":
        raise ParameterInvalid("ik-t must be written without percent escapes.")
    return read_expiry("ik-t", pair.value)


def _operations(path: str, pairs: list[Pair]) -> tuple[tuple[Pair, ...], str, str]:
    """Operations, the name of a preset, and the image. `n-NAME` is a preset; `tr` in the query becomes its steps' pairs."""
    said = [pair.value for pair in pairs if pair.name == "tr"]
    others = [pair for pair in pairs if pair.name != "tr"]
    image = path
    if path.startswith("tr:"):
        head, _, image = path.partition("/")
        said.append(unquote(head[3:]))
    if len(said) > 1:
        raise ParameterInvalid("The operations stand in the path (tr:) or in the query (tr=), not in both.")
    steps = said[0] if said else ""
    if ":" in steps:
        raise ParameterInvalid("Chained transformations (':') are known but not supported yet.")
    read = [_operation(step) for step in steps.split(",") if step]
    presets = [pair.value for pair in read if pair.name == "n"]
    if len(presets) > 1:
        raise ParameterInvalid("One named transformation (n-) is taken.")
    return (
        (*[pair for pair in read if pair.name != "n"], *others),
        presets[0] if presets else "",
        image,
    )


def _operation(step: str) -> Pair:
    name, _, value = step.partition("-")
    if name == "e":
        effect, _, value = value.partition("-")
        name = f"e-{effect}"
    return Pair(name, value, step)
