"""A small world for the control plane: a store in memory that keeps the promises of `ports.Store`, a clock, a shop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import count

from msgspec.structs import replace

from countermark.control.actor import Actor
from countermark.control.comparison import Bench, Rule
from countermark.control.dispatch import Dispatch
from countermark.control.fronts import Front, Fronts
from countermark.control.plane import ControlPlane
from countermark.control.records import Records
from countermark.control.sessions import Terms
from countermark.core.errors import StoreUnavailable
from countermark.core.events import Notice, RequestEvent
from countermark.core.target import parse_target
from countermark.core.tasks import Purge, Task, read_purge
from countermark.identity.revocation import Revocation
from countermark.identity.session import Session
from countermark.imaging.presets import read_presets
from countermark.keys.keyring import Key, Keyring
from countermark.policy.template import Template
from countermark.ports import Page
from countermark.settings.model import MatchSettings, SiteSettings
from countermark.signing.native import mint_native
from countermark.signing.realm import realm_of

NOW = 1_800_000_000.0
KEY = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=b"k" * 32)
SEALING = Key(id="m1", dialect="session", algorithm="aes-256-gcm", material=b"m" * 32)
OPERATOR = Actor(name="oncall")
SHOP_ONLY = Actor(name="shop-ci", sites=("shop",))


class MemoryLog:
    """The list of revocations, in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.entries: list[Revocation] = []

    async def append(self, revocations: Sequence[Revocation]) -> str:
        self._store.ask()
        self.entries += revocations
        return str(len(self.entries))

    async def read(self, after: str, limit: int = 10_000) -> Page:
        self._store.ask()
        start = int(after or 0)
        shown = tuple(self.entries[start : start + limit])
        return Page(revocations=shown, cursor=str(start + len(shown)))

    async def follow(self, after: str) -> AsyncIterator[Page]:
        yield await self.read(after)


class MemorySessions:
    """Sessions, in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.kept: dict[str, Session] = {}

    async def create(self, session: Session) -> None:
        self._store.ask()
        self.kept[session.id] = session

    async def read(self, id: str) -> Session | None:
        self._store.ask()
        return self.kept.get(id)

    async def replace(self, session: Session, *, generation: int) -> bool:
        self._store.ask()
        kept = self.kept.get(session.id)
        if kept is None or kept.generation != generation or kept.ended is not None:
            return False
        self.kept[session.id] = session
        return True

    async def of(self, *, user: str = "", client_id: str = "") -> tuple[Session, ...]:
        self._store.ask()
        found = [
            session
            for session in self.kept.values()
            if session.ended is None and user in ("", session.user) and client_id in ("", session.client_id)
        ]
        return tuple(found[:1000])


class MemoryOutbox:
    """Tasks, in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.tasks: dict[str, Task] = {}

    async def put(self, tasks: Sequence[Task]) -> None:
        self._store.ask()
        for task in tasks:
            self.tasks.setdefault(task.id, task)

    async def lease(self, *, limit: int, seconds: float, now: float) -> tuple[Task, ...]:
        due = [task for task in self.tasks.values() if task.due <= now][:limit]
        for task in due:
            self.tasks[task.id] = replace(task, due=now + seconds, attempts=task.attempts + 1)
        return tuple(due)

    async def done(self, id: str) -> None:
        self.tasks.pop(id, None)

    async def put_off(self, id: str, *, due: float) -> None:
        self.tasks[id] = replace(self.tasks[id], due=due)

    def purges(self) -> list[Purge]:
        """The purge tasks that were put, decoded."""
        return [read_purge(task) for task in self.tasks.values() if task.kind == "purge"]


class MemoryStore:
    """A store that a test can have fail."""

    def __init__(self) -> None:
        self.trouble = ""
        self.closed = False
        self.revocations = MemoryLog(self)
        self.sessions = MemorySessions(self)
        self.outbox = MemoryOutbox(self)

    def ask(self) -> None:
        if self.trouble:
            raise StoreUnavailable("The store cannot be asked.", private=self.trouble)

    async def look(self) -> str:
        return self.trouble

    async def close(self) -> None:
        self.closed = True


class Ear:
    """Telemetry that remembers."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def tell(self, event: RequestEvent) -> None:
        raise AssertionError("the control plane serves no pictures")

    def note(self, notice: Notice) -> None:
        self.notices.append(notice)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class World:
    """A control plane over all of that."""

    def __init__(
        self,
        *,
        rules: Mapping[str, Rule] = {},
        keys: Sequence[Key] = (KEY, SEALING),
        clients: frozenset[str] | None = None,
        templates: Mapping[str, Template] = {},
    ) -> None:
        self.store = MemoryStore()
        self.ear = Ear()
        self.clock = Clock()
        numbers = count(1)
        self.fronts = Fronts(
            (front("shop", cdns=("edge",)), front("press", host="press.example", cdns=("edge", "far")))
        )
        self.records = Records(
            telemetry=self.ear,
            outbox=self.store.outbox,
            clock=self.clock,
            random=lambda size: b"\xfb" + next(numbers).to_bytes(size - 1),
        )
        self.plane = ControlPlane(
            store=self.store,  # type: ignore[arg-type]  # no turnstile: nobody here counts requests
            fronts=self.fronts,
            keyring=Keyring(keys),
            bench=Bench(rules=rules, presets=read_presets({"card": "w=400&h=300&fit=cover"})),
            terms=Terms(clients=clients, max_life=12 * 3600),
            records=self.records,
            dispatch=Dispatch(outbox=self.store.outbox, records=self.records, purgers={}, receivers={}, settled=0.0),
            templates=templates,
        )

    def kinds(self) -> list[str]:
        """The kinds of the notices so far."""
        return [notice.kind for notice in self.ear.notices]


def front(name: str, *, host: str = "*", cdns: tuple[str, ...] = ()) -> Front:
    """A site at /NAME/ that takes native URLs."""
    base_url = f"https://{host}" if host != "*" else ""
    site = SiteSettings(
        name=name, origin="pictures", match=MatchSettings(host=host, prefix=f"/{name}/"), base_url=base_url
    )
    return Front(name=name, host=host, realm=realm_of(site), cdns=cdns)


def signed(path: str, *, key: Key = KEY, audience: str = "shop", expires: int = int(NOW) + 3600) -> str:
    """A native URL."""
    return mint_native(parse_target(path), audience=audience, key=key, expires=expires)
