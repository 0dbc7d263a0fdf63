"""Under which names a grant can be taken back."""

from __future__ import annotations

from countermark.core.grant import Claims, Grant
from countermark.identity.revocation import Handle, handles, issued_at_earliest
from countermark.identity.surrogate import tag, tag_of, tags

CLAIMS = Claims(
    dialect="native", syntax="native", key_id="k1", id=b"\x01" * 32, path="/shop/a/b.jpg", pairs=(), expires=2_000
)


def test_a_grant_has_a_name_for_everything_that_it_stands_on() -> None:
    """And none for what it does not name."""
    named = handles(CLAIMS, site="shop", template="render")
    assert named == (
        Handle("grant", "01" * 32),
        Handle("key", "k1"),
        Handle("template", "render"),
        Handle("path", "shop:/shop/a/b.jpg"),
        Handle("path", "shop:/shop/a/"),
        Handle("path", "shop:/shop/"),
        Handle("path", "shop:/"),
    )


def test_people_and_sessions_are_names_too() -> None:
    """A single-use id counts as the issuer's name for it."""
    claims = Claims(
        **{name: getattr(CLAIMS, name) for name in ("dialect", "syntax", "key_id", "id", "path", "pairs")},
        session="s", user="u", client_id="c", once="o",
    )  # fmt: skip
    assert {Handle("session", "s"), Handle("user", "u"), Handle("client", "c"), Handle("jti", "o")} < set(
        handles(claims, site="shop", template="")
    )


def test_a_url_that_does_not_say_when_it_was_made_was_made_as_early_as_can_be() -> None:
    """So that "issued before" spares nothing that it means."""
    assert issued_at_earliest(CLAIMS, 500) == 1_500


def test_tags_are_opaque_and_each_revocation_finds_its_own() -> None:
    """What a revocation purges is what the answers were tagged with."""
    grant = Grant(site="shop", object_key="a/b.jpg", claims=CLAIMS, expires=2_000, shareable=True)
    tagged = tags(grant, template="render")
    assert len(tagged) == 4
    assert all(len(text) == 18 for text in tagged)
    assert tag_of("key", "k1") in tagged
    assert tag_of("template", "render") in tagged
    assert tag_of("path", "shop:/shop/a/") in tagged
    assert tag("object", "shop:a/b.jpg") in tagged
    assert tag_of("grant", "01" * 32) is None
