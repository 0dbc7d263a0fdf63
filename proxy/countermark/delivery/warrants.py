"""Warrants: what a URL has been proven to ask for, remembered while it is asked for again and again.

The proof of a signature and the plan behind it depend on nothing but the request's text, the configuration and the
session, so they are worked out once for each text. What depends on the moment or on the client (dates, key state, address,
country, revocation, ceilings) is never remembered: the gate looks at it on every request.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct, field

from countermark.core.grant import Claims, Grant
from countermark.delivery.holder import Holder
from countermark.delivery.sites import Site
from countermark.imaging.plan import Plan
from countermark.traffic.gcra import Verdict

LIMIT = 8192
LONGEST_TARGET = 1024

Asked = tuple[str, str, str, str]


class Told:
    """The header fields of the last whole answer from memory. Within a `second` they are the same for every answer with
    the rendition of that `etag` which was `made` then; the rendition itself is not kept here, since caches have bounds.
    `rates` are the fields of the last `verdicts`."""

    __slots__ = ("etag", "fields", "made", "rates", "second", "verdicts")

    def __init__(self) -> None:
        self.second = -1
        self.made = 0.0
        self.etag = ""
        self.fields: tuple[tuple[str, str], ...] = ()
        self.verdicts: tuple[Verdict, ...] = ()
        self.rates: tuple[tuple[str, str], ...] = ()


class Warrant(Struct, frozen=True, kw_only=True):
    """An authentic URL's holder, what it grants him while it is valid, and what will be made of it.

    `fields` are the header fields that every answer to it has, `told` those of the last one from memory.
    """

    holder: Holder
    grant: Grant
    plan: Plan
    fields: tuple[tuple[str, str], ...] = ()
    told: Told = field(default_factory=Told)

    @property
    def site(self) -> Site:
        return self.holder.site

    @property
    def claims(self) -> Claims:
        return self.grant.claims


class Warrants:
    """Warrants by method, host, raw target and Accept header; only authentic URLs get in, so strangers cannot push them out."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Asked, Warrant] = OrderedDict()

    def find(self, asked: Asked) -> Warrant | None:
        """The warrant of a text that was proven before."""
        warrant = self._kept.get(asked)
        if warrant is not None:
            self._kept.move_to_end(asked)
        return warrant

    def keep(self, asked: Asked, warrant: Warrant) -> None:
        """Remember it; the longest unused one goes first. Long texts are not kept, so that memory has a bound, nor
        what was proven by header fields."""
        if len(asked[2]) + len(asked[3]) > LONGEST_TARGET:
            return
        # The URL of a cookie's grant is everybody's: whoever asks for it without the cookie must not find it open.
        if warrant.claims.from_headers:
            return
        self._kept[asked] = warrant
        if len(self._kept) > LIMIT:
            self._kept.popitem(last=False)
