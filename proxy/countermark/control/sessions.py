"""Sessions: a client logs in, signs its own URLs with the seed that it is given once, and logs out.

login    a new session, generation 1
refresh  a new generation with a new seed; what the old seed signed is revoked before the new one exists
logout   everything that was signed in the session or bound to it is revoked, then it is marked as ended
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from countermark.control.actor import Actor
from countermark.control.comparison import Bench, Comparison, compare
from countermark.control.fronts import Front, Fronts
from countermark.control.records import Records
from countermark.control.revocations import Revocations
from countermark.core.encoding import base64url
from countermark.core.errors import Conflict, OrderInvalid, ResourceUnknown
from countermark.identity.revocation import Revocation
from countermark.identity.seeds import SEED_BYTES, seal_seed
from countermark.identity.session import Session
from countermark.keys.envelope import NONCE_BYTES
from countermark.keys.keyring import Keyring
from countermark.ports import Sessions
from countermark.signing.verify import AHEAD

DAY = 86_400
_ID_BYTES = 16
_ATTEMPTS = 8

Name = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
Life = Annotated[int, Meta(ge=1, le=366 * DAY, description="Seconds from now; no session outlives sessions.max_life.")]
Target = Annotated[str, Meta(max_length=8000)]


class LoginOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For whom a session is opened."""

    site: Annotated[str, Meta(description="The one site that its signatures open.")]
    user: Annotated[Name, Meta(min_length=1, description="The user, as the issuer names him.")]
    client_id: Annotated[Name, Meta(description="The client that he belongs to.")] = ""
    template: Annotated[str, Meta(description="The policy template of the session; empty: the site's own.")] = ""
    life: Life = 3600


class RefreshOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a session goes on."""

    generation: Annotated[int, Meta(ge=1, description="The present one: the number behind the dot of the key id.")]
    template: Annotated[str | None, Meta(description="Another template from now on; null keeps the present one.")] = (
        None
    )
    life: Life = 3600
    targets: Annotated[
        tuple[Target, ...],
        Meta(
            max_length=100,
            description="Raw paths with operations and bound facts, as the client will sign them, without exp, kid and sig: "
            "they are held against the old and the new template.",
        ),
    ] = ()
    url_life: Annotated[int, Meta(ge=1, le=366 * DAY, description="Seconds that these URLs will live.")] = 300


class SessionFacts(Struct, frozen=True, kw_only=True):
    """A session without its seed."""

    id: str
    generation: int
    site: str
    user: str
    client_id: str
    template: str
    created: float
    expires: int


class SessionOpened(Struct, frozen=True, kw_only=True):
    """What the client signs with: told this once, and never again.

    `seed` is base64url of 32 bytes, the HMAC-SHA-256 key of native URLs with `kid` = `key_id` for this `audience`.
    `refused` are the targets that the old or the new template refuses.
    """

    id: str
    key_id: str
    seed: str
    site: str
    audience: str
    generation: int
    expires: int
    refused: tuple[Comparison, ...] = ()


class SessionsListed(Struct, frozen=True, kw_only=True):
    """Living sessions, 1,000 at most."""

    sessions: tuple[SessionFacts, ...]


class EndOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose sessions end: all of a user, of a client, or of that user at that client."""

    user: Name = ""
    client_id: Name = ""


class SessionsEnded(Struct, frozen=True, kw_only=True):
    """Which sessions ended."""

    sessions: tuple[str, ...]


class Terms(Struct, frozen=True, kw_only=True):
    """What holds for every session: the ids of registered clients (None where there is no file of them), and the seconds
    that no session outlives."""

    clients: frozenset[str] | None = None
    max_life: int


