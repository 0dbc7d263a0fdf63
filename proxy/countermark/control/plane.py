"""The control plane of one configuration: every use case over one store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from msgspec import Struct

from countermark.control.actor import Actor
from countermark.control.comparison import Bench
from countermark.control.dispatch import Dispatch
from countermark.control.evidence import Witness
from countermark.control.fronts import Fronts
from countermark.control.records import Records
from countermark.control.revocations import Revocations
from countermark.control.sessions import SessionDesk, Terms
from countermark.control.templates import TemplateFacts, template_facts
from countermark.core.events import Severity
from countermark.keys.keyring import Key, Keyring
from countermark.policy.template import Template
from countermark.ports import Store


class KeyFacts(Struct, frozen=True, kw_only=True):
    """A key without its material; people compare keys by the fingerprint. Times are unix seconds, `max_life` seconds."""

    id: str
    dialect: str
    algorithm: str
    state: str
    verifies: bool
    signs: bool
    fingerprint: str
    sites: tuple[str, ...]
    not_before: int | None
    not_after: int | None
    max_life: int


class ControlPlane:
    """What the admin API works with. A reload makes a new one; the old one is closed once nobody uses it."""

    def __init__(
        self,
        *,
        store: Store,
        fronts: Fronts,
        keyring: Keyring,
        bench: Bench,
        terms: Terms,
        records: Records,
        dispatch: Dispatch,
        templates: Mapping[str, Template] = {},
    ) -> None:
        self.store = store
        self.fronts = fronts
        self.keyring = keyring
        self.bench = bench
        witness = Witness(fronts=fronts, keyring=keyring, sessions=store.sessions)
        self.revocations = Revocations(log=store.revocations, records=records, witness=witness, fronts=fronts)
        self.sessions = SessionDesk(
            sessions=store.sessions,
            revocations=self.revocations,
            records=records,
            fronts=fronts,
            keyring=keyring,
            bench=bench,
            terms=terms,
        )
        self.dispatch = dispatch
        self._records = records
        self._templates = templates
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the store open for the time of a request."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    def note(self, kind: str, *, actor: str, subject: str, severity: Severity = "info", detail: str = "") -> None:
        """Tell what no use case of this room does itself."""
        self._records.note(kind, actor=actor, subject=subject, severity=severity, detail=detail)

    def templates(self) -> tuple[TemplateFacts, ...]:
        """The policy templates by name."""
        return tuple(template_facts(template) for _, template in sorted(self._templates.items()))

    def keys(self, actor: Actor) -> tuple[KeyFacts, ...]:
        """The keys of the actor's sites, without their material."""
        now = self._records.clock()
        shown = [key for key in self.keyring.keys if any(actor.covers(site) for site in key.sites) or "*" in key.sites]
        return tuple(_facts(key, now) for key in shown)

    async def close(self) -> None:
        """Close the store, once nobody uses it any more."""
        await self._unused.wait()
        await self.dispatch.close()
        await self.store.close()


def _facts(key: Key, now: float) -> KeyFacts:
    return KeyFacts(
        id=key.id,
        dialect=key.dialect,
        algorithm=key.algorithm,
        state=key.state,
        verifies=key.verifies(now),
        signs=key.signs(now),
        fingerprint=key.fingerprint(),
        sites=key.sites,
        not_before=key.not_before,
        not_after=key.not_after,
        max_life=key.max_life,
    )
