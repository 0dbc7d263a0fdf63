"""Credentials that stand behind everything that they sign, at the end of the query."""

from __future__ import annotations

from countermark.core.errors import ParameterInvalid
from countermark.core.target import Pair, Target


def split_tail(target: Target, names: frozenset[str]) -> tuple[tuple[Pair, ...], dict[str, str]]:
    """The pairs in front, and the values of the credentials behind them.

    Raises ParameterInvalid for a credential between other parameters, twice, empty, or with percent escapes: it is not
    signed itself, so a second spelling would give one URL endless siblings.
    """
    count = sum(pair.name in names for pair in target.pairs)
    front, tail = target.pairs[: len(target.pairs) - count], target.pairs[len(target.pairs) - count :]
    values = {}
    for pair in tail:
        if pair.name not in names or pair.name in values:
            raise ParameterInvalid(
                f"The signature's parameters stand once each, at the end: {', '.join(sorted(names))}."
            )
        if pair.raw != f"{pair.name}={pair.value}" or not pair.value:
            raise ParameterInvalid(f"{pair.name} must have a value and be written without percent escapes.")
        values[pair.name] = pair.value
    return front, values


def joined(path: str, pairs: tuple[Pair, ...]) -> str:
    """Path and pairs as they stood in front of the credentials, without a dangling '?'."""
    return f"{path}?{'&'.join([pair.raw for pair in pairs])}" if pairs else path
