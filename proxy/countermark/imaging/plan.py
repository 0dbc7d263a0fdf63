"""From what was granted to what will be made: the plan and its cache key."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from msgspec import Struct
from msgspec.json import Encoder

from countermark.core.errors import ParameterInvalid, TransformRefused
from countermark.core.picture import Format
from countermark.core.target import Pair
from countermark.imaging.geometry import box_of
from countermark.imaging.negotiate import accepted
from countermark.imaging.operations import Limits, Mark, Operations, Recipe
from countermark.imaging.presets import Preset
from countermark.imaging.syntax.table import SYNTAXES

# Part of every key: raise it when the engine makes other pixels of the same recipe, and old results are not found.
_EDITION = 1
_ENCODER = Encoder(order="deterministic")


class Plan(Struct, frozen=True, kw_only=True):
    """One rendition to obtain.

    recipe        None streams the original untouched
    key           32 bytes: SHA-256 over site-independent identity (origin, object key, recipe); no signature in it, so
                  that every signature of the same picture shares one cached result
    vary_accept   whether another Accept header could have led to another plan
    """

    origin: str
    object_key: str
    recipe: Recipe | None
    key: bytes
    vary_accept: bool


class PlanRules(Struct, frozen=True, kw_only=True):
    """What a site makes of every request, whatever its URL says.

    formats is what format auto may choose, best first; qualities are the defaults of jpeg, webp and avif; mark_digest
    names the version of the mark's image (any text that changes with its bytes), so that a new image gets new keys.
    """

    presets: Mapping[str, Preset] = {}
    presets_only: bool = False
    mark: Mark | None = None
    mark_digest: str = ""
    formats: tuple[Format, ...] = ("avif", "webp")
    qualities: dict[str, int] = {}
    limits: Limits = Limits()


def make_plan(
    *,
    origin: str,
    object_key: str,
    syntax: str,
    pairs: tuple[Pair, ...],
    rules: PlanRules,
    preset: str = "",
    transform_hash: str = "",
    accept: str = "",
) -> Plan:
    """Read the query, lay it over the preset and decide what will be made.

    Without parameters, preset and mark the original passes through. Any parameter, even one that changes no pixel,
    asks for a rendition, which is encoded anew and without the original's metadata. Raises ParameterUnknown,
    ParameterInvalid, TransformRefused.
    """
    start = _start(rules, preset, transform_hash)
    if rules.presets_only and pairs:
        raise TransformRefused("This site takes only presets; other picture parameters are refused.")
    operations = SYNTAXES[syntax](pairs, start)
    if operations is None and rules.mark is None:
        return Plan(
            origin=origin, object_key=object_key, recipe=None, key=_key(origin, object_key, None), vary_accept=False
        )
    operations = operations or Operations()
    _check_box(operations, rules.limits.output_side)
    negotiated = operations.format == "auto" and bool(rules.formats)
    recipe = Recipe(
        operations=operations,
        accepts=accepted(accept, rules.formats) if negotiated else (),
        mark=rules.mark,
        qualities=rules.qualities,
        limits=rules.limits,
    )
    key = _key(origin, object_key, recipe, rules.mark_digest)
    return Plan(origin=origin, object_key=object_key, recipe=recipe, key=key, vary_accept=negotiated)


def _start(rules: PlanRules, preset: str, transform_hash: str) -> Operations | None:
    if not preset:
        if transform_hash:
            raise TransformRefused("The URL was signed with a transform hash (th) but names no preset.")
        return None
    found = rules.presets.get(preset)
    if found is None:
        raise TransformRefused(f"There is no preset '{preset[:40]}'.")
    # A signature that names a preset must not come to mean other operations when the preset is edited.
    if transform_hash and transform_hash != found.hash:
        raise TransformRefused(f"The preset '{preset[:40]}' has changed since this URL was signed.")
    return found.operations


def _check_box(operations: Operations, largest: int) -> None:
    width, height = box_of(operations)
    if (width or 0) > largest or (height or 0) > largest:
        raise ParameterInvalid(
            f"The box has {width or 'any'}x{height or 'any'} pixels (dpr included); at most {largest} a side are allowed."
        )


def _key(origin: str, object_key: str, recipe: Recipe | None, mark_digest: str = "") -> bytes:
    """JSON keeps the parts apart whatever they contain. How long a render may take does not change its result."""
    if recipe is None:
        return sha256(_ENCODER.encode((_EDITION, origin, object_key))).digest()
    limits = recipe.limits
    bounds = (limits.pixels, limits.side, limits.frames, limits.memory, limits.output_side)
    made_of = (recipe.operations, recipe.accepts, recipe.mark, mark_digest, recipe.qualities, bounds)
    return sha256(_ENCODER.encode((_EDITION, origin, object_key, *made_of))).digest()
