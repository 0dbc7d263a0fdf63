"""For vendors that turn and mirror a picture after they have resized it; here both come before."""

from __future__ import annotations

from typing import Any

from countermark.core.errors import ParameterInvalid


def place_before_turn(values: dict[str, Any]) -> None:
    """Change the place of a crop so that it is the same once the picture is turned and mirrored first.

    A quarter turn would also exchange the sides of the box: with a size it is refused.
    """
    turn: int = values.get("rotate") or 0
    if turn in (90, 270) and (values.get("width") or values.get("height") or values.get("flip")):
        raise ParameterInvalid("A quarter turn is supported without a size and a flip only.")
    flip: str = values.get("flip") or ""
    across, down = ("h" in flip) != (turn == 180), ("v" in flip) != (turn == 180)
    if "gravity" in values:
        values["gravity"] = _mirrored(values["gravity"], across=across, down=down)
    if values.get("focal"):
        x, y = values["focal"]
        values["focal"] = (1 - x if across else x, 1 - y if down else y)


def _mirrored(gravity: str, *, across: bool, down: bool) -> str:
    if across:
        gravity = gravity.replace("east", "*").replace("west", "east").replace("*", "west")
    if down:
        gravity = gravity.replace("south", "*").replace("north", "south").replace("*", "north")
    return gravity
