"""A small world for the data plane: an origin in memory, a renderer that counts, a clock that is set by hand."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from itertools import count
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import BinaryIO

from msgspec.structs import astuple

from countermark.backends.caches.memory import MemoryCache
from countermark.backends.flights import SocketFlights
from countermark.backends.stores.sqlite.store import SqliteStore
from countermark.core.answer import Answer
from countermark.core.catalogue import Catalogue
from countermark.core.errors import CountermarkError, OriginalMissing, OriginUnreachable, Overloaded, PictureTooLarge
from countermark.core.events import Notice, RequestEvent
from countermark.core.networks import NetworkSet
from countermark.core.picture import OriginFacts
from countermark.core.request import EdgeRequest
from countermark.core.target import parse_target
from countermark.delivery.door import FrontDoor
from countermark.delivery.gate import Gate
from countermark.delivery.obtain import Obtain, Source
from countermark.delivery.seeds import Seeds
from countermark.delivery.sentry import Sentry, Watch
from countermark.delivery.sites import Site, SiteTable
from countermark.identity.client import Client
from countermark.identity.revocation import Handle
from countermark.identity.surrogate import TagField
from countermark.imaging.operations import Mark, Recipe
from countermark.imaging.plan import PlanRules
from countermark.keys.keyring import Key, Keyring
from countermark.policy.template import Template
from countermark.ports import ByteRange, Parcel, Rendered, Revoked, Turnstile
from countermark.signing.dialect import Realm
from countermark.signing.native import mint_native

JPEG = b"\xff\xd8\xff\xe0" + b"x" * 996
KEY = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=b"m" * 32)
START = 1_700_000_000.0
WATCH = Watch()
NATIVE = Realm(site="shop", audience="shop", dialects=("native",))


class MemoryOrigin:
    """Objects by key, and how often each was opened and asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, OriginFacts]] = {}
        self.opened: list[str] = []
        self.asked: list[str] = []
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    def put(self, key: str, body: bytes, version: str = "1") -> None:
        self.objects[key] = (body, OriginFacts(size=len(body), etag=f'"{version}"', modified=START - 100))

    def _find(self, key: str) -> tuple[bytes, OriginFacts]:
        if self.away:
            raise OriginUnreachable("The origin is away.")
        if key not in self.objects:
            raise OriginalMissing("No such object.")
        return self.objects[key]

    async def stat(self, key: str) -> OriginFacts:
        self.asked.append(key)
        return self._find(key)[1]

    @asynccontextmanager
    async def open(self, key: str, byte_range: ByteRange | None = None) -> AsyncIterator[MemoryBody]:
        self.opened.append(key)
        await self.gate.wait()
        body, facts = self._find(key)
        part = body if byte_range is None else body[byte_range.first : byte_range.last + 1]
        yield MemoryBody(part, facts)

    async def close(self) -> None:
        return


class MemoryBody:
    def __init__(self, body: bytes, facts: OriginFacts) -> None:
        self.facts = facts
        self._body = body

    async def pour(self, parcel: Parcel) -> None:
        async for chunk in self.chunks():
            parcel.write(chunk)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for at in range(0, len(self._body), 100):
            yield self._body[at : at + 100]


class MemoryParcel:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = io.BytesIO()

    @property
    def size(self) -> int:
        return len(self._data.getvalue())

    def write(self, chunk: bytes) -> None:
        self._data.write(chunk)
        if self.size > self._limit:
            raise PictureTooLarge("Too large.")

    def inlet(self, size: int) -> BinaryIO:
        raise AssertionError(size)

    def head(self, length: int) -> bytes:
        return self._data.getvalue()[:length]

    def close(self) -> None:
        return


class CountingRenderer:
    """Makes a text of the recipe, so that a test sees what was asked for."""

    def __init__(self) -> None:
        self.recipes: list[Recipe] = []
        self.crowded = False

    def check(self) -> None:
        if self.crowded:
            raise Overloaded("Too many.")

    def parcel(self, *, limit: int) -> MemoryParcel:
        return MemoryParcel(limit)

    async def render(self, original: Parcel, recipe: Recipe) -> Rendered:
        self.recipes.append(recipe)
        body = f"{recipe.operations.width}".encode()
        return Rendered(body=body, format="jpeg", width=1, height=1, queue_seconds=0.0, render_seconds=0.0)

    async def close(self) -> None:
        return


class Revocations:
    """A replica that is told by hand what is revoked."""

    def __init__(self) -> None:
        self.version = 1
        self.lifts = 0
        self.stale = ""
        self.asked = 0
        self._named: set[tuple[str, str]] = set()

    def revoke(self, kind: str, value: str) -> None:
        self._named.add((kind, value))
        self.version += 1

    def lift(self, kind: str, value: str) -> None:
        self._named.discard((kind, value))
        self.version += 1
        self.lifts += 1

    def find(self, handles: tuple[Handle, ...], issued: float, now: float) -> Revoked | None:
        self.asked += 1
        return next((Revoked(kind=kind) for kind, value in map(astuple, handles) if (kind, value) in self._named), None)


