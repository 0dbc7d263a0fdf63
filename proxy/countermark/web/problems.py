"""The one table from error to problem (RFC 9457), and the answers made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from countermark.core import errors
from countermark.core.answer import Answer
from countermark.core.errors import CountermarkError
from countermark.signing.dialect import Denial

ALLOWED_METHODS = "GET, HEAD, OPTIONS"
HEADER_TOO_LARGE = "header_too_large"

Fields = tuple[tuple[str, str], ...]
Denials = Mapping[str, Mapping[str, Denial]]


class Problem(Struct, frozen=True):
    """Status and title of a class of errors; its `type` is made of the class's reason."""

    status: int
    title: str


class Document(Struct, frozen=True, kw_only=True):
    """The body of a problem. `instance` is the request's id, never its URL, which may hold a signature."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    reason: str


INTERNAL = Problem(500, "Internal error")

PROBLEMS: Mapping[type[CountermarkError], Problem] = {
    errors.CountermarkError: INTERNAL,
    errors.Malformed: Problem(400, "Malformed request"),
    errors.TargetMalformed: Problem(400, "Malformed request target"),
    errors.BodyNotAllowed: Problem(400, "Request body not allowed"),
    errors.ParameterUnknown: Problem(400, "Unknown parameter"),
    errors.DialectsMixed: Problem(400, "Two signature dialects"),
    errors.ParameterInvalid: Problem(400, "Invalid parameter"),
    errors.MethodNotAllowed: Problem(405, "Method not allowed"),
    errors.RangeNotSatisfiable: Problem(416, "Range not satisfiable"),
    errors.OrderInvalid: Problem(400, "Order invalid"),
    errors.OrderTooLarge: Problem(413, "Order too large"),
    errors.Unauthenticated: Problem(401, "Not authenticated"),
    errors.SignatureMissing: Problem(401, "Signature missing"),
    errors.TokenInvalid: Problem(401, "Admin token not valid"),
    errors.Refused: Problem(403, "Refused"),
    errors.SignatureInvalid: Problem(403, "Signature invalid"),
    errors.KeyInactive: Problem(403, "Key not active"),
    errors.NotYetValid: Problem(403, "Not valid yet"),
    errors.LifetimeExceeded: Problem(403, "Lifetime too long"),
    errors.AddressMismatch: Problem(403, "Bound to another address"),
    errors.CountryMismatch: Problem(403, "Bound to other countries"),
    errors.PeerUntrusted: Problem(403, "Not a trusted proxy"),
    errors.SingleUseRefused: Problem(403, "Single use not possible here"),
    errors.SourceRefused: Problem(403, "Source not allowed"),
    errors.TransformRefused: Problem(403, "Operations not allowed"),
    errors.ElementMissing: Problem(403, "Signed without a required fact"),
    errors.CountryNotAllowed: Problem(403, "Country not allowed"),
    errors.ClientIpNotAllowed: Problem(403, "Client address not allowed"),
    errors.OutOfScope: Problem(403, "Out of scope"),
    errors.RoleMissing: Problem(403, "Not for this token"),
    errors.ClientUnknown: Problem(403, "Client not known"),
    errors.SessionEnded: Problem(403, "Session ended"),
    errors.Gone: Problem(410, "Gone"),
    errors.Expired: Problem(410, "Expired"),
    errors.Revoked: Problem(410, "Revoked"),
    errors.Used: Problem(410, "Used already"),
    errors.Missing: Problem(404, "Not found"),
    errors.SiteUnknown: Problem(404, "No such site"),
    errors.OriginalMissing: Problem(404, "No such picture"),
    errors.ResourceUnknown: Problem(404, "Not known"),
    errors.Conflict: Problem(409, "Conflict"),
    errors.PictureError: Problem(422, "Picture not usable"),
    errors.PictureTooLarge: Problem(413, "Picture too large"),
    errors.PictureUnsupported: Problem(415, "Picture format not supported"),
    errors.PictureBroken: Problem(422, "Picture damaged"),
    errors.OriginError: Problem(502, "Origin failed"),
    errors.OriginUnreachable: Problem(502, "Origin unreachable"),
    errors.OriginDenied: Problem(502, "Origin denied access"),
    errors.OriginForbidden: Problem(502, "Origin address not allowed"),
    errors.OriginTimeout: Problem(504, "Origin too slow"),
    errors.RateLimited: Problem(429, "Too many requests"),
    errors.AddressBlocked: Problem(429, "Address blocked for a while"),
    errors.Unavailable: Problem(503, "Unavailable"),
    errors.Overloaded: Problem(503, "Overloaded"),
    errors.RenderCrashed: Problem(503, "Rendering failed"),
    errors.RenderDeadline: Problem(503, "Rendering took too long"),
    errors.StoreUnavailable: Problem(503, "Store unavailable"),
    errors.KmsUnavailable: Problem(503, "Key management service unavailable"),
    errors.TaskFailed: INTERNAL,
    errors.PurgeFailed: INTERNAL,
    errors.NotifyFailed: INTERNAL,
    errors.ConfigurationInvalid: INTERNAL,
}

# A status of its own for one rule of a class; the class's reason and title stay.
_RULE_STATUS = {"too_long": 414}

_EXTRA: Mapping[type[CountermarkError], Callable[[Any], Fields]] = {
    errors.MethodNotAllowed: lambda error: (("Allow", ALLOWED_METHODS),),
    errors.RangeNotSatisfiable: lambda error: (("Content-Range", f"bytes */{error.size}"),),
    errors.Unauthenticated: lambda error: (("WWW-Authenticate", error.challenge),),
    errors.RateLimited: lambda error: (("Retry-After", str(error.retry_after)),),
    errors.Unavailable: lambda error: (("Retry-After", str(error.retry_after)),),
}

_PLACE = re.compile(r"\{(?:instance|detail)\}")

_GUARDS: Fields = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


def problem_for(error: CountermarkError) -> tuple[Problem, int]:
    """The line of an error's class, and its status, which a rule of the class may change."""
    problem = PROBLEMS[type(error)]
    if isinstance(error, errors.TargetMalformed):
        return problem, _RULE_STATUS.get(error.rule, problem.status)
    return problem, problem.status


