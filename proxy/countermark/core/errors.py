"""The one tree of errors.

An error is raised where its reason is known and answered in one place, `web/problems.py`.
`detail` may be shown to anybody; `private` is for the log and for holders of an admin token. `dialect` names the
signature dialect that refused, whose vendor may have a status and a body of its own for it.

    CountermarkError
    ├── Malformed                400  the request is not one that we read
    │   ├── TargetMalformed           the raw request target breaks a rule
    │   ├── BodyNotAllowed            a body on a method that has none
    │   ├── ParameterUnknown          a query parameter that nothing here understands
    │   ├── DialectsMixed             the credentials of two signature dialects
    │   ├── ParameterInvalid          an understood parameter with a value out of its range
    │   ├── MethodNotAllowed     405
    │   ├── RangeNotSatisfiable  416
    │   ├── OrderInvalid              what the admin API was asked makes no sense
    │   └── OrderTooLarge        413
    ├── Unauthenticated          401
    │   ├── SignatureMissing          nothing was presented
    │   └── TokenInvalid              no admin token, or none that is known and not yet over
    ├── Refused                  403
    │   ├── SignatureInvalid          also for unknown keys: the public is not told which
    │   ├── KeyInactive               authentic, but by a key outside its dates or revoked
    │   ├── NotYetValid
    │   ├── LifetimeExceeded          expiry further away than the key may sign
    │   ├── AddressMismatch           bound to another client address
    │   ├── CountryMismatch           bound to other countries
    │   ├── PeerUntrusted             asks at /verify and is none of our proxies
    │   ├── SingleUseRefused          a single-use credential at /verify, which shows nothing itself
    │   ├── SourceRefused             names a source that is not this site's
    │   ├── TransformRefused          operations that this grant does not allow
    │   ├── ElementMissing            signed without a fact that the site's policy asks for
    │   ├── CountryNotAllowed         the policy, the site or the client is closed to this country
    │   ├── ClientIpNotAllowed        outside the networks of the policy, the site or the client
    │   ├── OutOfScope                not this client's to see, whether it exists or not
    │   ├── RoleMissing               not for this admin token
    │   ├── ClientUnknown             authentic, but issued to a client that is not (or no longer) registered
    │   └── SessionEnded              signed for a session that has ended or is not known
    ├── Gone                     410
    │   ├── Expired
    │   ├── Revoked                   authentic, but taken back
    │   └── Used                      a single-use credential, once more
    ├── Missing                  404
    │   ├── SiteUnknown
    │   ├── OriginalMissing
    │   └── ResourceUnknown           nothing of the admin API has this name
    ├── Conflict                 409  somebody else changed it meanwhile, or it has ended
    ├── PictureError             422  the original cannot be used
    │   ├── PictureTooLarge      413
    │   ├── PictureUnsupported   415
    │   └── PictureBroken        422
    ├── OriginError              502
    │   ├── OriginUnreachable         refused, reset, cut, or an answer that makes no sense
    │   ├── OriginDenied              the origin does not accept our own credentials
    │   ├── OriginForbidden           an address that an origin may not have (SSRF)
    │   └── OriginTimeout        504
    ├── RateLimited              429  too many; `retry_after` seconds
    │   └── AddressBlocked            too many refusals of this address
    ├── Unavailable              503  try again
    │   ├── Overloaded                shed; `retry_after` seconds
    │   ├── RenderCrashed             the child died; only this request is lost
    │   ├── RenderDeadline            the child was killed at its deadline
    │   └── StoreUnavailable          what must be remembered cannot be
    ├── KmsUnavailable                never met on a request: who opens sealed keys cannot be asked, or refuses
    ├── TaskFailed                    never met on a request
    │   ├── PurgeFailed               a CDN did not remove what was revoked
    │   └── NotifyFailed              people could not be told
    └── ConfigurationInvalid          never met on a request: settings, keys, presets
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct


class CountermarkError(Exception):
    """Base of all errors of the house; never raised itself."""

    reason: ClassVar[str] = "internal"

    def __init__(self, detail: str, *, private: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.private = private
        self.dialect = ""


class Malformed(CountermarkError):
    """The request is not one that the gateway reads."""

    reason = "malformed"


class TargetMalformed(Malformed):
    """The raw request target breaks a rule of `core/target.py`; `rule` is that rule's stable name."""

    reason = "target_malformed"

    def __init__(self, detail: str, *, rule: str, private: str = "") -> None:
        super().__init__(detail, private=private)
        self.rule = rule