class Notices:
    """Telemetry that keeps what it is told."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.notices: list[Notice] = []

    def tell(self, event: RequestEvent) -> None:
        raise AssertionError(event)

    def note(self, notice: Notice) -> None:
        self.notices.append(notice)
        self.kinds.append(notice.kind)


class World:
    """The data plane of one worker, and everything around it."""

    def __init__(
        self,
        *,
        max_entry: int = 10_000,
        revalidate: float = 60.0,
        mark: Mark | None = None,
        realm: Realm = NATIVE,
        keys: tuple[Key, ...] = (KEY,),
        turnstile: Turnstile | None = None,
        clients: Mapping[str, Client] | None = None,
        template: Template | None = None,
        networks: NetworkSet | None = None,
        catalogue: Catalogue | None = None,
        watch: Watch = WATCH,
        file: Path | None = None,
        serve_stale: bool = False,
    ) -> None:
        self.now = START
        self.folder = TemporaryDirectory()
        self.store = SqliteStore(file or Path(self.folder.name) / "store.db", wall_clock=lambda: self.now)
        self.revocations = Revocations()
        self.telemetry = Notices()
        self.origin = MemoryOrigin()
        self.origin.put("cat.jpg", JPEG)
        self.renderer = CountingRenderer()
        self.flights = SocketFlights(token_hex(8))
        obtain = Obtain(
            sources={"o": Source(origin=self.origin, max_bytes=5_000, total_timeout=5.0)},
            hot=MemoryCache(1_000_000),
            cold=None,
            flights=self.flights,
            renderer=self.renderer,
            revalidate=revalidate,
            max_entry=max_entry,
            wall_clock=lambda: self.now,
        )
        site = Site(
            name="shop",
            host="*",
            prefix="/shop/",
            realm=realm,
            origin="o",
            rules=PlanRules(mark=mark),
            max_age=3600,
            shared=True,
            template=template,
            networks=networks,
            catalogue=catalogue,
            cdns=("edge",),
            tag_fields=(TagField("Cache-Tag", ","),),
        )
        templates = {template.name: template} if template else {}
        nonces = count(1)
        self.door = FrontDoor(
            sites=SiteTable([site]),
            seeds=Seeds(self.store.sessions, lambda session: session.sealed, Keyring(keys=keys), self.revocations),
            gate=Gate(replica=self.revocations, clients=clients, templates=templates, serve_stale=serve_stale),
            turnstile=turnstile or self.store.turnstile,
            sentry=Sentry(
                watch=watch,
                strikes=self.store.cells,
                revocations=self.store.revocations,
                outbox=self.store.outbox,
                telemetry=self.telemetry,
                nonce=lambda: f"n{next(nonces)}",
            ),
            obtain=obtain,
            ready=list,
            close=obtain.close,
        )
        self.event = RequestEvent(id="none")

    async def close(self) -> None:
        self.flights.close()
        await self.store.close()
        self.folder.cleanup()

    def sign(self, target: str, *, life: int = 7200, address: str = "", key: Key = KEY, **facts: str) -> str:
        return mint_native(
            parse_target(target),
            audience="shop",
            key=key,
            expires=int(self.now) + life,
            address=ip_network(address) if address else None,
            facts=facts,
        )

    async def get(
        self, signed: str, *, method: str = "GET", client: str = "192.0.2.1", country: str = "", **fields: str
    ) -> Answer:
        """One request; `fields` are header names with _ for -. The event of it stays in `event`."""
        self.event = RequestEvent(id="test", client=client)
        request = EdgeRequest(
            id="test",
            method=method,
            target=parse_target(signed),
            host="img.example.com",
            client=ip_address(client),
            headers={name.replace("_", "-"): value for name, value in fields.items()},
            received=self.now,
            country=country,
        )
        return self.door.at_hand(request, self.event) or await self.door.answer(request, self.event)

    async def reason(self, signed: str, **fields: str) -> str:
        """Why a request is refused."""
        try:
            await self.get(signed, **fields)
        except CountermarkError as error:
            return error.reason
        return ""


def field(answer: Answer, name: str) -> str:
    """A header field of an answer, "" where it has none."""
    return dict(answer.headers + answer.momentary).get(name, "")


async def whole(answer: Answer) -> bytes:
    """The body, streamed or not."""
    if answer.stream is None:
        return answer.body
    return b"".join([chunk async for chunk in answer.stream])
