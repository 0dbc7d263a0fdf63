"""The one table of the admin API: what is served, what is documented and what is tested are made of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta, Struct

from countermark import __version__
from countermark.configuration import Configuration
from countermark.control.actor import Actor
from countermark.control.plane import ControlPlane, KeyFacts
from countermark.control.revocations import (
    MAX_PAGE,
    PAGE,
    Imported,
    LiftOrder,
    Listed,
    RevocationAdded,
    RevocationOrder,
    Value,
)
from countermark.control.sessions import (
    EndOrder,
    LoginOrder,
    Name,
    RefreshOrder,
    SessionOpened,
    SessionsEnded,
    SessionsListed,
)
from countermark.control.templates import TemplateFacts
from countermark.core.errors import Conflict
from countermark.identity.revocation import Kind
from countermark.keys.schedule import Step
from countermark.rotation.file import Change
from countermark.rotation.turn import Turn, outlook, revoke, rotate
from countermark.settings.tokens import Role
from countermark.telemetry.tally import Snapshot


class WorkerFacts(Struct, frozen=True, kw_only=True):
    """A worker process, and why it should get no requests now (nothing: it should)."""

    pid: int
    state: Literal["starting", "ready", "draining"]
    reasons: tuple[str, ...] = ()


class Steering(Protocol):
    """What the admin API asks of the supervisor besides the control plane. The configuration changes with a reload."""

    @property
    def configuration(self) -> Configuration: ...

    async def snapshot(self) -> Snapshot: ...

    async def reasons(self) -> list[str]: ...

    def workers(self) -> tuple[WorkerFacts, ...]: ...

    async def reload(self, *, actor: str) -> tuple[str, ...]:
        """Take all files anew; the faults for which everything stays as it was, none when it was done."""
        ...

    async def turn_keys(self, turn: Turn, *, actor: str) -> tuple[tuple[Change, ...], tuple[str, ...]]:
        """Change the keyring file, and take all files anew if it changed; the changes, and the faults for which they do
        not count yet. Raises what the turn raises; then the file is as it was."""
        ...


class Status(Struct, frozen=True, kw_only=True):
    """How the gateway is. `reasons` say why it should get no requests, the replica's staleness among them;
    `store_trouble` why the store cannot be asked, "" when it can: it is asked for this answer."""

    version: str
    ready: bool
    reasons: tuple[str, ...]
    workers: tuple[WorkerFacts, ...]
    store_trouble: str


class Reloaded(Struct, frozen=True, kw_only=True):
    """The new workers serve."""

    reloaded: bool


class KeysListed(Struct, frozen=True, kw_only=True):
    """The keys of the token's sites."""

    keys: tuple[KeyFacts, ...]


class RotateOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a rotation is done."""

    if_due: Annotated[
        bool, Meta(description="Only what the keys' age asks for; else the signing keys are taken for due.")
    ] = False
    dry_run: Annotated[bool, Meta(description="Change nothing, and tell what would be done.")] = False


class KeysRotated(Struct, frozen=True, kw_only=True):
    """What changed, and what the workers know already. A dry run tells the steps in place of changes."""

    changes: tuple[Change, ...] = ()
    steps: tuple[Step, ...] = ()
    uses: Annotated[dict[str, int], Meta(description="Of a dry run: requests by key, since the gateway started.")] = {}


class KeyRevoked(Struct, frozen=True, kw_only=True):
    """The key as the workers know it already: it opens nothing."""

    change: Change


class TemplatesListed(Struct, frozen=True, kw_only=True):
    """The policy templates, by name."""

    templates: tuple[TemplateFacts, ...]


class RevocationQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which stretch of the list is looked at, and which entries of it are shown."""

    after: Annotated[
        str, Meta(max_length=256, description="The cursor of the page before; empty: from the beginning.")
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Entries that are looked at.")] = PAGE
    kind: Annotated[Kind | None, Meta(description="Show those of this kind only.")] = None
    value: Annotated[Value, Meta(description="Show those with this value only.")] = ""


class SessionQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose sessions are shown."""

    user: Annotated[Name, Meta(description="Those of this user only.")] = ""
    client_id: Annotated[Name, Meta(description="Those of this client only.")] = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request to a route, authenticated and decoded: `query` and `body` are of the route's types."""

    gateway: Steering
    plane: ControlPlane
    actor: Actor
    names: dict[str, str]
    query: Any
    body: Any
    lines: AsyncIterator[bytes]


Handle = Callable[[Call], Awaitable[Struct]]
Stream = Callable[[Call], AsyncIterator[bytes]]


class Route(Struct, frozen=True, kw_only=True):
    """One operation.

    name      operationId, and what clients generated from the document call it
    roles     any of them, or admin
    answer    the body of a success; None where it is lines of NDJSON, which `stream` gives
    lines_in  whether the request's body is NDJSON
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    name: str
    group: Literal["revocations", "sessions", "keys", "gateway"]
    summary: str
    roles: tuple[Role, ...]
    answer: type[Struct] | None = None
    status: int = 200
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    lines_in: bool = False
    handle: Handle | None = None
    stream: Stream | None = None


async def _add_revocation(call: Call) -> RevocationAdded:
    return await call.plane.revocations.add(call.body, call.actor)


async def _lift_revocation(call: Call) -> RevocationAdded:
    return await call.plane.revocations.lift(call.body, call.actor)


async def _list_revocations(call: Call) -> Listed:
    asked: RevocationQuery = call.query
    return await call.plane.revocations.page(
        call.actor, after=asked.after, limit=asked.limit, kind=asked.kind, value=asked.value
    )


def _export_revocations(call: Call) -> AsyncIterator[bytes]:
    return call.plane.revocations.export(call.actor)


async def _import_revocations(call: Call) -> Imported:
    return await call.plane.revocations.take_in(call.lines, call.actor)


async def _login(call: Call) -> SessionOpened:
    return await call.plane.sessions.login(call.body, call.actor)


async def _refresh(call: Call) -> SessionOpened:
    return await call.plane.sessions.refresh(call.names["id"], call.body, call.actor)


async def _logout(call: Call) -> SessionsEnded:
    return await call.plane.sessions.logout(call.names["id"], call.actor)


async def _list_sessions(call: Call) -> SessionsListed:
    return await call.plane.sessions.living(call.actor, user=call.query.user, client_id=call.query.client_id)


async def _end_sessions(call: Call) -> SessionsEnded:
    return await call.plane.sessions.end_all(call.body, call.actor)


async def _status(call: Call) -> Status:
    reasons = await call.gateway.reasons()
    return Status(
        version=__version__,
        ready=not reasons,
        reasons=tuple(reasons),
        workers=call.gateway.workers(),
        store_trouble=await call.plane.store.look(),
    )


async def _reload(call: Call) -> Reloaded:
    call.actor.require_all()
    faults = await call.gateway.reload(actor=call.actor.name)
    if faults:
        raise Conflict(f"The old configuration stays: {'; '.join(faults)}")
    return Reloaded(reloaded=True)


async def _list_keys(call: Call) -> KeysListed:
    return KeysListed(keys=call.plane.keys(call.actor))


async def _rotate_keys(call: Call) -> KeysRotated:
    call.actor.require_all()
    order: RotateOrder = call.body
    if order.dry_run:
        return await _foreseen(call, due=not order.if_due)
    turn = partial(rotate, clock=time.time, by=call.actor.name, due=not order.if_due)
    changes, faults = await call.gateway.turn_keys(turn, actor=call.actor.name)
    if faults:
        raise _not_taken(faults)
    return KeysRotated(changes=changes)


async def _foreseen(call: Call, *, due: bool) -> KeysRotated:
    settings = call.gateway.configuration.settings
    foreseen = await asyncio.to_thread(outlook, settings, now=int(time.time()), due=due)
    counters = (await call.gateway.snapshot()).counters
    uses = {series[1]: int(count) for series, count in counters if series[0] == "key_uses"}
    return KeysRotated(steps=foreseen.steps, uses=uses)


async def _revoke_key(call: Call) -> KeyRevoked:
    call.actor.require_all()
    key_id = call.names["id"]
    turn = partial(revoke, key_id=key_id, clock=time.time, by=call.actor.name)
    (change,), faults = await call.gateway.turn_keys(turn, actor=call.actor.name)
    if faults:
        # The workers still have the keyring in which it opens; the list of revocations needs no reload.
        order = RevocationOrder(kind="key", value=key_id, reason="revoked in a keyring that could not be taken")
        await call.plane.revocations.add(order, call.actor)
        raise _not_taken(faults, f" The key {key_id} is on the list of revocations meanwhile, and opens nothing.")
    return KeyRevoked(change=change)


def _not_taken(faults: Sequence[str], meanwhile: str = "") -> Conflict:
    return Conflict(
        f"The keyring file is changed, but the old configuration stays until a reload: {'; '.join(faults)}.{meanwhile}"
    )


async def _list_templates(call: Call) -> TemplatesListed:
    return TemplatesListed(templates=call.plane.templates())


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/revocations",
        name="addRevocation",
        group="revocations",
        summary="Take back what was signed, by a name or by the signed URL itself.",
        roles=("operator",),
        body=RevocationOrder,
        answer=RevocationAdded,
        status=201,
        handle=_add_revocation,
    ),
    Route(
        method="GET",
        path="/v1/revocations",
        name="listRevocations",
        group="revocations",
        summary="Read the list, oldest first, a page at a time.",
        roles=("viewer", "operator"),
        query=RevocationQuery,
        answer=Listed,
        handle=_list_revocations,
    ),
    Route(
        method="POST",
        path="/v1/revocations/lift",
        name="liftRevocation",
        group="revocations",
        summary="Let count again what was revoked under a kind and value.",
        roles=("operator",),
        body=LiftOrder,
        answer=RevocationAdded,
        status=201,
        handle=_lift_revocation,
    ),
    Route(
        method="GET",
        path="/v1/revocations/export",
        name="exportRevocations",
        group="revocations",
        summary="The whole list as NDJSON, one entry a line.",
        roles=("viewer", "operator"),
        stream=_export_revocations,
    ),
    Route(
        method="POST",
        path="/v1/revocations/import",
        name="importRevocations",
        group="revocations",
        summary="Add the entries of an export. Those before a faulty line stay.",
        roles=("operator",),
        lines_in=True,
        answer=Imported,
        handle=_import_revocations,
    ),
    Route(
        method="POST",
        path="/v1/sessions",
        name="login",
        group="sessions",
        summary="Open a session, and tell the client's signing seed this once.",
        roles=("issuer",),
        body=LoginOrder,
        answer=SessionOpened,
        status=201,
        handle=_login,
    ),
    Route(
        method="GET",
        path="/v1/sessions",
        name="listSessions",
        group="sessions",
        summary="The living sessions of the token's sites.",
        roles=("viewer", "issuer", "operator"),
        query=SessionQuery,
        answer=SessionsListed,
        handle=_list_sessions,
    ),
    Route(
        method="POST",
        path="/v1/sessions/end",
        name="endSessions",
        group="sessions",
        summary="End every session of a user or a client.",
        roles=("issuer", "operator"),
        body=EndOrder,
        answer=SessionsEnded,
        handle=_end_sessions,
    ),
    Route(
        method="POST",
        path="/v1/sessions/{id}/refresh",
        name="refreshSession",
        group="sessions",
        summary="Give a session its next seed. What the old one signed is refused from now on.",
        roles=("issuer",),
        body=RefreshOrder,
        answer=SessionOpened,
        handle=_refresh,
    ),
    Route(
        method="DELETE",
        path="/v1/sessions/{id}",
        name="logout",
        group="sessions",
        summary="End a session, and revoke all that was signed in it or bound to it.",
        roles=("issuer", "operator"),
        answer=SessionsEnded,
        handle=_logout,
    ),
    Route(
        method="GET",
        path="/v1/status",
        name="status",
        group="gateway",
        summary="Workers, readiness, and trouble with the store or the list of revocations.",
        roles=("viewer", "issuer", "operator", "keys"),
        answer=Status,
        handle=_status,
    ),
    Route(
        method="POST",
        path="/v1/reload",
        name="reload",
        group="gateway",
        summary="Take settings, keys, tokens and templates anew, whole or not at all, as SIGHUP does.",
        roles=("keys",),
        answer=Reloaded,
        handle=_reload,
    ),
    Route(
        method="GET",
        path="/v1/keys",
        name="listKeys",
        group="keys",
        summary="The keys and their states, without material.",
        roles=("viewer", "keys"),
        answer=KeysListed,
        handle=_list_keys,
    ),
    Route(
        method="POST",
        path="/v1/keys/rotate",
        name="rotateKeys",
        group="keys",
        summary="Let the keys follow one another in the keyring file, and have the workers take it.",
        roles=("keys",),
        body=RotateOrder,
        answer=KeysRotated,
        handle=_rotate_keys,
    ),
    Route(
        method="POST",
        path="/v1/keys/{id}/revoke",
        name="revokeKey",
        group="keys",
        summary="Take a key out of use in the keyring file, and have the workers take it.",
        roles=("keys",),
        answer=KeyRevoked,
        handle=_revoke_key,
    ),
    Route(
        method="GET",
        path="/v1/templates",
        name="listTemplates",
        group="gateway",
        summary="The policy templates: what they have written down, how often that is reviewed, and regional law.",
        roles=("viewer", "issuer", "operator"),
        answer=TemplatesListed,
        handle=_list_templates,
    ),
)
