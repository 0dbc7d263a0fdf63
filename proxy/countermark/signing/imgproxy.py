"""imgproxy's signed paths, https://docs.imgproxy.net/usage/signing_url.

    /{signature}/{option:…}/…/plain/{source}@{extension}
    /{signature}/{option:…}/…/{base64url of the source}.{extension}

The signature is HMAC-SHA-256 over salt and path, cut to `signature_size` bytes, in base64url without padding. The query
is not signed, so none is taken. An expiry is the option `exp`; `cb` is a signed word without meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from countermark.core.encoding import base64url, read_base64url
from countermark.core.errors import ConfigurationInvalid, Fault, ParameterInvalid, ParameterUnknown, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair, Target
from countermark.keys.keyring import Key
from countermark.settings.option import Option
from countermark.signing.dialect import Capabilities, Denial, MintOrder, Presented, Realm, refuse_unfillable
from countermark.signing.endless import MAY_BE_ENDLESS
from countermark.signing.expiry import read_expiry
from countermark.signing.primitives import mac, same

_FULL = 32
_LEAST = 16
_UNSIGNED = frozenset({"unsafe", "insecure", "_"})
_COLON = re.compile(r":|%3A", re.IGNORECASE)
_EXPIRES, _PRESETS, _NOTHING = ("exp", "expires"), ("pr", "preset"), ("cb", "cachebuster")
_COLLAPSED = re.compile(r"\A([A-Za-z][A-Za-z0-9+.-]*):/([^/])")


class Imgproxy:
    """Options and source in the path, under one HMAC."""

    name = "imgproxy"
    syntax = "imgproxy"
    reserved: frozenset[str] = frozenset()
    denials: Mapping[str, Denial] = {
        "signature_missing": Denial(status=403),
        "signature_invalid": Denial(status=403),
        "expired": Denial(status=404),
    }
    options = (
        Option(name="signature_size", kind="int", default=_FULL, sentence="Bytes of a signature, 16 to 32."),
        Option(
            name="unsafe_signature_size",
            kind="int",
            default=0,
            sentence="Bytes of a shorter signature, 8 to 15, in place of `signature_size`; it can be guessed sooner.",
        ),
        Option(
            name="unsafe_repair",
            kind="bool",
            default=False,
            sentence="Also take %3A for ':' in options and 'scheme:/' for 'scheme://', as proxies rewrite them.",
        ),
        Option(
            name="only_presets",
            kind="bool",
            default=False,
            sentence="The first segment is the name of a preset; there are no options.",
        ),
        MAY_BE_ENDLESS,
    )
    capabilities = Capabilities(
        title="imgproxy",
        page="imgproxy",
        source="https://docs.imgproxy.net/usage/signing_url",
        algorithms=("hmac-sha256",),
        signs_path=True,
        signs_query=False,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=False,
        key_ids=False,
        binds=frozenset({"preset"}),
        forms=("hex_secret", "secret"),
        least_secret=16,
        salted=True,
        waivers=frozenset({"empty-segment", "encoded-slash"}),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        text, _, rest = (realm.behind_prefix(request.target.path) or "").partition("/")
        if not rest or text in _UNSIGNED or _COLON.search(text):
            return None
        if request.target.query is not None:
            raise ParameterUnknown("An imgproxy signature does not cover a query, so the URL must not have one.")
        if realm.flag(self.name, "unsafe_repair"):
            rest = _repaired(rest)
        options, source, extension = _split(rest, only_presets=realm.flag(self.name, "only_presets"))
        expires, preset, pairs = _sort(options)
        size = _size(realm)
        return Presented(
            signature=_signature(text, size),
            key_id="",
            path=f"/{rest}",
            pairs=(*pairs, Pair("ext", extension, f"ext:{extension}")) if extension else pairs,
            message=f"/{rest}".encode(),
            expires=expires,
            preset=preset,
            source=source,
            confidence=frozenset({"host-unsigned", "method-unsigned"} | ({"truncated"} if size < _FULL else set())),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        if key.algorithm not in self.capabilities.algorithms:
            return False
        # `read` has made sure that the signature has the length that the site wants: the URL does not choose it.
        return same(mac(key, key.salt + presented.message)[: len(presented.signature)], presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return ("salt", "{salt}"), ("path", presented.message.decode())

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        """The target is prefix, options and source; the order's expiry becomes `exp`, but where only presets are taken."""
        refuse_unfillable(self.name, order)
        rest = realm.behind_prefix(target.path)
        if not rest or target.query is not None:
            raise ParameterInvalid("imgproxy signs a path of options and source, without a query.")
        if not realm.flag(self.name, "only_presets"):
            rest = f"exp:{order.expires}/{rest}"
        signature = mac(key, key.salt + f"/{rest}".encode())[: _size(realm)]
        return f"{realm.prefix}{base64url(signature)}/{rest}"


