"""Each figure as a bar against its goal, so that one look tells how far it is from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.result import Result

REACHED, MISSED = "#2f7d4f", "#b3372f"


def plot(results: Sequence[Result], place: Path) -> bool:
    """Write a PNG of all figures that have a goal; False where matplotlib is not installed or nothing has one."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figures = [
        (result.name, figure) for result in results for figure in result.figures if figure.goal and figure.samples
    ]
    if not figures:
        return False
    canvas, axes = pyplot.subplots(figsize=(11, 1.5 + 0.28 * len(figures)))
    shares = [_share(figure) for _, figure in figures]
    colours = [REACHED if figure.reached else MISSED for _, figure in figures]
    axes.barh(range(len(figures)), shares, color=colours)
    axes.set_yticks(
        range(len(figures)), [f"{name} · {figure.label} ({figure.goal})" for name, figure in figures], fontsize=7
    )
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlim(0, 2)
    axes.set_xlabel("how well the goal is reached: 1 is just reached, further right is better, cut off at 2")
    for row, (_, figure) in enumerate(figures):
        axes.text(min(shares[row], 1.9) + 0.01, row, f"{figure.value:.3g} {figure.unit}", va="center", fontsize=7)
    canvas.tight_layout()
    canvas.savefig(place, dpi=120)
    pyplot.close(canvas)
    return True


def _share(figure: Figure) -> float:
    """1 where the goal is just reached, more where it is surpassed, at most 2."""
    assert figure.goal is not None
    if math.isnan(figure.value):
        return 0.0
    if figure.goal.kind == "exactly" or not figure.goal.bound or figure.value <= 0:
        return 1.0 if figure.reached else 0.2
    share = figure.value / figure.goal.bound
    return min(2.0, share if figure.goal.kind == "at least" else 1 / share)