class BodyNotAllowed(Malformed):
    """A request body or Transfer-Encoding, which no method here takes (request smuggling)."""

    reason = "body_not_allowed"


class ParameterUnknown(Malformed):
    """A query parameter that neither the dialect nor the URL syntax knows."""

    reason = "parameter_unknown"


class DialectsMixed(Malformed):
    """The credentials of two signature dialects in one request: which of them counts would be the reader's choice."""

    reason = "dialects_mixed"


class ParameterInvalid(Malformed):
    """A known query parameter with a value that it cannot have."""

    reason = "parameter_invalid"


class MethodNotAllowed(Malformed):
    """Anything but GET and HEAD (and OPTIONS where CORS asks)."""

    reason = "method_not_allowed"


class RangeNotSatisfiable(Malformed):
    """A byte range outside the representation, RFC 9110 §15.5.17; `size` is its length in bytes."""

    reason = "range_not_satisfiable"

    def __init__(self, detail: str, *, size: int) -> None:
        super().__init__(detail)
        self.size = size


class OrderInvalid(Malformed):
    """What the admin API was asked cannot be done as it stands."""

    reason = "order_invalid"


class OrderTooLarge(Malformed):
    """More than the admin API reads in one request, or in one line of an import."""

    reason = "order_too_large"


class Unauthenticated(CountermarkError):
    """No usable credentials were presented. `challenge` is the field WWW-Authenticate of the answer."""

    reason = "unauthenticated"
    challenge: ClassVar[str] = 'Signature realm="countermark"'


class SignatureMissing(Unauthenticated):
    """The site's dialects found nothing to verify in the request."""

    reason = "signature_missing"


class TokenInvalid(Unauthenticated):
    """No admin token, or one that is not known or is over: nobody is told which."""

    reason = "token_invalid"
    challenge = 'Bearer realm="countermark admin"'


class Refused(CountermarkError):
    """Credentials were presented and do not open this."""

    reason = "refused"


class SignatureInvalid(Refused):
    """The signature does not belong to these bytes, or no such key exists: the public is not told which."""

    reason = "signature_invalid"


class KeyInactive(Refused):
    """An authentic signature by a key that is outside its dates, pending or revoked."""

    reason = "key_inactive"


class NotYetValid(Refused):
    """Authentic, but its not-before lies in the future."""

    reason = "not_yet_valid"


class LifetimeExceeded(Refused):
    """Authentic, but it would live longer than its key may grant (digit shift in glued formats)."""

    reason = "lifetime_exceeded"


class AddressMismatch(Refused):
    """Bound to another client address."""

    reason = "address_mismatch"


class CountryMismatch(Refused):
    """Bound to countries of which the client's is none, or is not known to be one."""

    reason = "country_mismatch"


class PeerUntrusted(Refused):
    """Only a proxy of ours may say for whom and for what it asks."""

    reason = "peer_untrusted"


class SingleUseRefused(Refused):
    """Opens one time only, which holds no longer once another server shows the picture."""

    reason = "single_use_refused"


class SourceRefused(Refused):
    """The source that the URL names is not one that means this site's origin."""

    reason = "source_refused"


class TransformRefused(Refused):
    """The operations are not those that the grant or the site allows."""

    reason = "transform_refused"


class ElementMissing(Refused):
    """Authentic, but signed without a fact that the policy asks for, or with one that it does not take."""

    reason = "element_missing"


class CountryNotAllowed(Refused):
    """The policy, the site or the client is closed to the request's country, or it is not known."""

    reason = "country_not_allowed"


class ClientIpNotAllowed(Refused):
    """Outside the networks that the policy, the site or the client allows."""

    reason = "client_ip_not_allowed"


class OutOfScope(Refused):
    """Not this client's to see. Never says whether it exists."""

    reason = "out_of_scope"


class RoleMissing(Refused):
    """The admin token may not do this, or not for this site."""

    reason = "role_missing"


class ClientUnknown(Refused):
    """Issued to a client that is not registered, or is no longer."""

    reason = "client_unknown"


class SessionEnded(Refused):
    """Signed for a session that has ended, or that nobody knows."""

    reason = "session_ended"


class Gone(CountermarkError):
    """It was allowed once."""

    reason = "gone"


