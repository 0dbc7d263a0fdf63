"""thumbor's signed paths and imagor's, https://thumbor.readthedocs.io/en/latest/security.html and docs.imagor.net.

    /{signature}/{trim}/{AxB:CxD}/{fit-in}/{-WxH}/{halign}/{valign}/smart/filters:{name(…):…}/{image}

Every part is optional, in this order; what stands out of order belongs to the image. The signature is an HMAC of all
behind it, in base64url with padding (imagor may cut the text). The query is not signed, so none is taken.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from urllib.parse import unquote

from countermark.core.encoding import read_base64url
from countermark.core.errors import ConfigurationInvalid, Fault, ParameterInvalid, ParameterUnknown, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair, Target
from countermark.keys.keyring import MACS, Key
from countermark.settings.option import Option
from countermark.signing.dialect import Capabilities, Denial, MintOrder, Presented, Realm, refuse_unfillable
from countermark.signing.endless import ALWAYS_ENDLESS, MAY_BE_ENDLESS
from countermark.signing.primitives import mac, same

_LENGTHS = frozenset({28, 44, 88})
_LEAST = 22
_TEXT = re.compile(r"[A-Za-z0-9_-]+={0,2}", re.ASCII)
_ENCODED = re.compile(r"https?%3A%2F%2F", re.IGNORECASE)
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_FILTER = re.compile(r"([a-z_0-9]+)\(([^()/]*)\)")
_FILTERS = re.compile(r"filters:([a-z_0-9]+\([^()/]*\)(?::[a-z_0-9]+\([^()/]*\))*)/")
_EXPIRE = re.compile(r"[1-9][0-9]{12}", re.ASCII)

_SIZE = r"-?(?:[0-9]+|orig)?x-?(?:[0-9]+|orig)?"
_THUMBOR_PARTS = (
    ("debug", r"debug"), ("meta", r"meta"), ("trim", r"trim(?::(?:top-left|bottom-right))?(?::[0-9]+)?"),
    ("crop", r"[0-9]+x[0-9]+:[0-9]+x[0-9]+"), ("fit", r"(?:adaptive-)?(?:full-)?fit-in"), ("size", _SIZE),
    ("halign", r"left|center|right"), ("valign", r"top|middle|bottom"), ("smart", r"smart"),
)  # fmt: skip
_IMAGOR_PARTS = (
    ("params", r"params"), ("meta", r"meta"), ("trim", r"trim(?::(?:top-left|bottom-right))?(?::[0-9]+)?"),
    ("crop", r"[0-9.]+x[0-9.]+:[0-9.]+x[0-9.]+"), ("fit", r"(?:adaptive-)?(?:full-)?fit-in"), ("stretch", r"stretch"),
    ("size", r"-?[0-9]*x-?[0-9]*"), ("padding", r"[0-9]+x[0-9]+(?::[0-9]+x[0-9]+)?"),
    ("halign", r"left|center|right"), ("valign", r"top|middle|bottom"), ("smart", r"smart"),
)  # fmt: skip


class PathSigned:
    """One of the two servers: they share the signature and differ in the parts of a path and in how they say no."""

    reserved: frozenset[str] = frozenset()

    def __init__(self, name: str, *, title: str, source: str, status: int, parts: tuple[tuple[str, str], ...]) -> None:
        self.name = name
        self.syntax = name
        self.denials: Mapping[str, Denial] = {
            "signature_missing": Denial(status=status),
            "signature_invalid": Denial(status=status),
        }
        self.options = (
            Option(
                name="signature_length",
                kind="int",
                default=0,
                sentence="Characters of a signature that is cut, 22 to 87; 0 for the whole one.",
            ),
            Option(
                name="bare",
                kind="str",
                default="path",
                sentence="An image without a scheme is a path of the origin, or a URL that lacks http:// or https://.",
                choices=("path", "http", "https"),
            ),
            MAY_BE_ENDLESS if name == "imagor" else ALWAYS_ENDLESS,
        )
        self.capabilities = Capabilities(
            title=title,
            page="thumbor",
            source=source,
            algorithms=("hmac-sha1", "hmac-sha256", "hmac-sha512"),
            signs_path=True,
            signs_query=False,
            signs_host=False,
            signs_method=False,
            expiry=name == "imagor",
            address=False,
            prefix=False,
            key_ids=False,
            forms=("text_secret", "secret"),
            least_secret=16,
            waivers=frozenset({"empty-segment", "encoded-slash"}),
        )
        self._parts = tuple((part, re.compile(f"({pattern})/")) for part, pattern in parts)

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        text, _, rest = (realm.behind_prefix(request.target.path) or "").partition("/")
        if not rest or text == "unsafe":
            return None
        if request.target.query is not None:
            raise ParameterUnknown(f"A signature of {self.name} does not cover a query, so the URL must not have one.")
        length = _length(realm, self.name)
        if not _TEXT.fullmatch(text) or (len(text) != length if length else len(text) not in _LENGTHS):
            raise SignatureInvalid(
                "The first segment is not a signature: base64url, of the length that is wanted here."
            )
        pairs, image = self._split(rest)
        expires, pairs = _expiry(pairs) if self.name == "imagor" else (None, pairs)
        return Presented(
            signature=text.encode(),
            key_id="",
            path=f"/{rest}",
            pairs=pairs,
            message=rest.encode(),
            expires=expires,
            source=_source(image, realm.text(self.name, "bare"), wraps=self.name == "imagor"),
            confidence=frozenset({"host-unsigned", "method-unsigned"} | ({"truncated"} if length else set())),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        if key.algorithm not in self.capabilities.algorithms:
            return False
        expected = _written(mac(key, presented.message))
        # Cut only where the site says so, never because the URL brings less. The text is compared: one spelling.
        cut = len(presented.signature) if "truncated" in presented.confidence else len(expected)
        return same(expected[:cut], presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return (("path", presented.message.decode()),)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        """The target is prefix, parts and image. imagor gets the order's expiry as a filter, thumbor has none."""
        refuse_unfillable(self.name, order)
        rest = realm.behind_prefix(target.path)
        if not rest or target.query is not None or key.algorithm not in MACS:
            raise ParameterInvalid(f"{self.name} signs a path of parts and image, without a query.")
        if self.name == "imagor":
            rest = self._with_expiry(rest, order.expires)
        text = _written(mac(key, rest.encode())).decode()
        return f"{realm.prefix}{text[: _length(realm, self.name) or None]}/{rest}"

    def _with_expiry(self, rest: str, expires: int) -> str:
        pairs, image = self._split(rest)
        written = [pair.raw for pair in pairs if not pair.name.endswith("()")]
        filters = [f"expire({expires * 1000})", *[pair.raw for pair in pairs if pair.name.endswith("()")]]
        return "/".join([*written, f"filters:{':'.join(filters)}", image])

    def _split(self, rest: str) -> tuple[tuple[Pair, ...], str]:
        """The parts as pairs, and the image. A filter's pair is called by its name and ()."""
        pairs: list[Pair] = []
        for name, pattern in self._parts:
            if found := pattern.match(rest):
                pairs.append(Pair(name, found[1], found[1]))
                rest = rest[found.end() :]
        if rest.startswith("filters:"):
            filters = _FILTERS.match(rest)
            # thumbor takes what it cannot read as part of the image: here it is told.
            if filters is None:
                raise ParameterInvalid("The filters cannot be read: filters:name(arguments):name(arguments)/image.")
            pairs += [Pair(f"{one[1]}()", one[2], one[0]) for one in _FILTER.finditer(filters[1])]
            rest = rest[filters.end() :]
        if not rest:
            raise ParameterInvalid("The URL names no image.")
        return tuple(pairs), rest


