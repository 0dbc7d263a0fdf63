"""What may happen to a signed URL of any dialect, and the promise that none of it opens anything else.

`opens_nothing_else(url, realm, keyring, data)` is the whole test of a dialect; `data` is hypothesis'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote

from hypothesis import strategies as st

from countermark.core.errors import CountermarkError
from countermark.core.grant import Claims
from countermark.keys.keyring import Keyring
from countermark.signing.dialect import Realm
from tests.signing.scene import CLIENT, NOW, check

Mutation = Callable[[str, st.DataObject], str]


def flip_a_character(url: str, data: st.DataObject) -> str:
    at = data.draw(st.integers(0, len(url) - 1))
    return url[:at] + data.draw(st.characters(min_codepoint=0x20, max_codepoint=0x7F)) + url[at + 1 :]


def insert_a_character(url: str, data: st.DataObject) -> str:
    at = data.draw(st.integers(0, len(url)))
    return url[:at] + data.draw(st.sampled_from("=/?&%#0A+. _-~\\;")) + url[at:]


def drop_a_slice(url: str, data: st.DataObject) -> str:
    start = data.draw(st.integers(0, len(url) - 1))
    return url[:start] + url[data.draw(st.integers(start + 1, len(url))) :]


def move_a_character(url: str, data: st.DataObject) -> str:
    """Among others the border between path and query, and digits from one value to the next."""
    return move(url, data.draw(st.integers(0, len(url) - 1)), data.draw(st.integers(0, len(url) - 1)))


def move(url: str, source: int, goal: int) -> str:
    rest = url[:source] + url[source + 1 :]
    return rest[:goal] + url[source] + rest[goal:]


def change_case(url: str, data: st.DataObject) -> str:
    start = data.draw(st.integers(0, len(url) - 1))
    end = data.draw(st.integers(start + 1, len(url)))
    return url[:start] + url[start:end].swapcase() + url[end:]


def escape_a_character(url: str, data: st.DataObject) -> str:
    at = data.draw(st.integers(0, len(url) - 1))
    return f"{url[:at]}%{ord(url[at]):02{data.draw(st.sampled_from('xX'))}}{url[at + 1 :]}"


def unescape(url: str, data: st.DataObject) -> str:
    return data.draw(
        st.sampled_from([unquote(url), quote(url, safe="/?&=%"), quote(url, safe="/?&="), url.replace("%", "%25")])
    )


def shuffle_the_pairs(url: str, data: st.DataObject) -> str:
    path, _, query = url.partition("?")
    return f"{path}?{'&'.join(data.draw(st.permutations(query.split('&'))))}"


def repeat_a_pair(url: str, data: st.DataObject) -> str:
    return f"{url}&{data.draw(st.sampled_from(url.partition('?')[2].split('&')))}"


def add_a_pair(url: str, data: st.DataObject) -> str:
    pair = data.draw(
        st.sampled_from(["w=1", "width=1", "exp=1700009999", "expire=1700009999", "token=", "ip=0.0.0.0", "x"])
    )
    path, _, query = url.partition("?")
    return data.draw(st.sampled_from([f"{path}?{pair}&{query}", f"{url}&{pair}"]))


def pad_the_signature(url: str, data: st.DataObject) -> str:
    return url + data.draw(st.sampled_from(["=", "==", "%3D", "A", "%00", "%20", "+", "/", "."]))


def shift_digits(url: str, data: st.DataObject) -> str:
    """A digit wanders over the border between two parts that a glued hash does not tell apart."""
    places = [index for index, character in enumerate(url) if character.isdigit()]
    if not places:
        return url
    return move(url, data.draw(st.sampled_from(places)), data.draw(st.integers(0, len(url) - 1)))


def extend(url: str, data: st.DataObject) -> str:
    """More at the end of the path or of the query, as a length extension would have it."""
    path, mark, query = url.partition("?")
    more = data.draw(st.sampled_from(["%80%00%00", "%80", ".jpg", "/x.jpg", "/", "1", "%2F..%2F", ";x", ",x"]))
    return data.draw(st.sampled_from([f"{path}{more}{mark}{query}", f"{url}{more}"]))


def swap_segments(url: str, data: st.DataObject) -> str:
    path, mark, query = url.partition("?")
    return f"{'/'.join(['', *data.draw(st.permutations(path.split('/')[1:]))])}{mark}{query}"


def climb(url: str, data: st.DataObject) -> str:
    segment = data.draw(st.sampled_from(["../", "./", "%2e%2e/", "/", "..%2f", "%2F", "x/../"]))
    at = data.draw(st.sampled_from([0, *[index + 1 for index, character in enumerate(url) if character == "/"]]))
    return url[:at] + segment + url[at:]


MUTATIONS: list[Mutation] = [
    flip_a_character, insert_a_character, drop_a_slice, move_a_character, change_case, escape_a_character, unescape,
    shuffle_the_pairs, repeat_a_pair, add_a_pair, pad_the_signature, shift_digits, extend,
    swap_segments, climb,
]  # fmt: skip


def meaning(claims: Claims) -> tuple[object, ...]:
    """What a request gets: resource, operations, time, caller."""
    operations = frozenset((pair.name, pair.value) for pair in claims.pairs)
    return (
        claims.dialect,
        claims.key_id,
        claims.id,
        claims.path,
        claims.source,
        operations,
        claims.expires,
        claims.address,
    )


def opens_nothing_else(
    url: str,
    where: Realm,
    keyring: Keyring,
    data: st.DataObject,
    *,
    now: float = NOW,
    client: str = CLIENT,
    headers: Mapping[str, str] = {},
    host: str = "img.example.com",
) -> None:
    """One to three changes to a good URL: refused, or the very same resource, operations, time and caller."""

    def meant(target: str) -> tuple[object, ...]:
        return meaning(check(target, where, keyring=keyring, now=now, client=client, headers=headers, host=host))

    signed = meant(url)
    changed = url
    for mutation in data.draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
        changed = mutation(changed or "/", data)
    try:
        got = meant(changed)
    except CountermarkError:
        return
    assert got == signed, changed
