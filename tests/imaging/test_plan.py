"""Plans, presets and cache keys."""

from __future__ import annotations

import pytest
from msgspec import structs

from countermark.core.errors import ConfigurationInvalid, ParameterInvalid, TransformRefused
from countermark.imaging.operations import Limits, Mark, Operations
from countermark.imaging.plan import Plan, PlanRules, make_plan
from countermark.imaging.presets import read_presets
from tests.pictures import pairs

RULES = PlanRules(presets=read_presets({"card": "w=400&h=300&fit=cover", "top": "g=n"}), qualities={"jpeg": 80})
CHROME = "image/avif,image/webp,image/apng,image/*,*/*;q=0.8"


def plan(query: str = "", rules: PlanRules = RULES, **more: str) -> Plan:
    """A plan for one object."""
    given = {"origin": "photos", "object_key": "cat.jpg", "syntax": "native"} | more
    return make_plan(pairs=pairs(query), rules=rules, **given)


def operations(made: Plan) -> Operations:
    """The operations of a plan that has some."""
    assert made.recipe is not None
    return made.recipe.operations


def test_nothing_asked_passes_the_original_through() -> None:
    """And does not depend on Accept."""
    made = plan(accept=CHROME)
    assert made.recipe is None
    assert not made.vary_accept


def test_a_mark_makes_a_rendition_of_every_request() -> None:
    """The original must not be reachable beside it."""
    made = plan(rules=structs.replace(RULES, mark=Mark(name="brand")))
    assert made.recipe is not None and made.recipe.mark is not None


def test_auto_takes_what_is_accepted_and_varies() -> None:
    """Other formats ignore Accept, so that their keys do not multiply."""
    auto, bare = plan("fm=auto", accept=CHROME), plan("fm=auto")
    assert auto.recipe is not None and auto.recipe.accepts == ("avif", "webp")
    assert auto.vary_accept and bare.vary_accept and auto.key != bare.key
    assert plan("fm=jpeg", accept=CHROME).key == plan("fm=jpeg").key
    assert not plan("fm=jpeg", accept=CHROME).vary_accept


def test_equal_requests_share_a_key_and_others_do_not() -> None:
    """All that can change the result is in it, and what cannot is not."""
    key = plan("w=100").key
    slower = structs.replace(RULES, limits=Limits(seconds=99))
    assert key == plan("width=100").key == plan("w=100", slower).key
    others = [
        plan("w=101"),
        plan("w=100", object_key="dog.jpg"),
        plan("w=100", origin="other"),
        plan("w=100", origin="photosc", object_key="at.jpg"),
        plan("w=100", structs.replace(RULES, qualities={"jpeg": 81})),
        plan("w=100", structs.replace(RULES, mark=Mark(name="brand"))),
        plan("w=100", structs.replace(RULES, mark=Mark(name="brand"), mark_digest="2")),
        plan("w=100", structs.replace(RULES, limits=Limits(pixels=5))),
        plan(),
    ]
    keys = [key, *(other.key for other in others)]
    assert len(set(keys)) == len(keys)
    assert all(len(each) == 32 for each in keys)


def test_a_preset_is_where_a_request_starts() -> None:
    """Parameters lie over it, also where only both together have an effect."""
    assert operations(plan(preset="card")) == Operations(width=400, height=300, fit="cover")
    assert operations(plan("w=200&h=200", preset="card")).width == 200
    assert operations(plan("w=9&h=9&fit=cover", preset="top")).gravity == "north"
    assert plan(preset="card").key == plan("w=400&h=300&fit=cover").key


def test_a_signed_transform_hash_must_be_the_presets_present_one() -> None:
    """Editing a preset must not change what old signatures allow."""
    card = RULES.presets["card"].hash
    assert operations(plan(preset="card", transform_hash=card)).width == 400
    edited = structs.replace(RULES, presets=read_presets({"card": "w=4000"}))
    with pytest.raises(TransformRefused, match="changed"):
        plan(rules=edited, preset="card", transform_hash=card)
    with pytest.raises(TransformRefused, match="no preset"):
        plan(transform_hash=card)


def test_presets_only_refuses_every_other_parameter() -> None:
    """Also beside a preset."""
    only = structs.replace(RULES, presets_only=True)
    assert operations(plan(rules=only, preset="card")).width == 400
    for query, preset in (("w=5", ""), ("w=5", "card")):
        with pytest.raises(TransformRefused):
            plan(query, only, preset=preset)


def test_an_unknown_preset_is_refused() -> None:
    """By name."""
    with pytest.raises(TransformRefused, match="'cart'"):
        plan(preset="cart")


@pytest.mark.parametrize("query", ["w=8193", "w=5000&dpr=2", "h=9000"])
def test_a_box_beyond_the_limit_is_refused_before_anything_is_fetched(query: str) -> None:
    """dpr included."""
    with pytest.raises(ParameterInvalid, match="8192"):
        plan(query)


def test_all_faulty_presets_are_listed_at_once() -> None:
    """Each with its name."""
    with pytest.raises(ConfigurationInvalid) as caught:
        read_presets({"a": "w=x", "b": "nope=1", "c": "w=5"})
    assert [fault.path for fault in caught.value.faults] == ["presets.a", "presets.b"]