def _length(realm: Realm, dialect: str) -> int:
    length = realm.number(dialect, "signature_length")
    if length and not _LEAST <= length < max(_LENGTHS):
        raise ConfigurationInvalid(
            [Fault(path=f"sites.{realm.site}.dialects.{dialect}.signature_length", message="is 0, or 22 to 87")]
        )
    return length


def _written(signature: bytes) -> bytes:
    return urlsafe_b64encode(signature)


def _expiry(pairs: tuple[Pair, ...]) -> tuple[int | None, tuple[Pair, ...]]:
    """imagor's filter expire, in milliseconds."""
    said = [pair.value for pair in pairs if pair.name == "expire()"]
    if len(said) > 1 or not all(_EXPIRE.fullmatch(text) for text in said):
        raise ParameterInvalid("The filter 'expire' takes a time in unix milliseconds, thirteen digits, once.")
    others = tuple(pair for pair in pairs if pair.name != "expire()")
    return (int(said[0]) // 1000 if said else None), others


def _source(image: str, bare: str, *, wraps: bool) -> str:
    if wraps and image.startswith("b64:"):
        unwrapped = read_base64url(image[4:])
        try:
            return unwrapped.decode() if unwrapped else image
        except UnicodeDecodeError:
            return image
    if _ENCODED.match(image):
        return unquote(image)
    if bare == "path" or _SCHEME.match(image):
        return image
    return f"{bare}://{image}"


THUMBOR = PathSigned(
    "thumbor",
    title="thumbor",
    source="https://thumbor.readthedocs.io/en/latest/security.html",
    status=400,
    parts=_THUMBOR_PARTS,
)
IMAGOR = PathSigned(
    "imagor",
    title="imagor",
    source="https://docs.imagor.net/security",
    status=403,
    parts=_IMAGOR_PARTS,
)