def answer_error(error: CountermarkError, *, instance: str, denials: Denials, path: str = "") -> Answer:
    """The answer to an error: a problem document, or the vendor's own words where its dialect has some.

    `path` is the raw path, which some vendors repeat in their words.
    """
    problem, status = problem_for(error)
    if problem is INTERNAL:
        return answer_internal(instance=instance)
    denial = denials.get(error.dialect, {}).get(error.reason)
    if denial is not None:
        status = denial.status
    extra = _extra(error, status)
    if denial is not None and denial.content_type:
        return _answer(status, error.reason, denial.content_type, _filled(denial.body, path, error.detail), extra)
    return _document(problem.title, status, error.detail, instance, error.reason, extra)


def answer_internal(*, instance: str) -> Answer:
    """The answer to what nobody foresaw. It says nothing of the cause: the log has that under the same id."""
    detail = "The gateway failed. Ask its operator to look up this request's id in the log."
    return _document(INTERNAL.title, INTERNAL.status, detail, instance, CountermarkError.reason, ())


def answer_header_too_large(*, instance: str) -> Answer:
    """RFC 6585 §5: fields too large, one of them or all together."""
    detail = "The request's header fields are too many or too large."
    return _document("Header fields too large", 431, detail, instance, HEADER_TOO_LARGE, ())


def _filled(body: str, path: str, detail: str) -> bytes:
    """A vendor's words with {instance} and {detail} filled in, in one pass and escaped, so that no path adds words."""
    texts = {"{instance}": path, "{detail}": detail}
    return _PLACE.sub(lambda found: msgspec.json.encode(texts[found[0]]).decode()[1:-1], body).encode()


def _extra(error: CountermarkError, status: int) -> Fields:
    if isinstance(error, errors.Unauthenticated) and status != 401:
        return ()
    return tuple(field for family, fields in _EXTRA.items() if isinstance(error, family) for field in fields(error))


def _document(title: str, status: int, detail: str, instance: str, reason: str, extra: Fields) -> Answer:
    document = Document(
        type=f"urn:countermark:problem:{reason}",
        title=title,
        status=status,
        detail=detail,
        instance=instance,
        reason=reason,
    )
    return _answer(status, reason, "application/problem+json", msgspec.json.encode(document), extra)


def _answer(status: int, reason: str, content_type: str, body: bytes, extra: Fields) -> Answer:
    headers = (("Content-Type", content_type), ("Countermark-Reason", reason), *_GUARDS, *extra)
    return Answer(status=status, headers=headers, body=body)
