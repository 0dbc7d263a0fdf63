"""What holds for every dialect of the table: nobody can add one without these suites."""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countermark.core.errors import CountermarkError
from countermark.keys.keyring import Keyring
from countermark.signing.table import DIALECTS
from tests.signing.mutations import MUTATIONS, meaning, opens_nothing_else
from tests.signing.scene import check
from tests.signing.specimens import CARRIED, Specimen, specimen

OWN = cache(specimen)

DAILY = 50
# A second look at what most dialects' own suites do with more forms of their URLs; whole in the nightly profile.
EXAMPLES = settings(max_examples=DAILY if settings.default.max_examples < 1_000 else settings.default.max_examples)

ANYTHING = st.one_of(
    st.binary(max_size=24).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.binary(max_size=24).map(lambda data: data.decode("latin-1")),
    st.binary(max_size=24).map(quote),
)
"""Any bytes, as an edge may hand them on, and percent-encoded."""

PARTS = re.compile(r"([/?&=~:;,])")


def opened(own: Specimen, target: str, headers: dict[str, str]) -> tuple[object, ...]:
    return meaning(check(target, own.realm, keyring=own.keyring, headers=headers))


def spliced(text: str, data: st.DataObject) -> str:
    """Any bytes in the place of some of its characters, or of one of the parts that formats are read by."""
    if data.draw(st.booleans()):
        parts = PARTS.split(text)
        parts[data.draw(st.integers(0, len(parts) // 2)) * 2] = data.draw(ANYTHING)
        return "".join(parts)
    start = data.draw(st.integers(0, len(text)))
    return text[:start] + data.draw(ANYTHING) + text[data.draw(st.integers(start, len(text))) :]


@pytest.mark.parametrize("name", DIALECTS)
def test_its_own_request_opens(name: str) -> None:
    """Or nothing that follows would say anything."""
    own = OWN(name)
    claims = check(own.target, own.realm, keyring=own.keyring, headers=own.headers)
    assert claims.dialect == name
    assert claims.from_headers == bool(own.headers)
    facts = DIALECTS[name].capabilities
    # What tells two dialects' credentials apart: a cookie or field that is missing there could be mixed in unseen.
    assert not own.headers or bool(facts.cookies or facts.headers)


@pytest.mark.parametrize("name", DIALECTS)
@EXAMPLES
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(name: str, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same; below a prefix, what lies below it."""
    own = OWN(name)
    if not own.prefix:
        opens_nothing_else(own.target, own.realm, own.keyring, data, headers=own.headers)
        return
    changed = own.target
    for mutation in data.draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
        changed = mutation(changed or "/", data)
    try:
        claims = check(changed, own.realm, keyring=own.keyring, headers=own.headers)
    except CountermarkError:
        return
    assert claims.path.startswith(own.prefix)
    assert claims.pairs == ()


@pytest.mark.parametrize("name", CARRIED)
@given(data=st.data())
def test_changed_credentials_open_nothing_else(name: str, data: st.DataObject) -> None:
    """The same changes to a cookie or a header field."""
    own = OWN(name)
    field = data.draw(st.sampled_from(sorted(own.headers)))
    changed = own.headers[field]
    for mutation in data.draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
        changed = mutation(changed or "a", data)
    try:
        got = opened(own, own.target, {**own.headers, field: changed})
    except CountermarkError:
        return
    assert got == opened(own, own.target, dict(own.headers)), changed


@pytest.mark.parametrize("name", DIALECTS)
@EXAMPLES
@given(data=st.data())
def test_any_bytes_are_read_or_refused(name: str, data: st.DataObject) -> None:
    """In path, query, cookie and header fields: nothing but the tree of errors comes out, and nobody else's picture."""
    own = OWN(name)
    target = data.draw(st.sampled_from([own.target, "/", f"/{data.draw(ANYTHING)}", data.draw(ANYTHING)]))
    if data.draw(st.booleans()):
        target = spliced(target, data)
    facts = DIALECTS[name].capabilities
    for word in data.draw(st.lists(st.sampled_from(sorted(DIALECTS[name].reserved) or ["w"]), max_size=3)):
        target += f"{data.draw(st.sampled_from('&?/;'))}{word}={data.draw(ANYTHING)}"
    headers = {field: spliced(text, data) for field, text in own.headers.items()}
    for field in data.draw(st.lists(st.sampled_from(["x-y", "authorization", "cookie", *sorted(facts.headers)]))):
        headers[field] = data.draw(ANYTHING)
    for cookie in data.draw(st.lists(st.sampled_from(sorted(facts.cookies) or ["a"]), max_size=2)):
        headers["cookie"] = f"{headers.get('cookie', 'a=b')}; {cookie}={data.draw(ANYTHING)}"
    for keyring in (own.keyring, Keyring([])):
        reads_or_refuses(own, target, keyring, headers)


@pytest.mark.parametrize("name", DIALECTS)
@EXAMPLES
@given(junk=ANYTHING)
def test_any_bytes_in_any_part_are_read_or_refused(name: str, junk: str) -> None:
    """Each part of the URL in its turn, so that no time, number or name is left out."""
    own = OWN(name)
    parts = PARTS.split(own.target)
    for place in range(0, len(parts), 2):
        target = "".join([*parts[:place], junk, *parts[place + 1 :]])
        reads_or_refuses(own, target, own.keyring, dict(own.headers))


def reads_or_refuses(own: Specimen, target: str, keyring: Keyring, headers: dict[str, str]) -> None:
    """Nothing but the tree of errors comes out, and nobody else's picture."""
    try:
        claims = check(target, own.realm, keyring=keyring, headers=headers)
    except CountermarkError:
        return
    assert claims.key_id == "own"
    assert (own.prefix and claims.path.startswith(own.prefix)) or meaning(claims) == opened(
        own, own.target, dict(own.headers)
    )
