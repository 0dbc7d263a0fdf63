"""Pairs of a query read strictly, for dialects that do not sign every byte of them."""

from __future__ import annotations

from collections.abc import Iterable

from countermark.core.errors import ParameterInvalid, ParameterUnknown
from countermark.core.target import Pair


def plain(pair: Pair) -> str:
    """The value, if it is written without escapes: what no hash covers gets one spelling only. Or ParameterInvalid."""
    if pair.raw != f"{pair.name}={pair.value}":
        raise ParameterInvalid(f"{pair.name[:40]} must be written without percent escapes.")
    return pair.value


def refuse_unsigned(names: Iterable[str]) -> None:
    """Refuse parameters that the signature does not cover: an operation among them would be anybody's choice."""
    unsigned = sorted(names)
    if unsigned:
        raise ParameterUnknown(f"These parameters are not signed: {', '.join(unsigned)[:200]}.")