def _size(realm: Realm) -> int:
    unsafe = realm.number("imgproxy", "unsafe_signature_size")
    size = unsafe or realm.number("imgproxy", "signature_size")
    if not (8 <= size < _LEAST if unsafe else _LEAST <= size <= _FULL):
        message = "signature_size is 16 to 32 bytes, unsafe_signature_size 8 to 15"
        raise ConfigurationInvalid([Fault(path=f"sites.{realm.site}.dialects.imgproxy", message=message)])
    return size


def _signature(text: str, size: int) -> bytes:
    signature = read_base64url(text)
    if signature is None or len(signature) != size:
        raise SignatureInvalid(f"The first segment is not a signature: {size} bytes of base64url without padding.")
    return signature


def _repaired(rest: str) -> str:
    """The path as imgproxy has it before it checks the signature."""
    before, mark, plain = rest.partition("plain/") if rest.startswith("plain/") else rest.partition("/plain/")
    return before.replace("%3A", ":") + mark + _COLLAPSED.sub(r"\1://\2", plain)


def _split(rest: str, *, only_presets: bool) -> tuple[list[Pair], str, str]:
    """Options, source and extension of a path."""
    segments = rest.split("/")
    options: list[Pair] = []
    if only_presets:
        options.append(Pair("pr", segments[0], segments.pop(0)))
    else:
        while segments and ":" in segments[0]:
            raw = segments.pop(0)
            name, _, value = raw.partition(":")
            options.append(Pair(name, value, raw))
    if segments[:1] == ["plain"]:
        return options, *_plain("/".join(segments[1:]))
    if segments[:1] == ["enc"]:
        raise ParameterInvalid("Encrypted sources (enc/) are known but not supported yet.")
    return options, *_wrapped("".join(segments))


def _plain(text: str) -> tuple[str, str]:
    source, mark, extension = text.partition("@")
    if not source or "@" in extension or (mark and not extension):
        raise ParameterInvalid("A plain source is a URL, then at most one '@' and the extension; write %40 in the URL.")
    # This is the wrapping, not the URL's own escaping: that is undone once more where the object's key is read.
    return unquote(source), extension


def _wrapped(text: str) -> tuple[str, str]:
    wrapped, mark, extension = text.partition(".")
    if not wrapped or "." in extension or (mark and not extension):
        raise ParameterInvalid("The URL names no source: base64url, then at most one '.' and the extension.")
    unwrapped = read_base64url(wrapped.rstrip("="))
    try:
        return ("" if unwrapped is None else unwrapped.decode()) or f"base64:{wrapped}", extension
    except UnicodeDecodeError:
        # A scheme that no origin has: authentic, but refused as a source.
        return f"base64:{wrapped}", extension


def _sort(options: list[Pair]) -> tuple[int | None, str, tuple[Pair, ...]]:
    """Expiry, preset, and the options that mean an operation."""
    said = [pair for pair in options if pair.name in _EXPIRES]
    presets = [pair for pair in options if pair.name in _PRESETS]
    kept = [pair for pair in options if pair.name not in (*_EXPIRES, *_NOTHING)]
    if len(said) > 1 or len(presets) > 1:
        raise ParameterInvalid("Expiry and preset can be given once each.")
    # There a preset overrides what stands before it, here the URL always overrides the preset.
    if presets and (kept[0] != presets[0] or ":" in presets[0].value):
        raise ParameterInvalid("One preset is taken, as the first option.")
    expires = read_expiry(said[0].name, said[0].value) if said else None
    return expires, presets[0].value if presets else "", tuple(kept[len(presets) :])
