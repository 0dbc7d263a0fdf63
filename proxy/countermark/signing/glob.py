"""Wildcards of signed scopes: `*` is any run of characters, slashes included, and `?` is any one."""

from __future__ import annotations


def covers(pattern: str, text: str, *, single: bool = True) -> bool:
    """Whether the pattern matches the whole text; with `single` off, a `?` stands for itself.

    All places where the pattern may have got to are the bits of one number, which each character of the text moves on at
    once. A matcher that tries and goes back takes time with the power of the number of stars, and the pattern comes in
    the request (ReDoS).
    """
    stays = 0
    length = 0
    takes: dict[str, int] = {}
    anything = 0
    for character in pattern:
        if character == "*":
            stays |= 1 << length
            continue
        if character == "?" and single:
            anything |= 1 << length
        else:
            takes[character] = takes.get(character, 0) | 1 << length
        length += 1
    places = 1
    for character in text:
        places = (places & (takes.get(character, 0) | anything)) << 1 | places & stays
        if not places:
            return False
    return bool(places >> length & 1)
