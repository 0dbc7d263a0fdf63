"""What a measurement hands back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.figures import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Figures with what a reader needs to judge them.

    notes     how it was measured, and what was shared, unusual or impossible
    absent    peers or tools that this machine lacks; their figures are missing, which is no failure
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def missed(self) -> tuple[Figure, ...]:
        """The figures that did not reach their goal."""
        return tuple(figure for figure in self.figures if figure.reached is False)


def as_number(value: float) -> float | None:
    """A JSON number; JSON has no nan."""
    return None if math.isnan(value) else round(value, 6)


def as_json(result: Result) -> dict[str, object]:
    """The result as plain JSON values."""
    return {
        "name": result.name,
        "title": result.title,
        "figures": [
            {
                "label": figure.label,
                "unit": figure.unit,
                "value": as_number(figure.value),
                "p10": as_number(figure.low),
                "spread": as_number(figure.spread),
                "rounds": [as_number(sample) for sample in figure.samples],
                "goal": str(figure.goal) if figure.goal else None,
                "reached": figure.reached,
            }
            for figure in result.figures
        ],
        "notes": list(result.notes),
        "absent": list(result.absent),
    }


def as_markdown(result: Result) -> str:
    """The result as a table with its notes."""
    lines = [f"## {result.name}: {result.title}", "", "| figure | median | p10 | spread | rounds | goal | |"]
    lines.append("|---|---:|---:|---:|---:|---|---|")
    for figure in result.figures:
        verdict = {None: "", True: "reached", False: "**missed**"}[figure.reached]
        value = f"{figure.value:.3g} {figure.unit}".strip() + (" (worst)" if figure.worst else "")
        lines.append(
            f"| {figure.label} | {value} | {figure.low:.3g} | {figure.spread:.0%} | {len(figure.samples)} "
            f"| {figure.goal or ''} | {verdict} |"
        )
    lines += ["", *(f"- {note}" for note in result.notes), *(f"- absent: {name}" for name in result.absent)]
    return "\n".join(lines) + "\n"