class SessionDesk:
    """The use cases, for a token with the role issuer."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        revocations: Revocations,
        records: Records,
        fronts: Fronts,
        keyring: Keyring,
        bench: Bench,
        terms: Terms,
    ) -> None:
        self._sessions = sessions
        self._revocations = revocations
        self._records = records
        self._fronts = fronts
        self._keyring = keyring
        self._bench = bench
        self._terms = terms

    async def login(self, order: LoginOrder, actor: Actor) -> SessionOpened:
        """Open a session. Raises OrderInvalid, RoleMissing, ConfigurationInvalid without a sealing key, StoreUnavailable."""
        front = self._fronts.named(order.site)
        actor.require(front.name)
        if "native" not in front.realm.dialects:
            raise OrderInvalid(f"Site {front.name} does not accept native URLs, which are what a session signs.")
        self._check_template(order.template)
        clients = self._terms.clients
        if order.client_id and clients is not None and order.client_id not in clients:
            raise OrderInvalid(f"No client is registered as {order.client_id!r}.")
        now = self._records.clock()
        seed = self._records.random(SEED_BYTES)
        id = self._records.random(_ID_BYTES).hex()  # base64url may begin with "-", like an option
        session = Session(
            id=id,
            generation=1,
            sealed=self._sealed(seed, id, 1, now),
            site=front.name,
            user=order.user,
            client_id=order.client_id,
            template=order.template,
            created=now,
            expires=int(now) + min(order.life, self._terms.max_life),
        )
        await self._sessions.create(session)
        self._note("session.started", session, actor)
        return _opened(session, seed, front)

    async def refresh(self, id: str, order: RefreshOrder, actor: Actor) -> SessionOpened:
        """A new generation. Raises Conflict where another refresh was first or the session has ended, ResourceUnknown,
        OrderInvalid, RoleMissing, ConfigurationInvalid, StoreUnavailable.
        """
        now = self._records.clock()
        session = await self._read(id, actor)
        if not session.lives(now):
            raise Conflict("The session has ended; log in again.")
        if session.generation != order.generation:
            raise Conflict(f"The session is at generation {session.generation}, not at {order.generation}.")
        front = self._fronts.named(session.site)
        template = session.template if order.template is None else order.template
        self._check_template(template)
        generation = session.generation + 1
        seed = self._records.random(SEED_BYTES)
        fresh = replace(
            session,
            generation=generation,
            sealed=self._sealed(seed, id, generation, now),
            template=template,
            expires=min(int(now) + order.life, int(session.created) + self._terms.max_life),
        )
        refused = compare(
            order.targets,
            bench=self._bench,
            front=front,
            session=fresh,
            old=session.template or front.template,
            new=template or front.template,
            life=order.url_life,
            now=now,
        )
        # First of all: a seed that has been replaced must not sign on where a worker still remembers it.
        await self._revoke("key", session.key_id, session, actor, reason="The session was refreshed.")
        if not await self._sessions.replace(fresh, generation=session.generation):
            raise Conflict("The session was changed by somebody else meanwhile.")
        self._note("session.refreshed", fresh, actor, refused=str(len(refused)) if refused else "")
        return _opened(fresh, seed, front, refused)

    async def logout(self, id: str, actor: Actor) -> SessionsEnded:
        """End a session; one that has ended already stays so. Raises ResourceUnknown, RoleMissing, StoreUnavailable."""
        await self._end(await self._read(id, actor), actor)
        return SessionsEnded(sessions=(id,))

    async def end_all(self, order: EndOrder, actor: Actor) -> SessionsEnded:
        """End every session of a user or a client. Raises OrderInvalid, StoreUnavailable."""
        if not order.user and not order.client_id:
            raise OrderInvalid("Name a user or a client_id; nobody ends everybody's sessions by an empty order.")
        ended: dict[str, None] = {}
        while found := await self._of(order.user, order.client_id, actor):
            fresh = [session for session in found if session.id not in ended]
            if not fresh:
                break
            for session in fresh:
                await self._end(session, actor)
                ended[session.id] = None
        return SessionsEnded(sessions=tuple(ended))

    async def living(self, actor: Actor, *, user: str = "", client_id: str = "") -> SessionsListed:
        """The living sessions of a user or a client, or of all. Raises StoreUnavailable."""
        found = await self._of(user, client_id, actor)
        return SessionsListed(sessions=tuple(_facts(session) for session in found))

    async def _of(self, user: str, client_id: str, actor: Actor) -> list[Session]:
        now = self._records.clock()
        found = await self._sessions.of(user=user, client_id=client_id)
        return [session for session in found if session.lives(now) and actor.covers(session.site)]

    async def _end(self, session: Session, actor: Actor) -> None:
        # Revoked first: should the gateway die in between, the session is off, and logging out again sets the mark.
        await self._revoke("session", session.id, session, actor, reason="The session was logged out.")
        for _ in range(_ATTEMPTS):
            if session.ended is not None:
                return
            now = self._records.clock()
            if await self._sessions.replace(replace(session, ended=now), generation=session.generation):
                self._note("session.ended", session, actor)
                return
            session = await self._read(session.id, actor)
        raise Conflict("The session is revoked, but it is being refreshed faster than it can be marked as ended.")

    async def _read(self, id: str, actor: Actor) -> Session:
        session = await self._sessions.read(id)
        # One answer for both, so that a token of another site learns of no session.
        if session is None or not actor.covers(session.site):
            raise ResourceUnknown("No session has this id.")
        return session

    async def _revoke(
        self, kind: Literal["key", "session"], value: str, session: Session, actor: Actor, *, reason: str
    ) -> None:
        revocation = Revocation(
            kind=kind,
            value=value,
            created=self._records.clock(),
            expires=max(session.expires, int(self._records.clock())) + AHEAD,
            reason=reason,
            author=actor.name,
        )
        # Leaving is no alarm: whoever watches warnings would see one for every user who goes home.
        await self._revocations.enter(revocation, actor, severity="info")

    def _sealed(self, seed: bytes, id: str, generation: int, now: float) -> bytes:
        nonce = self._records.random(NONCE_BYTES)
        return seal_seed(self._keyring, seed, id=id, generation=generation, nonce=nonce, now=now)

    def _check_template(self, name: str) -> None:
        if name and name not in self._bench.rules:
            known = ", ".join(sorted(self._bench.rules)) or "none"
            raise OrderInvalid(f"No policy template is called {name[:80]!r}; there are {known}.")

    def _note(self, kind: str, session: Session, actor: Actor, **facts: str) -> None:
        self._records.note(
            kind,
            actor=actor.name,
            subject=f"session:{session.id}",
            facts={
                "site": session.site,
                "user": session.user,
                "client_id": session.client_id,
                "template": session.template,
                "generation": str(session.generation),
                **facts,
            },
        )


def _opened(session: Session, seed: bytes, front: Front, refused: tuple[Comparison, ...] = ()) -> SessionOpened:
    return SessionOpened(
        id=session.id,
        key_id=session.key_id,
        seed=base64url(seed),
        site=session.site,
        audience=front.realm.audience,
        generation=session.generation,
        expires=session.expires,
        refused=refused,
    )


def _facts(session: Session) -> SessionFacts:
    return SessionFacts(
        id=session.id,
        generation=session.generation,
        site=session.site,
        user=session.user,
        client_id=session.client_id,
        template=session.template,
        created=session.created,
        expires=session.expires,
    )