class Expired(Gone):
    """Authentic, and past its expiry."""

    reason = "expired"


class Revoked(Gone):
    """Authentic, but this credential, or one of those it stands on, was taken back."""

    reason = "revoked"


class Used(Gone):
    """A single-use credential that has opened already."""

    reason = "used"


class Missing(CountermarkError):
    """There is nothing here."""

    reason = "missing"


class SiteUnknown(Missing):
    """No site is configured for this host and path."""

    reason = "site_unknown"


class OriginalMissing(Missing):
    """The origin has no such object."""

    reason = "original_missing"


class ResourceUnknown(Missing):
    """The admin API has nothing of this name."""

    reason = "resource_unknown"


class Conflict(CountermarkError):
    """It is not in the state for which this was meant: changed by somebody else, or ended."""

    reason = "conflict"


class PictureError(CountermarkError):
    """The original cannot be used."""

    reason = "picture_error"


class PictureTooLarge(PictureError):
    """More bytes, pixels, frames or predicted memory than the limits allow."""

    reason = "picture_too_large"


class PictureUnsupported(PictureError):
    """Not a picture of a format that the gateway reads, whatever its name or type says."""

    reason = "picture_unsupported"


class PictureBroken(PictureError):
    """Truncated or damaged."""

    reason = "picture_broken"


class OriginError(CountermarkError):
    """The origin did not do its part."""

    reason = "origin_error"


class OriginUnreachable(OriginError):
    """Refused, reset, cut short, or an answer that makes no sense."""

    reason = "origin_unreachable"


class OriginDenied(OriginError):
    """The origin does not accept the gateway's own credentials."""

    reason = "origin_denied"


class OriginForbidden(OriginError):
    """The origin's name or a redirect leads to an address that it may not have (SSRF)."""

    reason = "origin_forbidden"


class OriginTimeout(OriginError):
    """Connect, read or total time ran out."""

    reason = "origin_timeout"


class RateLimited(CountermarkError):
    """More than the ceiling allows. `retry_after` in whole seconds; `limit` names the ceiling, such as client."""

    reason = "rate_limited"

    def __init__(self, detail: str, *, retry_after: int, limit: str = "", private: str = "") -> None:
        super().__init__(detail, private=private)
        self.retry_after = retry_after
        self.limit = limit


class AddressBlocked(RateLimited):
    """Too many refusals of this address; it waits, whatever it brings."""

    reason = "address_blocked"


class Unavailable(CountermarkError):
    """Not now; the same request may succeed later. `retry_after` is in seconds."""

    reason = "unavailable"

    def __init__(self, detail: str, *, private: str = "", retry_after: int = 1) -> None:
        super().__init__(detail, private=private)
        self.retry_after = retry_after


class Overloaded(Unavailable):
    """Shed, because waiting longer would only make everybody late."""

    reason = "overloaded"


class RenderCrashed(Unavailable):
    """The child that decoded this picture died."""

    reason = "render_crashed"


class RenderDeadline(Unavailable):
    """The child was killed because the picture took longer than its deadline."""

    reason = "render_deadline"


class StoreUnavailable(Unavailable):
    """The store of used credentials cannot be asked, so none of them opens."""

    reason = "store_unavailable"


class KmsUnavailable(CountermarkError):
    """The key management service cannot be reached, or does not let us use its key; `detail` says why."""

    reason = "kms_unavailable"


class TaskFailed(CountermarkError):
    """Work outside did not succeed. `retry_after` is the other side's own word in seconds, None where it said none; `final`
    tells that trying again is useless as things stand, as with wrong credentials."""

    reason = "task_failed"

    def __init__(
        self, detail: str, *, private: str = "", retry_after: float | None = None, final: bool = False
    ) -> None:
        super().__init__(detail, private=private)
        self.retry_after = retry_after
        self.final = final


class PurgeFailed(TaskFailed):
    """A CDN did not take the purge."""

    reason = "purge_failed"


class NotifyFailed(TaskFailed):
    """A webhook or a mail server did not take a notice."""

    reason = "notify_failed"


class Fault(Struct, frozen=True, kw_only=True):
    """One fault of a configuration file: where it stands and what would be right. Line and column count from 1."""

    path: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else (f"{self.file}: " if self.file else "")
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class ConfigurationInvalid(CountermarkError):
    """Settings, keys or presets that cannot be used; `faults` holds all of them, not the first."""

    reason = "configuration_invalid"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)
