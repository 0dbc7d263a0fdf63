"""Presigned GETs of Amazon S3: AWS Signature Version 4 in the query (docs.aws.amazon.com/AmazonS3, "sigv4-query-string-auth").

    {path}?{query}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={key id}/{day}/{region}/s3/aws4_request
        &X-Amz-Date={time}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host&X-Amz-Signature={hex}

Signed are method, path, the sorted query and the host, which comes from the site's `base_url`. The MAC's key is derived of
secret, day, region and service.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from countermark.core.encoding import read_hex
from countermark.core.errors import ParameterInvalid, SignatureInvalid, TargetMalformed
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
from countermark.signing.primitives import same
from countermark.signing.spelling import CANONICAL_QUERY, decoded_path
from countermark.signing.tail import joined
from countermark.signing.viewer import viewer_host

MAX_LIFE = 604_800

_ALGORITHM = "AWS4-HMAC-SHA256"
_SIGNATURE = "X-Amz-Signature"
_REQUIRED = frozenset(
    {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", _SIGNATURE}
)
_FIXED = {
    "X-Amz-Algorithm": _ALGORITHM,
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
    "x-amz-checksum-mode": "ENABLED",
    "x-id": "GetObject",
}
_TYPE = "response-content-type"
_IMAGE = re.compile(r"image/[a-z0-9.+-]{1,64}")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_LIFE = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_DIGEST_BYTES = 32


def _error(code: str, message: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>\n'


def _denial(code: str, message: str) -> Denial:
    return Denial(status=403, body=_error(code, message), content_type="application/xml")


class S3SigV4:
    """Presigned URLs, for reading only."""

    name = "s3_sigv4"
    syntax = "native"
    reserved = _REQUIRED | _FIXED.keys() | {_TYPE, "X-Amz-Security-Token"}
    denials: Mapping[str, Denial] = {
        "signature_missing": _denial("AccessDenied", "Access Denied"),
        "signature_invalid": _denial("SignatureDoesNotMatch", "The signature does not belong to this request."),
        "expired": _denial("AccessDenied", "Request has expired"),
    }
    options: tuple[Option, ...] = (
        Option(name="region", kind="str", default="us-east-1", sentence="The region that is signed."),
    )
    capabilities = Capabilities(
        title="Amazon S3, presigned URLs",
        page="s3_sigv4",
        source="https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html",
        algorithms=("hmac-sha256",),
        signs_path=True,
        signs_query=True,
        signs_host=True,
        signs_base_url=True,
        signs_method=True,
        expiry=True,
        address=False,
        prefix=False,
        key_ids=True,
        binds=frozenset({"issued"}),
        forms=("text_secret", "secret"),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        values = {pair.name: pair.value for pair in target.pairs}
        if _SIGNATURE not in values:
            return None
        _refuse_unreadable(values)
        key_id, scope = _credential(values, realm.text(self.name, "region"))
        issued = _time(values["X-Amz-Date"])
        return Presented(
            signature=_signature(values[_SIGNATURE]),
            key_id=key_id,
            path=target.path,
            pairs=tuple([pair for pair in target.pairs if pair.name not in self.reserved]),
            message=_message(request.method, target, values["X-Amz-Date"], scope, viewer_host(realm)),
            issued=issued,
            expires=issued + _life(values["X-Amz-Expires"]),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "hmac-sha256" and same(_mac(key, presented.message), presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        names = ("date", "scope", "method", "path", "query", "header")
        return tuple(zip(names, presented.message.decode().split("\n"), strict=False))

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order)
        refuse_reserved(target, self.reserved)
        date = datetime.fromtimestamp(order.now, UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{date[:8]}/{realm.text(self.name, 'region')}/s3/aws4_request"
        facts = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{key.id}/{scope}",
            "X-Amz-Date": date,
            "X-Amz-Expires": str(_life(str(order.expires - order.now))),
            "X-Amz-SignedHeaders": "host",
        }
        written = [*((pair.name, pair.value) for pair in target.pairs), *facts.items()]
        pairs = tuple(Pair(name, value, _spelled(name, value)) for name, value in written)
        unsigned = Target(raw="", path=target.path, query="", pairs=pairs)
        signature = _mac(key, _message("GET", unsigned, date, scope, viewer_host(realm))).hex()
        return f"{joined(target.path, pairs)}&{_SIGNATURE}={signature}"


def _refuse_unreadable(values: Mapping[str, str]) -> None:
    if not values.keys() >= _REQUIRED:
        raise ParameterInvalid(f"A presigned URL has all of {', '.join(sorted(_REQUIRED))}.")
    for name, fixed in _FIXED.items():
        if values.get(name, fixed) != fixed:
            raise ParameterInvalid(f"{name} must be {fixed} here.")
    # What a session may do stands in the token, which only its issuer can read: a limit that nobody checks.
    if "X-Amz-Security-Token" in values:
        raise ParameterInvalid("URLs that were signed with temporary credentials are not taken.")
    # Another type than a picture's would turn a picture into a page of this host.
    if _TYPE in values and not _IMAGE.fullmatch(values[_TYPE]):
        raise ParameterInvalid(f"{_TYPE} must be the type of a picture.")


def _credential(values: Mapping[str, str], region: str) -> tuple[str, str]:
    key_id, _, scope = values["X-Amz-Credential"].partition("/")
    if scope != f"{values['X-Amz-Date'][:8]}/{region}/s3/aws4_request":
        raise ParameterInvalid("X-Amz-Credential must name the day of X-Amz-Date, this region, s3 and aws4_request.")
    return key_id, scope


def _time(text: str) -> int:
    try:
        if _DATE.fullmatch(text):
            return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        pass
    raise ParameterInvalid("X-Amz-Date must be a time such as 20261122T063000Z.")


def _life(text: str) -> int:
    if not _LIFE.fullmatch(text) or int(text) > MAX_LIFE:
        raise ParameterInvalid(f"X-Amz-Expires must be 1 to {MAX_LIFE} seconds.")
    return int(text)


def _signature(text: str) -> bytes:
    signature = read_hex(text)
    if signature is None or len(signature) != _DIGEST_BYTES:
        raise SignatureInvalid(f"{_SIGNATURE} must be 64 hexadecimal digits in lower case.")
    return signature


def _message(method: str, target: Target, date: str, scope: str, host: str) -> bytes:
    """Date, scope and the canonical request, whose parts are taken as they came and must be canonical."""
    decoded_path(target.path, safe="/~")
    if not CANONICAL_QUERY.fullmatch("&".join([pair.raw for pair in target.pairs])):
        raise TargetMalformed(
            "A presigned query escapes every byte but A-Z a-z 0-9 - . _ ~ as %XX in upper case.", rule="query-spelling"
        )
    signed = sorted(pair.raw.partition("=")[::2] for pair in target.pairs if pair.name != _SIGNATURE)
    query = "&".join([f"{name}={value}" for name, value in signed])
    return f"{date}\n{scope}\n{method}\n{target.path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD".encode()


def _spelled(name: str, value: str) -> str:
    return f"{quote(name, safe='')}={quote(value, safe='')}"


def _mac(key: Key, message: bytes) -> bytes:
    date, scope, request = message.split(b"\n", 2)
    derived = b"AWS4" + key.material
    for part in scope.split(b"/"):
        derived = hmac.digest(derived, part, "sha256")
    hashed = hashlib.sha256(request).hexdigest().encode()
    return hmac.digest(derived, b"\n".join([_ALGORITHM.encode(), date, scope, hashed]), "sha256")
