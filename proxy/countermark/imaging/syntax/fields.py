"""Readers of single query values. Each takes the parameter's name and text and says what is allowed when it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from countermark.core.errors import ParameterInvalid, ParameterUnknown
from countermark.core.target import Pair

FieldReader = Callable[[str, str], object]
FieldTable = Mapping[str, tuple[str, FieldReader]]

_SHOWN = 40
_DIGITS = 6
_HEX = frozenset("0123456789abcdefABCDEF")


def read_fields(pairs: tuple[Pair, ...], table: FieldTable) -> dict[str, object]:
    """Pairs to values by field, or ParameterUnknown, or ParameterInvalid.

    A field said twice, in one spelling or in two, is refused: whoever checks and whoever renders could each
    believe another one (parameter pollution).
    """
    values: dict[str, object] = {}
    for pair in pairs:
        entry = table.get(pair.name)
        if entry is None:
            raise unknown(pair.name, table)
        field, reader = entry
        if field in values:
            raise ParameterInvalid(f"The parameter '{pair.name}' says again what another parameter of this URL said.")
        values[field] = reader(pair.name, pair.value)
    return values


def unknown(name: str, known: Iterable[str]) -> ParameterUnknown:
    """The error for a name that nothing understands, with the nearest known one."""
    shown = name[:_SHOWN]
    near = get_close_matches(shown, list(known), n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ParameterUnknown(f"The parameter '{shown}' is not known.{hint}")


def invalid(name: str, text: str, allowed: str) -> ParameterInvalid:
    """The error for a value out of its range; `allowed` says what would be right."""
    return ParameterInvalid(f"The parameter '{name}' must be {allowed}, not '{text[:_SHOWN]}'.")


def whole(low: int, high: int) -> Callable[[str, str], int]:
    """A whole number in low..high, in plain ASCII digits."""

    def read(name: str, text: str) -> int:
        # int() alone would also take "+1", "1_0", " 1" and other scripts' digits: many spellings of one signed value.
        if text.isascii() and text.isdigit() and len(text) <= _DIGITS and low <= int(text) <= high:
            return int(text)
        raise invalid(name, text, f"a whole number from {low} to {high}")

    return read


def decimal(low: float, high: float) -> Callable[[str, str], float]:
    """A decimal number in low..high with at most four places; no exponent, sign, infinity or NaN."""

    def read(name: str, text: str) -> float:
        value = plain_decimal(text)
        if value is not None and low <= value <= high:
            return value
        raise invalid(name, text, f"a number from {low:g} to {high:g} with at most four decimal places")

    return read


def plain_decimal(text: str) -> float | None:
    """The value of digits with at most one point, None for anything else."""
    before, _, after = text.partition(".")
    if len(before) > _DIGITS or len(after) > 4 or not (before + after).isdigit() or not text.isascii():
        return None
    return float(text)


def choice(words: Mapping[str, object]) -> FieldReader:
    """One of the given words."""

    def read(name: str, text: str) -> object:
        try:
            return words[text]
        except KeyError:
            raise invalid(name, text, f"one of {', '.join(words)}") from None

    return read


def flag(name: str, text: str) -> bool:
    """0 or 1."""
    if text in ("0", "1"):
        return text == "1"
    raise invalid(name, text, "0 or 1")


def colour(name: str, text: str) -> str:
    """`rgb`, `rrggbb` or `rrggbbaa` in hexadecimal, to lower-case `rrggbb`, or `rrggbbaa` where it is not opaque."""
    digits = text.lower()
    if len(digits) not in (3, 6, 8) or not _HEX.issuperset(digits):
        raise invalid(name, text, "a colour as rgb, rrggbb or rrggbbaa in hexadecimal digits")
    if len(digits) == 3:
        return "".join(digit * 2 for digit in digits)
    return digits[:6] if digits.endswith("ff") and len(digits) == 8 else digits


def put(values: dict[str, object], name: str, fields: Mapping[str, object]) -> None:
    """Add what one option says in several fields; like `read_fields`, nothing may be said twice."""
    if not values.keys().isdisjoint(fields):
        raise ParameterInvalid(f"The parameter '{name}' says again what another parameter of this URL said.")
    values.update(fields)


def lacking(name: str, what: str = "") -> ParameterInvalid:
    """The error for a parameter, or one value of it, that the vendor has and the engine lacks."""
    subject = f"The value '{what[:_SHOWN]}' of '{name}'" if what else f"The parameter '{name}'"
    return ParameterInvalid(f"{subject} is known but not supported yet.")


def unsupported(name: str, text: str) -> object:  # noqa: ARG001  every reader of a field takes both
    """A parameter that the vendor has and the engine lacks. It is refused: ignoring it would show another picture."""
    raise lacking(name)
