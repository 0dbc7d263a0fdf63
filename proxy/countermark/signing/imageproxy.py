"""willnorris/imageproxy's signed URLs, https://github.com/willnorris/imageproxy/blob/main/docs/url-signing.md.

    /{option},{option},s{signature}/{remote URL}

Signed is the remote URL, "#", and the options without the signature: the size as WxH, all sorted as text. HMAC-SHA-256 in
base64url with padding. `vu` is an expiry that is over at its own second. A URL without options may be signed alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from countermark.core.encoding import base64url, read_base64url
from countermark.core.errors import ParameterInvalid, ParameterUnknown, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair, Target
from countermark.keys.keyring import Key
from countermark.settings.option import Option
from countermark.signing.dialect import Capabilities, Denial, MintOrder, Presented, Realm, refuse_unfillable
from countermark.signing.endless import MAY_BE_ENDLESS
from countermark.signing.expiry import read_expiry
from countermark.signing.primitives import mac, same

_BYTES = 32
_PLAIN = re.compile(r"https?://[^/]+/.+")
# One spelling of each number: what is signed is the number, not its text.
_NUMBER = r"(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?"
_SIZE = re.compile(rf"({_NUMBER})?x({_NUMBER})?|({_NUMBER})")
_VALUED = re.compile(rf"(r|q|cx|cy|cw|ch)(-?{_NUMBER})")
_WORDS = frozenset({"fit", "fv", "fh", "scaleUp", "sc", "trim"})
_FORMATS = frozenset({"jpeg", "png", "tiff"})
_NO_OPTIONS = "0x0"


class ImageProxy:
    """Options and remote URL in the path."""

    name = "imageproxy"
    syntax = "imageproxy"
    reserved: frozenset[str] = frozenset()
    denials: Mapping[str, Denial] = {
        "signature_missing": Denial(status=403),
        "signature_invalid": Denial(status=403),
        "expired": Denial(status=403),
    }
    options: tuple[Option, ...] = (MAY_BE_ENDLESS,)
    capabilities = Capabilities(
        title="willnorris/imageproxy",
        page="imageproxy",
        source="https://github.com/willnorris/imageproxy/blob/main/docs/url-signing.md",
        algorithms=("hmac-sha256",),
        signs_path=True,
        signs_query=False,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=False,
        key_ids=False,
        forms=("text_secret", "secret"),
        least_secret=16,
        waivers=frozenset({"empty-segment"}),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        head, _, remote = (realm.behind_prefix(request.target.path) or "").partition("/")
        said = head.split(",")
        texts = [option[1:] for option in said if _is_signature(option)]
        if not texts or not remote:
            return None
        if request.target.query is not None:
            raise ParameterUnknown("A remote URL with a query is not taken, and nothing else may have one.")
        if not _PLAIN.fullmatch(remote):
            raise ParameterInvalid("The remote URL is supported as it is only, not escaped, in base64 or relative.")
        pairs = _options([option for option in said if not _is_signature(option)])
        expires = [pair.value for pair in pairs if pair.name == "vu"]
        return Presented(
            signature=_signature(texts),
            key_id="",
            path=f"/{remote}",
            pairs=tuple(pair for pair in pairs if pair.name != "vu"),
            message=f"{remote}#{_canonical(pairs)}".encode(),
            expires=read_expiry("vu", expires[0]) if expires else None,
            exclusive_expiry=True,
            source=remote,
            confidence=frozenset({"host-unsigned", "method-unsigned"}),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        if key.algorithm != "hmac-sha256":
            return False
        remote, _, options = presented.message.rpartition(b"#")
        whole = same(mac(key, presented.message), presented.signature)
        # A signature of the remote URL alone leaves the options free at the vendor's: here it opens none of them.
        alone = same(mac(key, remote), presented.signature) and options == _NO_OPTIONS.encode()
        return whole or alone

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        remote, _, options = presented.message.decode().rpartition("#")
        return ("remote URL", remote), ("options", options)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        """The target is prefix, options and remote URL; without options write 0x0. The order's expiry becomes `vu`."""
        refuse_unfillable(self.name, order)
        head, _, remote = (realm.behind_prefix(target.path) or "").partition("/")
        if target.query is not None or not _PLAIN.fullmatch(remote) or key.algorithm != "hmac-sha256":
            raise ParameterInvalid("imageproxy signs a path {options}/{remote URL}, without a query.")
        options = _canonical(_options([*head.split(","), f"vu{order.expires}"]))
        signature = base64url(mac(key, f"{remote}#{options}".encode()))
        return f"{realm.prefix}{options},s{signature}=/{remote}"


def _is_signature(option: str) -> bool:
    return option.startswith("s") and option not in _WORDS


def _signature(texts: list[str]) -> bytes:
    signature = read_base64url(texts[0].removesuffix("="))
    if len(texts) > 1 or signature is None or len(signature) != _BYTES or not texts[0].endswith("="):
        raise SignatureInvalid("The option s is not one signature: 44 characters of base64url with padding.")
    return signature


def _options(said: list[str]) -> list[Pair]:
    pairs = [_option(option) for option in said]
    if len({pair.name for pair in pairs}) != len(pairs):
        raise ParameterInvalid("An option is given twice.")
    return pairs


def _option(option: str) -> Pair:
    """The option as a pair whose raw text is canonical."""
    if option in _WORDS:
        return Pair(option, "", option)
    if option in _FORMATS:
        return Pair("format", option, option)
    if option.startswith("vu"):
        return Pair("vu", option[2:], option)
    if valued := _VALUED.fullmatch(option):
        return Pair(valued[1], valued[2], option)
    if option and (size := _SIZE.fullmatch(option)):
        text = f"{size[1] or 0}x{size[2] or 0}" if size[3] is None else f"{size[3]}x{size[3]}"
        return Pair("size", text, text)
    raise ParameterUnknown(f"The option '{option[:40]}' is not known.")


def _canonical(pairs: list[Pair]) -> str:
    sized = any(pair.name == "size" for pair in pairs)
    return ",".join(sorted([*([] if sized else [_NO_OPTIONS]), *[pair.raw for pair in pairs]]))
