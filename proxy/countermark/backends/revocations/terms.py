"""What one revocation says about its handle, packed into 64 bits, and handles as numbers of 64 bits.

Terms: the upper half is `issued_before`, the lower one `expires`, both unix seconds; all ones is "whenever issued" and
"for ever". What does not fit is taken for that, so that a revocation of a far year hits too much and never too little.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from struct import Struct as Layout
from typing import get_args

from countermark.identity.revocation import Kind, Revocation

KEY_SIZE = 32

LIFTED = 0
"""In place of terms: whatever was said before is over."""

_FULL = 2**32 - 1
_GRACE = 3600

_number = Layout("=Q").unpack

Front = tuple[int, ...]
"""Terms that hold beside each other for one handle, none of them covered by another."""

Numbering = Callable[[Kind, str], int]


def terms_of(revocation: Revocation) -> int:
    """Its terms, or LIFTED."""
    if revocation.lifted:
        return LIFTED
    # The lower half is never 0, or a revocation that ended in 1970 would read as a lift.
    return _half(revocation.issued_before, least=0) << 32 | _half(revocation.expires, least=1)


def in_force(terms: int, issued: float, now: float) -> bool:
    """Whether they hit what was issued at `issued`."""
    before, until = terms >> 32, terms & _FULL
    return (before == _FULL or issued < before) and (until == _FULL or now <= until)


def over(terms: int, now: float) -> bool:
    """Whether they may be forgotten; the hour of grace is for clocks that were set back."""
    until = terms & _FULL
    return until != _FULL and until + _GRACE < now


def widened(front: Front, terms: int) -> Front:
    """The front with one more, without what is covered then."""
    if any(_covers(one, terms) for one in front):
        return front
    return (*(one for one in front if not _covers(terms, one)), terms)


def numbering(key: bytes) -> Numbering:
    """The number of each handle under a secret key of KEY_SIZE octets: 64 bits of keyed BLAKE2b (RFC 7693).

    Without the key nobody can look for a handle that shares the number of somebody else's, and so revoke or lift what
    is not theirs; by chance, one of 100 million entries meets a handle once in 2 * 10^11 look-ups.
    """
    begun = {kind: blake2b(f"{kind}\0".encode(), key=key, digest_size=8).copy for kind in get_args(Kind)}

    def number(kind: Kind, value: str) -> int:
        digest = begun[kind]()
        digest.update(value.encode("utf-8", "surrogatepass"))
        found: int = _number(digest.digest())[0]
        return found

    return number


def _half(seconds: int | None, *, least: int) -> int:
    return _FULL if seconds is None else min(max(seconds, least), _FULL)


def _covers(wide: int, narrow: int) -> bool:
    return wide >> 32 >= narrow >> 32 and wide & _FULL >= narrow & _FULL
