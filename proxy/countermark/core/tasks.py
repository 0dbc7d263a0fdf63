"""What stands in the outbox: pictures that a CDN shall forget, and notices that people shall get."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from countermark.core.events import Notice

PURGE = "purge"
NOTIFY = "notify"
TELL = "tell"


class Task(Struct, frozen=True, kw_only=True):
    """Work to be done outside until it succeeds: `kind` is purge, notify or tell, `payload` JSON; `attempts` so far."""

    id: str
    kind: str
    payload: bytes
    created: float
    due: float
    attempts: int = 0


class Purge(Struct, frozen=True, kw_only=True):
    """What one CDN shall remove.

    cdn     its name in the settings
    tags    surrogate keys (`identity/surrogate.py`), for a CDN that has them
    urls    absolute URLs without a query, for one that has not; one that ends with a slash means all beneath it
    cause   for the audit, such as "revocation session:8f2c"
    """

    cdn: str
    tags: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    cause: str = ""


class Tell(Struct, frozen=True, kw_only=True):
    """A notice for one receiver, by his name: what a notify task becomes, so that nobody waits for another's failure."""

    receiver: str
    notice: Notice


def purge_task(purge: Purge, *, cause_id: str, now: float) -> Task:
    """The task of one CDN. `cause_id` is the id of the notice that told the cause: put twice it is the same task."""
    return Task(
        id=f"{PURGE}-{cause_id}-{purge.cdn}", kind=PURGE, payload=msgspec.json.encode(purge), created=now, due=now
    )


def notify_task(notice: Notice, *, now: float) -> Task:
    """The task of telling people a notice; put twice it is the same task."""
    return Task(id=f"{NOTIFY}-{notice.id}", kind=NOTIFY, payload=msgspec.json.encode(notice), created=now, due=now)


def tell_task(tell: Tell, *, now: float) -> Task:
    """The task of telling one receiver; put twice it is the same task."""
    payload = msgspec.json.encode(tell)
    return Task(id=f"{TELL}-{tell.notice.id}-{tell.receiver}", kind=TELL, payload=payload, created=now, due=now)


def read_purge(task: Task) -> Purge:
    """What a purge task holds. Raises msgspec.DecodeError for a payload of another version."""
    return msgspec.json.decode(task.payload, type=Purge)


def read_notice(task: Task) -> Notice:
    """What a notify task holds. Raises msgspec.DecodeError for a payload of another version."""
    return msgspec.json.decode(task.payload, type=Notice)


def read_tell(task: Task) -> Tell:
    """What a tell task holds. Raises msgspec.DecodeError for a payload of another version."""
    return msgspec.json.decode(task.payload, type=Tell)
