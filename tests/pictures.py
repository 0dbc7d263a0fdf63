"""Pictures for the tests: small photographs, and edge cases made of them when they are asked for."""

from __future__ import annotations

from pathlib import Path

import pyvips

from countermark.core.target import Pair
from countermark.imaging.operations import Limits, Mark, Operations, Recipe
from countermark.imaging.syntax import native

DATA = Path(__file__).parent / "data"
FORMATS = ("jpeg", "png", "webp", "avif", "gif", "tiff")


def pairs(query: str) -> tuple[Pair, ...]:
    """The pairs of a query without escapes."""
    split = [(part, *part.partition("=")) for part in query.split("&") if part]
    return tuple(Pair(name, value, raw) for raw, name, _, value in split)


def recipe(query: str = "", *, mark: Mark | None = None, limits: Limits | None = None, **more: object) -> Recipe:
    """A recipe from a native query."""
    operations = native.read(pairs(query)) or Operations()
    return Recipe(operations=operations, mark=mark, limits=limits or Limits(), **more)  # type: ignore[arg-type]


def photo(name: str) -> bytes:
    """The bytes of a photograph in tests/data."""
    return (DATA / f"{name}.jpg").read_bytes()


def pixels(data: bytes, **options: object) -> pyvips.Image:
    """A decoded picture, in memory."""
    return pyvips.Image.new_from_buffer(data, "", **options).copy_memory()


def encoded(picture: pyvips.Image, format: str) -> bytes:
    """The picture as a file of this format."""
    suffix = {"avif": ".avif[effort=0]", "tiff": ".tif"}.get(format, f".{format}")
    return picture.write_to_buffer(suffix)  # type: ignore[no-any-return]


def animation(format: str, *, frames: int = 3, width: int = 60, height: int = 40) -> bytes:
    """An animation whose frame k is filled with one colour, brighter with k, delay 100 (k + 1) ms."""
    shades = [_plain(width, height, (40 * k + 40, 0, 200 - 40 * k)) for k in range(frames)]
    roll = pyvips.Image.arrayjoin(shades, across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", height)
    roll.set_type(pyvips.GValue.array_int_type, "delay", [100 * (k + 1) for k in range(frames)])
    roll.set_type(pyvips.GValue.gint_type, "loop", 3)
    return roll.write_to_buffer(f".{format}")  # type: ignore[no-any-return]


def logo(width: int = 80, height: int = 40) -> bytes:
    """A mark: a red PNG with a transparent frame of a tenth of its height."""
    edge = height // 10
    inner = _plain(width - 2 * edge, height - 2 * edge, (255, 0, 0)).bandjoin(255)
    return inner.embed(edge, edge, width, height).copy(interpretation="srgb").pngsave_buffer()  # type: ignore[no-any-return]


def _plain(width: int, height: int, colour: tuple[int, int, int]) -> pyvips.Image:
    return (pyvips.Image.black(width, height, bands=3) + colour).cast("uchar").copy(interpretation="srgb")
