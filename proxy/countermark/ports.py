"""The few protocols by which the use cases reach the effects. `wiring.py` says who stands behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import BinaryIO, Protocol

from msgspec import Struct

from countermark.core.events import RequestEvent
from countermark.core.picture import OriginFacts, Rendition
from countermark.imaging.operations import Recipe


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

    def join(self, key: bytes) -> AbstractAsyncContextManager[Flight]: ...


class Parcel(Protocol):
    """An original on its way from an origin to a render child: an anonymous memory file, filled once, then sealed.

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

    def parcel(self, *, limit: int) -> Parcel:
        """A new, empty parcel that takes at most `limit` bytes. Raises Overloaded when its render would wait too long."""
        ...

    async def render(self, original: Parcel, recipe: Recipe) -> Rendered:
        """Raises PictureError, RenderCrashed, RenderDeadline, or Overloaded when the queue's delay is too long."""
        ...

    async def close(self) -> None: ...


class Use(Protocol):
    """A use that was taken and may be given back."""

    async def release(self) -> None:
        """Give it back; never fails, as a use that stays taken is the safe side."""
        ...


class Uses(Protocol):
    """Which single-use credentials were used, shared by all workers of this gateway."""

    async def claim(self, id: str, expires: int) -> Use:
        """Take the one use of `id`, which nobody may present after `expires` (unix seconds).

        Raises Used, or StoreUnavailable where the store cannot be asked.
        """
        ...

    async def close(self) -> None: ...


class Telemetry(Protocol):
    """Where the one event of each request goes."""

    def tell(self, event: RequestEvent) -> None: ...
