"""Pixel Fiddler's signatures (pixel-fiddler.com/docs/security/signature).

    /demo/media/crab.jpg?ts=1732812345&w=800&signature=MEUC…

Signed is `{METHOD} {path}?{query without signature}` in lower case: ECDSA with SHA-256 over P-256, DER in base64url without
padding. `ts` is the time of signing; how long it counts is the site's setting, `expiry`. The gateway holds public keys
alone. At level `signature-or-token` a bearer token of the Authorization header opens as well, for whoever holds it.

Lower-casing makes one signature good for /Media/A.jpg and /media/a.jpg. Option `case` says what comes of it: capital
letters are refused, or what was signed is what is shown. Only A-Z is folded, on bytes: Unicode's rules would turn the
Kelvin sign into a "k".

The vendor's four sample signers do not send what they signed. The signature is taken out wherever it stands; what two of
them do besides is tried where `unsafe_compat` names it:

    node-form         query signed as browsers write it and sent as form data: a%20b,c becomes a+b%2Cc
    go-decoded-path   path signed decoded and sent encoded
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote, unquote_plus

from countermark.core.encoding import base64url, read_base64url
from countermark.core.errors import ParameterInvalid, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair, Target
from countermark.keys.keyring import TOKENS, Key
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
from countermark.signing.primitives import der_of, holds, same, sign

_NODE_FORM = "node-form"
_GO_PATH = "go-decoded-path"
_EITHER = "signature-or-token"

_DAY = 86_400
_RAW_BYTES = 64
_MOST_TOKEN = 512
_PATH_SAFE = "/!$&'()*+,;=:@"
_BEARER = b"Bearer\n"
_CAPITAL = re.compile(r"[A-Z]")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_BORDERS = re.compile(r"[?#%]")
_FOLD = bytes(byte + 32 if 0x41 <= byte <= 0x5A else byte for byte in range(256))
_WEAK = frozenset({"host-unsigned", "case-folded"})
_AUTHORIZATION = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")

_HELP = "(https://pixel-fiddler.com/docs/security/signature)"


def _denial(status: int, kind: str, title: str, detail: str) -> Denial:
    problem = {
        "type": f"pf:problems/{kind}",
        "title": title,
        "status": status,
        "detail": f"{detail} {_HELP}",
        "instance": "{instance}",
    }
    return Denial(status=status, body=json.dumps(problem), content_type="application/problem+json")


_INVALID = _denial(403, "SignatureInvalid", "Signature is invalid", "Signature for resource '{instance}' is invalid.")


class PixelFiddler:
    """Reads and checks Pixel Fiddler's signed URLs, and its bearer tokens."""

    name = "pixel_fiddler"
    syntax = "native"
    reserved = frozenset({"ts", "signature"})
    denials: Mapping[str, Denial] = {
        "signature_missing": _denial(
            401, "SignatureMissing", "Signature is missing", "Resource '{instance}' is secured with signature."
        ),
        "signature_invalid": _INVALID,
        "not_yet_valid": _INVALID,
        "expired": _denial(
            403, "SignatureExpired", "Signature expired", "Signature for resource '{instance}' expired."
        ),
    }
    options = (
        Option(
            name="level",
            kind="str",
            default="signature",
            sentence="What opens: a signature, or also a bearer token of the keyring.",
            choices=("signature", _EITHER),
        ),
        Option(
            name="expiry",
            kind="int",
            default=300,
            sentence="Seconds that a signature counts; a key's `max_life` must allow it.",
            bounds=(1, 60 * _DAY),
        ),
        Option(
            name="case",
            kind="str",
            default="reject",
            sentence="Capital letters in path and query: refused, or shown as they were signed, in lower case.",
            choices=("reject", "signed"),
        ),
        Option(
            name="webcrypto",
            kind="bool",
            default=False,
            sentence="Also read signatures of 64 bytes (r and s), as WebCrypto makes them.",
        ),
        Option(
            name="unsafe_case_as_sent",
            kind="bool",
            default=False,
            sentence="Show what was sent, in its capitals, as the vendor does; a signature then opens every spelling.",
        ),
        Option(
            name="unsafe_compat",
            kind="list",
            default=(),
            sentence="What the vendor's sample signers send that is not what they signed.",
            choices=(_NODE_FORM, _GO_PATH),
        ),
    )
    capabilities = Capabilities(
        title="Pixel Fiddler",
        page="pixel_fiddler",
        source="https://pixel-fiddler.com/docs/security/signature",
        algorithms=("ecdsa-p256", "bearer"),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=True,
        expiry=True,
        address=False,
        prefix=False,
        key_ids=False,
        binds=frozenset({"issued"}),
        forms=("text_secret",),
        private_once=True,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        signature = next((pair for pair in request.target.pairs if pair.name == "signature"), None)
        if signature is not None:
            return self._read_signed(request, realm, signature)
        if realm.text(self.name, "level") == _EITHER and "authorization" in request.headers:
            return _read_token(request)
        return None

    def _read_signed(self, request: EdgeRequest, realm: Realm, signature: Pair) -> Presented:
        path = request.target.path
        pairs = tuple(pair for pair in request.target.pairs if pair is not signature)
        issued = read_expiry("ts", next((pair.value for pair in pairs if pair.name == "ts"), ""))
        texts = _texts(request, pairs, realm)
        compat = realm.texts(self.name, "unsafe_compat")
        if not realm.flag(self.name, "unsafe_case_as_sent"):
            if realm.text(self.name, "case") == "reject":
                _refuse_capitals(path, pairs)
            path, pairs = _folded(path), tuple(_pair(_folded(pair.raw)) for pair in pairs)
        # Where several spellings have one signature, all of them are handed on as the same one.
        if _NODE_FORM in compat:
            pairs = tuple(_pair(_browser_form(pair.raw)) for pair in pairs)
        if _GO_PATH in compat:
            path = quote(unquote(path), safe=_PATH_SAFE)
        return Presented(
            signature=_signature(signature, raw=realm.flag(self.name, "webcrypto")),
            key_id="",
            path=path,
            pairs=tuple(pair for pair in pairs if pair.name != "ts"),
            message=_text("GET", f"{path}?{'&'.join([pair.raw for pair in pairs])}"),
            texts=texts,
            issued=issued,
            expires=issued + realm.number(self.name, "expiry"),
            confidence=_WEAK,
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        if presented.message.startswith(_BEARER) or key.algorithm in TOKENS:
            both = presented.message.startswith(_BEARER) and key.algorithm in TOKENS
            return both and same(key.material, presented.signature)
        if key.algorithm != "ecdsa-p256":
            return False
        # All of them, so that the time taken does not tell which one it was.
        held = [holds(key, text, presented.signature) for text in presented.texts]
        return any(held)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        if presented.message.startswith(_BEARER):
            return (("bearer token for", presented.message.removeprefix(_BEARER).decode()),)
        first, *others = (text.decode() for text in presented.texts)
        return ("method, path and query", first), *(("or", other) for other in others)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        """Its time of signing is now, or earlier where the URL shall end before the site's `expiry` has gone by."""
        refuse_unfillable(self.name, order)
        refuse_reserved(target, self.reserved)
        issued = min(order.now, order.expires - realm.number(self.name, "expiry"))
        raws = [*[pair.raw for pair in target.pairs], f"ts={issued}"]
        signed = f"{target.path}?{'&'.join(raws)}"
        return f"{signed}&signature={base64url(sign(key, _text('GET', signed)))}"


def _read_token(request: EdgeRequest) -> Presented:
    found = _AUTHORIZATION.fullmatch(request.headers["authorization"])
    if found is None or len(found[1]) > _MOST_TOKEN:
        raise SignatureInvalid("The Authorization header holds no bearer token.")
    target = request.target
    return Presented(
        signature=found[1].encode(),
        key_id="",
        path=target.path,
        pairs=tuple(pair for pair in target.pairs if pair.name != "ts"),
        message=_BEARER + target.raw.encode(),
        from_headers=True,
    )


def _texts(request: EdgeRequest, pairs: tuple[Pair, ...], realm: Realm) -> tuple[bytes, ...]:
    """What may have been signed: the URL as it stands, then as the allowed sample signers read it; of a HEAD also the GET."""
    compat = realm.texts(PixelFiddler.name, "unsafe_compat")
    as_sent = realm.flag(PixelFiddler.name, "unsafe_case_as_sent")
    path, query = request.target.path, "&".join([pair.raw for pair in pairs])
    forms = [f"{path}?{query}"]
    if _NODE_FORM in compat and (as_sent or not _CAPITAL.search(unquote(query))):
        forms.append(f"{path}?{'&'.join([_browser_form(pair.raw) for pair in pairs])}")
    if _GO_PATH in compat:
        decoded = unquote(path)
        # An escaped "?" would move the border of the path, an escaped "%" would be decoded twice.
        if not _BORDERS.search(decoded) and (as_sent or not _CAPITAL.search(decoded)):
            forms.append(f"{decoded}?{query}")
    methods = ("GET", "HEAD") if request.method == "HEAD" else ("GET",)
    return tuple(_text(method, form) for method in methods for form in dict.fromkeys(forms))


def _text(method: str, signed: str) -> bytes:
    return f"{method} {signed}".encode().translate(_FOLD)


def _browser_form(raw: str) -> str:
    """Form data as the URL standard's query holds the same pair: space as %20, most else as it is."""
    name, _, value = raw.partition("=")
    return f"{_browser_text(name, '')}={_browser_text(value, '=')}"


def _browser_text(text: str, safe: str) -> str:
    return quote(unquote_plus(text), safe=f"!$()*,/:;?@[\\]^`{{|}}{safe}")


def _refuse_capitals(path: str, pairs: tuple[Pair, ...]) -> None:
    # The digits of an escape may have either case: they mean the same byte.
    for text in (path, *(pair.raw for pair in pairs)):
        if _CAPITAL.search(_ESCAPE.sub("", text)):
            raise ParameterInvalid("Signed URLs of this site have no capital letters: the signature does not see them.")


def _folded(text: str) -> str:
    return text.encode().translate(_FOLD).decode()


def _pair(raw: str) -> Pair:
    name, _, value = raw.partition("=")
    return Pair(unquote(name), unquote(value), raw)


def _signature(pair: Pair, *, raw: bool) -> bytes:
    signature = read_base64url(pair.value) if pair.raw == f"signature={pair.value}" else None
    if not signature:
        raise SignatureInvalid("signature is not one: base64url without padding.")
    # A signature in DER this short would need an r and an s that nobody will ever find.
    return der_of(signature) if raw and len(signature) == _RAW_BYTES else signature
