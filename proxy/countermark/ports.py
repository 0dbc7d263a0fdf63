"""The few protocols by which the use cases reach the effects. `wiring.py` says who stands behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import BinaryIO, Protocol

from msgspec import Struct

from countermark.core.events import Notice, RequestEvent
from countermark.core.picture import OriginFacts, Rendition
from countermark.core.tasks import Task
from countermark.identity.revocation import Handle, Revocation
from countermark.identity.session import Session
from countermark.imaging.operations import Recipe
from countermark.traffic.gcra import Limit, Verdict


class ByteRange(Struct, frozen=True):
    """A satisfiable range of bytes: first and last position, both inclusive."""

    first: int
    last: int


class OriginBody(Protocol):
    """An object that is being read. `facts.size` is the whole object's size, also where a range was asked."""

    @property
    def facts(self) -> OriginFacts: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes in order. Raises OriginError if they stop early, PictureTooLarge beyond the origin's byte cap."""
        ...

    async def pour(self, parcel: Parcel) -> None:
        """All bytes into a parcel, by the shortest way. Raises as `chunks` and as the parcel does."""
        ...


class Origin(Protocol):
    """A private store of originals. Keys are decoded text without leading slash, already free of dot segments.

    Both raise OriginalMissing, OriginDenied, OriginUnreachable, OriginTimeout, OriginForbidden or PictureTooLarge.
    """

    async def stat(self, key: str) -> OriginFacts:
        """Facts without the body."""
        ...

    def open(self, key: str, byte_range: ByteRange | None = None) -> AbstractAsyncContextManager[OriginBody]:
        """Read an object, or a range of it. Leaving the context early abandons the transfer."""
        ...

    async def close(self) -> None: ...


class HotCache(Protocol):
    """Renditions in this process's memory. Never waits, never fails."""

    def get(self, key: bytes) -> Rendition | None: ...

    def put(self, key: bytes, rendition: Rendition) -> None: ...

    def drop(self, key: bytes) -> None: ...


class ColdCache(Protocol):
    """Renditions on disk, shared by the workers, bounded, safe against crashes. A failing disk is a miss, counted."""

    async def get(self, key: bytes) -> Rendition | None: ...

    async def put(self, key: bytes, rendition: Rendition) -> None: ...

    async def drop(self, key: bytes) -> None: ...


class Flight(Protocol):
    """One computation that many wait for. The leader lands it exactly once; leaving without landing frees the others."""

    @property
    def leader(self) -> bool: ...

    def land(self, rendition: Rendition) -> None:
        """Leader only: hand the result to all who wait, in this process and in its siblings."""
        ...

    def fail(self, error: BaseException) -> None:
        """Leader only: those who wait get the same error."""
        ...

    async def wait(self) -> Rendition | None:
        """Follower only: the leader's result or error; None when the leader died, then join again."""
        ...


class Flights(Protocol):
    """Coalescing over all worker processes of this gateway."""

    def aboard(self, key: bytes) -> bool:
        """Whether somebody in this process is on this flight already."""
        ...

    def join(self, key: bytes) -> AbstractAsyncContextManager[Flight]: ...


class Parcel(Protocol):
    """An original on its way from an origin to a render child: in memory, filled once, then sealed.

    Closing frees it; a parcel that was rendered must still be closed by whoever opened it.
    """

    @property
    def size(self) -> int: ...

    def write(self, chunk: bytes) -> None:
        """Append. Raises PictureTooLarge beyond the limit, Overloaded when all parcels together hold too much."""
        ...

    def inlet(self, size: int) -> BinaryIO:
        """Room for `size` more bytes: a file by which any thread appends them, and closes it. Raises as `write`."""
        ...

    def head(self, length: int) -> bytes:
        """The first bytes, for sniffing."""
        ...

    def close(self) -> None: ...


class Rendered(Struct, frozen=True, kw_only=True):
    """What a render child made, with its own timings in seconds."""

    body: bytes
    format: str
    width: int
    height: int
    queue_seconds: float
    render_seconds: float


class Renderer(Protocol):
    """Decodes, transforms and encodes, behind the wall."""

    def check(self) -> None:
        """Raises Overloaded when a render that is asked for now would wait too long."""
        ...

    def parcel(self, *, limit: int) -> Parcel:
        """A new, empty parcel that takes at most `limit` bytes. Raises as `check`."""
        ...

    async def render(self, original: Parcel, recipe: Recipe) -> Rendered:
        """Raises PictureError, RenderCrashed, RenderDeadline, or Overloaded when the queue's delay is too long."""
        ...

    async def close(self) -> None: ...


class Ticket(Struct, frozen=True, kw_only=True):
    """A single-use credential: its id, when it was issued at the earliest and when it ends (unix seconds; `expires` None is
    never), and who tries: an attempt that is repeated under the same `attempt` gets the same answer."""

    id: str
    issued: float
    expires: int | None
    attempt: str


class Use(Protocol):
    """A use that was taken and may be given back."""

    async def release(self) -> None:
        """Give it back; never fails, as a use that stays taken is the safe side."""
        ...


class Entry(Struct, frozen=True, kw_only=True):
    """A request that was let through: its verdicts, one a limit in their order, and its use where it had a ticket."""

    verdicts: tuple[Verdict, ...] = ()
    use: Use | None = None


