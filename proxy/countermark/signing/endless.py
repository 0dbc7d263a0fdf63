"""URLs without an end: who has one may show the picture for ever, so a site takes them by a named waiver only."""

from __future__ import annotations

from countermark.core.errors import LifetimeExceeded
from countermark.keys.keyring import TOKENS, Key
from countermark.settings.option import Option
from countermark.signing.dialect import Presented, Realm

UNLIMITED = "unsafe_unlimited"

MAY_BE_ENDLESS = Option(
    name=UNLIMITED, kind="bool", default=False, sentence="Takes URLs without an end; revoke the key to end them."
)
"""Of a dialect whose URLs can have an end and need not."""

ALWAYS_ENDLESS = Option(
    name=UNLIMITED,
    kind="bool",
    default=False,
    sentence="Its URLs have no end; a site that accepts them says so. Revoke the key to end them.",
    waives="its URLs never end",
)
"""Of a dialect whose URLs cannot say when they end."""


def refuse_endless(dialect: str, presented: Presented, realm: Realm, key: Key) -> None:
    """Refuse an authentic URL that never ends where the site does not waive it. Raises LifetimeExceeded.

    A bearer token is no URL that leaks with a page: it ends with its key.
    """
    if presented.expires is not None or key.algorithm in TOKENS:
        return
    if realm.options[dialect].get(UNLIMITED) is not True:
        raise LifetimeExceeded("The URL never ends, and this site takes none of that kind.")
