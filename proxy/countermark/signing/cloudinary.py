"""Cloudinary's signed URLs, https://cloudinary.com/documentation/control_access_to_media.

    cloudinary              {prefix}image/{type}/s--{signature}--/{transformation}/v{version}/{public id}
    cloudinary_auth_token   the same or any path, with __cld_token__=ip=…~st=…~exp=…~acl=…~hmac=… in the query or a cookie

A signature is the hash of transformation, slash, public id and secret, cut to 32 or 8 characters of base64url; prefix, type and
version are not in it. A token is an HMAC-SHA-256 over its fields, and over the whole path where it has no ACL.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from ipaddress import ip_network
from urllib.parse import unquote

from countermark.core.encoding import read_hex
from countermark.core.errors import ParameterInvalid, ParameterUnknown, SignatureInvalid, SourceRefused
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
from countermark.signing.endless import ALWAYS_ENDLESS
from countermark.signing.primitives import digest, mac, same

_DENIALS: Mapping[str, Denial] = {
    "signature_missing": Denial(status=401),
    "signature_invalid": Denial(status=401),
    "expired": Denial(status=401),
}
_LONG, _SHORT = 32, 8
_SIGNATURE = re.compile(r"s--([A-Za-z0-9_-]{8}|[A-Za-z0-9_-]{32})--")
# The closed list of names: else every folder with an underscore would be taken for a transformation.
_NAMES = "ac|af|ar|a|bl|bo|br|b|co|cs|c|dl|dn|dpr|du|d|eo|e|fl|fn|fps|f|g|h|if|ki|l|o|pg|p|q|r|so|sp|t|u|vc|vs|w|x|y|z"
_STEP = rf"(?:(?:{_NAMES})_|\$)[^,/]+"
_COMPONENT = re.compile(rf"{_STEP}(?:,{_STEP})*")
_VERSION = re.compile(r"v[0-9]{1,10}")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?::|%3A)", re.IGNORECASE)
_ENCODED = re.compile(r"https?%3A", re.IGNORECASE)
_SEPARATOR = Pair("", "", "/")
_TYPES = ("upload", "private", "authenticated", "fetch")

TOKEN = "__cld_token__"  # noqa: S105 - the parameter's name
_SECONDS = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_UNSAFE = re.compile(r"[ \"#%&'/:;<=>?@\[\\\]^`{|}~]")
_MAX_TOKEN = 2048
_MAX_STARS = 8


class Cloudinary:
    """The signature in the path."""

    name = "cloudinary"
    syntax = "cloudinary"
    reserved: frozenset[str] = frozenset()
    denials = _DENIALS
    options = (
        Option(
            name="types",
            kind="list",
            default=("upload",),
            sentence="Delivery types that are taken; a signature does not cover the type.",
            choices=_TYPES,
        ),
        Option(
            name="unsafe_short",
            kind="bool",
            default=False,
            sentence="Take signatures of 8 characters (48 bits) in place of 32; they can be guessed.",
        ),
        Option(
            name="unsafe_analytics",
            kind="bool",
            default=False,
            sentence="Also take the parameter `_a` that some SDKs add; nothing signs it.",
        ),
        ALWAYS_ENDLESS,
    )
    capabilities = Capabilities(
        title="Cloudinary, signature",
        page="cloudinary",
        source="https://cloudinary.com/documentation/delivery_url_signatures",
        algorithms=("sha256", "sha1"),
        signs_path=True,
        signs_query=False,
        signs_host=False,
        signs_method=False,
        expiry=False,
        address=False,
        prefix=False,
        key_ids=False,
        binds=frozenset({"preset"}),
        forms=("text_secret", "secret"),
        least_secret=16,
        waivers=frozenset({"empty-segment", "encoded-slash"}),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        kind, text, rest = _delivery(realm.behind_prefix(request.target.path) or "")
        if not text or any(pair.name == TOKEN for pair in request.target.pairs):
            return None
        self._refuse_query(request.target, realm)
        if kind not in realm.texts(self.name, "types"):
            # The same signature is valid for every type: which of them opens is the site's choice, not the URL's.
            raise SourceRefused("The URL's delivery type is not taken here.")
        size = _SHORT if realm.flag(self.name, "unsafe_short") else _LONG
        if len(text) != size:
            raise SignatureInvalid(f"The signature must have {size} characters.")
        transformation, image = _split(rest)
        signed = "/".join([*transformation, image])
        pairs, preset = _operations(transformation)
        return Presented(
            signature=text.encode(),
            key_id="",
            path=f"/{signed}",
            pairs=pairs,
            message=signed.encode(),
            preset=preset,
            source=_source(image, kind),
            confidence=frozenset({"host-unsigned", "method-unsigned", "truncated"}),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        if key.algorithm not in self.capabilities.algorithms:
            return False
        return same(_cut(key, presented.message, len(presented.signature)), presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return ("transformation and public id", presented.message.decode()), ("secret", "{secret}")

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        """The target is {prefix}image/{type}/{transformation}/{version}/{public id}. Its signature never ends."""
        refuse_unfillable(self.name, order)
        path = realm.behind_prefix(target.path) or ""
        kind, text, rest = _delivery(path)
        if not kind or text or target.query is not None or key.algorithm not in self.capabilities.algorithms:
            raise ParameterInvalid("Cloudinary signs a path image/{type}/…, without a signature and a query.")
        transformation, image = _split(rest)
        size = _SHORT if realm.flag(self.name, "unsafe_short") else _LONG
        signature = _cut(key, "/".join([*transformation, image]).encode(), size).decode()
        return f"{realm.prefix}image/{kind}/s--{signature}--/{rest}"

    def _refuse_query(self, target: Target, realm: Realm) -> None:
        taken = {"_a"} if realm.flag(self.name, "unsafe_analytics") else set()
        if target.query is not None and not {pair.name for pair in target.pairs} <= taken:
            raise ParameterUnknown("A Cloudinary signature does not cover a query, so the URL must not have one.")


class CloudinaryAuthToken:
    """The token, in the place that the site names."""

    name = "cloudinary_auth_token"
    syntax = "cloudinary"
    reserved = frozenset({TOKEN})
    denials = _DENIALS
    options: tuple[Option, ...] = (
        Option(
            name="carrier",
            kind="str",
            default="query",
            sentence="Where the token stands.",
            choices=("query", "cookie"),
        ),
    )
    capabilities = Capabilities(
        title="Cloudinary, auth token",
        page="cloudinary",
        source="https://cloudinary.com/documentation/control_access_to_media",
        algorithms=("hmac-sha256",),
        signs_path=True,
        signs_query=False,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=True,
        key_ids=False,
        binds=frozenset({"not_before", "preset"}),
        forms=("hex_secret", "secret"),
        least_secret=16,
        waivers=frozenset({"empty-segment", "encoded-slash"}),
        cookies=frozenset({TOKEN}),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        by_cookie = realm.text(self.name, "carrier") == "cookie"
        text = _from_cookie(request) if by_cookie else _from_query(target)
        if text is None:
            return None
        fields, signature = _token(text)
        acl = fields.get("acl")
        if acl is not None and not _covers(acl, target.path):
            raise SignatureInvalid("The token's ACL does not cover this path.")
        pairs, preset, source = _meaning(realm.behind_prefix(target.path) or "")
        return Presented(
            signature=signature,
            key_id="",
            path=target.path,
            pairs=pairs,
            message=_message(fields, target.path).encode(),
            expires=int(fields["exp"]),
            not_before=int(fields["st"]) if "st" in fields else None,
            address=_address(fields["ip"]) if "ip" in fields else None,
            preset=preset,
            source=source,
            from_headers=by_cookie,
            confidence=frozenset({"host-unsigned", "method-unsigned"}),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "hmac-sha256" and same(mac(key, presented.message), presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        fields = [field.partition("=") for field in presented.message.decode().split("~")]
        return tuple((name, value) for name, _, value in fields)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        """For this one path; `--with acl /image/authenticated/*` for all that a pattern covers."""
        refuse_unfillable(self.name, order, takes=frozenset({"not_before", "address", "acl"}))
        refuse_reserved(target, self.reserved)
        if realm.text(self.name, "carrier") != "query":
            raise ParameterInvalid("This site takes its tokens from a cookie, not from the URL.")
        if target.query is not None or key.algorithm != "hmac-sha256":
            raise ParameterInvalid("A Cloudinary token is made for a path without a query, by an hmac-sha256 key.")
        fields = {} if order.address is None else {"ip": str(order.address)}
        if order.not_before is not None:
            fields["st"] = str(order.not_before)
        fields["exp"] = str(order.expires)
        if "acl" in order.extras:
            fields["acl"] = _escaped(order.extras["acl"])
        signature = mac(key, _message(fields, target.path).encode()).hex()
        token = "~".join(f"{name}={value}" for name, value in fields.items())
        return f"{target.path}?{TOKEN}={token}~hmac={signature}"


def _delivery(path: str) -> tuple[str, str, str]:
    """Delivery type, signature text ("" where there is none), and what follows; three times "" for another path."""
    segments = path.split("/", 3)
    if len(segments) < 3 or segments[0] != "image":
        return "", "", ""
    signed = _SIGNATURE.fullmatch(segments[2]) if len(segments) == 4 else None
    if signed is None:
        return segments[1], "", "/".join(segments[2:])
    return segments[1], signed[1], segments[3]


def _split(rest: str) -> tuple[list[str], str]:
    """The components of the transformation, and the image.

    The version is not signed, so its place must not decide where the transformation ends: in front of a component it would
    make that component a folder, and the bare original would open with the signature of its rendition.
    """
    segments = rest.split("/")
    transformation: list[str] = []
    while len(segments) > 1 and _COMPONENT.fullmatch(segments[0]):
        transformation.append(segments.pop(0))
    if len(segments) > 1 and _VERSION.fullmatch(segments[0]):
        segments.pop(0)
        if len(segments) > 1 and (_COMPONENT.fullmatch(segments[0]) or _VERSION.fullmatch(segments[0])):
            raise ParameterInvalid("The version must stand between the transformation and the public id.")
    return transformation, "/".join(segments)


def _operations(transformation: list[str]) -> tuple[tuple[Pair, ...], str]:
    """The steps as pairs, components parted by an empty one, and the name of a preset (`t_NAME`)."""
    pairs: list[Pair] = []
    presets: list[str] = []
    for index, component in enumerate(transformation):
        if index:
            pairs.append(_SEPARATOR)
        for step in component.split(","):
            name, _, value = step.partition("_")
            if name == "t":
                presets.append(value)
            else:
                pairs.append(Pair(name, unquote(value), step))
    if len(presets) > 1 or (presets and not transformation[0].startswith("t_")):
        raise ParameterInvalid("One named transformation (t_) is taken, in front.")
    return tuple(pairs), presets[0] if presets else ""


def _source(image: str, kind: str) -> str:
    if kind != "fetch" and _ABSOLUTE.match(image):
        raise SourceRefused("Only the delivery type fetch names a source by its URL.")
    return unquote(image) if _ENCODED.match(image) else image


def _meaning(path: str) -> tuple[tuple[Pair, ...], str, str]:
    """Operations, preset and source of a path below a token; a path of another shape is an object and nothing more."""
    kind, _, rest = _delivery(path)
    if not kind:
        return (), "", path
    transformation, image = _split(rest)
    pairs, preset = _operations(transformation)
    return pairs, preset, _source(image, kind)


def _cut(key: Key, signed: bytes, size: int) -> bytes:
    return urlsafe_b64encode(digest(key, signed + key.material))[:size]


def _from_query(target: Target) -> str | None:
    if all(pair.name != TOKEN for pair in target.pairs):
        return None
    if len(target.pairs) != 1 or not target.pairs[0].raw.startswith(f"{TOKEN}="):
        raise ParameterUnknown(f"Beside {TOKEN} no parameter is taken: nothing signs it.")
    return target.pairs[0].raw.removeprefix(f"{TOKEN}=")


def _from_cookie(request: EdgeRequest) -> str | None:
    text = read_cookie(request.headers, TOKEN)
    if text is not None and request.target.query is not None:
        raise ParameterUnknown(f"Beside the cookie {TOKEN} no parameter is taken: nothing signs it.")
    return text


def _token(text: str) -> tuple[dict[str, str], bytes]:
    """The fields of a token in their one order, and its MAC."""
    if len(text) > _MAX_TOKEN:
        raise ParameterInvalid(f"{TOKEN} is longer than {_MAX_TOKEN} characters.")
    split = [field.partition("=") for field in text.split("~")]
    fields = {name: value for name, _, value in split}
    expected = [name for name in ("ip", "st", "exp", "acl", "hmac") if name in fields]
    if [name for name, _, _ in split] != expected or not {"exp", "hmac"} <= fields.keys() or "" in fields.values():
        raise ParameterInvalid(
            f"{TOKEN} has the fields ip, st, exp, acl and hmac in this order; exp and hmac at least."
        )
    if not all(_SECONDS.fullmatch(fields[name]) for name in ("st", "exp") if name in fields):
        raise ParameterInvalid(f"st and exp of {TOKEN} must be times in unix seconds.")
    signature = read_hex(fields.pop("hmac"))
    if signature is None or len(signature) != _LONG:
        raise SignatureInvalid("hmac is not a signature: 64 lower-case hexadecimal digits.")
    return fields, signature


def _message(fields: Mapping[str, str], path: str) -> str:
    said = [f"{name}={value}" for name, value in fields.items()]
    return "~".join(said if "acl" in fields else [*said, f"url={_escaped(path)}"])


def _escaped(text: str) -> str:
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02x}", text)


def _covers(acl: str, path: str) -> bool:
    patterns = unquote(acl).split("!")
    # Bounds the work: a pattern of many stars would be tried in very many ways.
    if acl.count("*") > _MAX_STARS:
        raise ParameterInvalid(f"An ACL has at most {_MAX_STARS} stars.")
    return any(re.fullmatch(".*".join(re.escape(piece) for piece in pattern.split("*")), path) for pattern in patterns)


def _address(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        network = None
    if network is None or text not in (str(network.network_address), str(network)):
        raise ParameterInvalid("ip must be an address in its usual short form.")
    return network