class Turnstile(Protocol):
    """Counts requests against their ceilings and takes single uses, for all workers (and, with Redis, all machines).

    All or nothing: a request that one limit refuses counts against none and takes no use.
    """

    def at_once(self, limits: tuple[Limit, ...], now: float) -> tuple[Verdict, ...] | None:
        """The verdicts where they need no waiting; None where `enter` must be asked. Raises RateLimited."""
        ...

    async def enter(self, limits: tuple[Limit, ...], ticket: Ticket | None, now: float) -> Entry:
        """Let one request through, in at most one round trip to the store.

        Raises RateLimited; Used; StoreUnavailable only for a ticket: limits alone fall back to this machine's own count.
        """
        ...


class Strikes(Protocol):
    """Small counts that all workers of this machine share, and that fade: one is forgotten every `window` seconds. Never
    waits, never fails; a lost race may forget one."""

    def strike(self, key: str, window: float) -> int:
        """One more; how many there are now."""
        ...

    def block(self, key: str, seconds: float) -> None:
        """Have `blocked` say so for this time."""
        ...

    def blocked(self, key: str) -> float:
        """For how many seconds more it is, 0 where it is not."""
        ...

    def pardon(self, key: str) -> None:
        """Forget them."""
        ...


class Page(Struct, frozen=True, kw_only=True):
    """Revocations in the order of the list, and the cursor behind the last of them."""

    revocations: tuple[Revocation, ...]
    cursor: str


class RevocationLog(Protocol):
    """The append-only list of revocations. Nothing that was acknowledged is lost. Raises StoreUnavailable."""

    async def append(self, revocations: Sequence[Revocation]) -> str:
        """Add; the cursor behind the last of them."""
        ...

    async def read(self, after: str, limit: int = 10_000) -> Page:
        """What stands behind a cursor, "" for the beginning. An empty page means: that is all, now."""
        ...

    def follow(self, after: str) -> AsyncIterator[Page]:
        """New pages as they come, and an empty one at least once a second as a sign of life; ends only by raising."""
        ...


class Sessions(Protocol):
    """Sessions by id. Raises StoreUnavailable."""

    async def create(self, session: Session) -> None: ...

    async def read(self, id: str) -> Session | None: ...

    async def replace(self, session: Session, *, generation: int) -> bool:
        """Put it in place of the same session at `generation` that has not ended; False where that is not its state."""
        ...

    async def of(self, *, user: str = "", client_id: str = "") -> tuple[Session, ...]:
        """The living sessions of a user or a client; of all, where neither is given; 1,000 at most."""
        ...


class Outbox(Protocol):
    """Tasks that survive a crash. Each is leased to one machine at a time. Raises StoreUnavailable."""

    async def put(self, tasks: Sequence[Task]) -> None:
        """Add; a task whose id is there already is the same task."""
        ...

    async def lease(self, *, limit: int, seconds: float, now: float) -> tuple[Task, ...]:
        """Take due tasks for so long; what is neither done nor put off until then is due again, with one attempt more."""
        ...

    async def done(self, id: str) -> None: ...

    async def put_off(self, id: str, *, due: float) -> None:
        """Try again at `due`, with one attempt more."""
        ...


class Store(Protocol):
    """What must be remembered beyond one process. `trouble` says why it could not be asked lately, "" when it could."""

    @property
    def turnstile(self) -> Turnstile: ...

    @property
    def cells(self) -> Strikes: ...

    @property
    def revocations(self) -> RevocationLog: ...

    @property
    def sessions(self) -> Sessions: ...

    @property
    def outbox(self) -> Outbox: ...

    @property
    def trouble(self) -> str: ...

    async def look(self) -> str:
        """The trouble of this moment: the store is asked something, for as long as it lets a request wait. Never fails."""
        ...

    async def close(self) -> None: ...


class Revoked(Struct, frozen=True, kw_only=True):
    """The revocation that hit, as far as the replica knows it: where it stands in the big file only kind is known."""

    kind: str
    reason: str = ""


class RevocationReplica(Protocol):
    """This process's exact copy of the list, kept up to date in the background. Never waits.

    version   0 before the list was read the first time; changes whenever an answer may: what was clear at this version is
              clear while it stands
    lifts     grows, with the version, whenever something that was taken back may count again
    stale     why the copy may be behind, "" while it is known to be fresh; then what must fail closed does
    """

    @property
    def version(self) -> int: ...

    @property
    def lifts(self) -> int: ...

    @property
    def stale(self) -> str: ...

    def find(self, handles: tuple[Handle, ...], issued: float, now: float) -> Revoked | None:
        """The first of the handles that is revoked, for a grant that was issued at `issued` (unix seconds)."""
        ...


class Purger(Protocol):
    """A CDN (or a cache of ours) from which objects are removed."""

    async def purge(self, *, tags: Sequence[str], urls: Sequence[str]) -> None:
        """Remove what carries one of the tags and these URLs (absolute). Raises PurgeFailed."""
        ...

    async def close(self) -> None: ...


class Notifier(Protocol):
    """A way to people on call, or to a SIEM."""

    async def tell(self, notice: Notice) -> None:
        """Hand it over; told twice it should be known as the same by its id. Raises NotifyFailed."""
        ...

    async def close(self) -> None: ...


class Telemetry(Protocol):
    """Where the one event of each request goes."""

    def tell(self, event: RequestEvent) -> None: ...

    def note(self, notice: Notice) -> None:
        """Something that people or a SIEM should know."""
        ...
