"""Walking the tour: each step is one HTTP exchange and what must come of it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

TIMEOUT_SECONDS = 20
SETTLE_SECONDS = 20.0
PAUSE_SECONDS = 0.01

_CONNECTIONS = 8
_BYSTANDERS = 2
_BREATH_SECONDS = 0.04
_AFTERWARDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body of an admin answer or a problem; empty where it is something else."""
        try:
            read = json.loads(self.body)
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}


Replies = Mapping[str, Reply]
Address = tuple[str, int]
Body = Mapping[str, object]

_Known = TypeVar("_Known")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stop of the tour: the request, the status it must get, and header fields that must hold these texts.

    `target`, `headers`, `body` (JSON) and `expect` may be functions of the replies so far, by title.

    check       returns what is wrong, or ""
    like        title of a step whose answer must be the same in all but the request's id
    admin       asked at the admin port
    first       done before it is asked
    times       asked so often at once
    settles     asked over several connections again and again, until every worker gives this answer
    or_status   what a worker says instead that meets the URL for the first time
    meanwhile   target of pictures that others keep asking for, before, during and after the step; none may be lost
    """

    title: str
    target: str | Callable[[Replies], str]
    status: int
    method: str = "GET"
    headers: Mapping[str, str] | Callable[[Replies], Mapping[str, str]] = field(default_factory=dict)
    body: Body | Callable[[Replies], Body] = field(default_factory=dict)
    expect: Mapping[str, str] | Callable[[Replies], Mapping[str, str]] = field(default_factory=dict)
    check: Callable[[Reply], str] = lambda _reply: ""
    like: str = ""
    admin: bool = False
    first: Callable[[], None] = lambda: None
    times: int = 1
    settles: bool = False
    or_status: int = 0
    meanwhile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """Stops that belong together."""

    title: str
    steps: list[Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A step that was walked; `faults` is empty where all was as it must be, `note` says what else was seen."""

    step: Step
    reply: Reply
    faults: tuple[str, ...]
    note: str = ""


Ask = Callable[[str], Reply]


def walk(steps: list[Step], public: Address, admin: Address, *, workers: int = 1) -> Iterator[Outcome]:
    """Walk the steps in order, each over HTTP as a client would."""
    replies: dict[str, Reply] = {}
    for step in steps:
        step.first()
        ask = _asking(step, replies, admin if step.admin else public)
        reply, faults, note = _exchange(step, ask, public, workers)
        expected = _known(step.expect, replies)
        if step.like and _without_id(reply) != _without_id(replies[step.like]):
            faults.append(f"the answer differs from that of {step.like!r}")
        replies[step.title] = reply
        yield Outcome(step=step, reply=reply, faults=(*faults, *_compare(step, reply, expected)), note=note)


def _known(value: _Known | Callable[[Replies], _Known], replies: Replies) -> _Known:
    return value(replies) if callable(value) else value


def _asking(step: Step, replies: Replies, address: Address) -> Ask:
    """Asks what the step asks; with an address, for a client of that address."""
    target = _known(step.target, replies)
    headers = _known(step.headers, replies)
    body = _known(step.body, replies)

    def ask(client: str = "") -> Reply:
        named = {"X-Forwarded-For": client} if client else {}
        return fetch(address, target, step.method, {**named, **headers}, body)

    return ask


def _exchange(step: Step, ask: Ask, public: Address, workers: int) -> tuple[Reply, list[str], str]:
    if step.settles:
        return _settled(step, ask, workers)
    if step.meanwhile:
        return _undisturbed(ask, lambda: fetch(public, step.meanwhile).status)
    if step.times == 1:
        return ask(""), [], ""
    with ThreadPoolExecutor(step.times) as pool:
        replies = list(pool.map(lambda _: ask(""), range(step.times)))
    odd = [f"one of {step.times} answers had status {reply.status}" for reply in replies if reply.status != step.status]
    return replies[0], odd[:1], ""


def _settled(step: Step, ask: Ask, workers: int) -> tuple[Reply, list[str], str]:
    """Every round comes from other clients, because one that is refused hundreds of times is blocked."""
    until = time.monotonic() + SETTLE_SECONDS
    met: set[str] = set()
    refused = step.status >= 400
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        for turn in count():
            clients = [f"198.51.{turn % 256}.{place + 1}" for place in range(_CONNECTIONS)]
            replies = list(pool.map(ask, clients))
            odd = [reply for reply in replies if reply.status not in (step.status, step.or_status)]
            met = set() if odd else met | {_worker(reply) for reply in replies}
            if not odd and not (refused and len(met) < workers):
                return replies[0], [], f"all {workers} workers" if refused else f"{_CONNECTIONS} connections"
            if time.monotonic() > until:
                break
            time.sleep(PAUSE_SECONDS)
    late = "some workers still answered otherwise" if odd else "not every worker was met"
    return (odd or replies)[0], [f"after {SETTLE_SECONDS:.0f} seconds {late}"], ""


def _worker(reply: Reply) -> str:
    """Which worker refused: the first half of a request's id is its own."""
    return str(reply.json().get("instance", "")).partition("-")[0]


def _undisturbed(ask: Ask, bystander: Callable[[], int]) -> tuple[Reply, list[str], str]:
    done = threading.Event()

    def keep_asking() -> list[int]:
        statuses, afterwards = [], 0
        while afterwards < _AFTERWARDS:
            afterwards += done.is_set()
            try:
                statuses.append(bystander())
            except (OSError, http.client.HTTPException):
                statuses.append(0)
            time.sleep(_BREATH_SECONDS)
        return statuses

    with ThreadPoolExecutor(_BYSTANDERS) as pool:
        asking = [pool.submit(keep_asking) for _ in range(_BYSTANDERS)]
        try:
            reply = ask("")
        finally:
            done.set()
        statuses = [status for bystanders in asking for status in bystanders.result()]
    lost = sum(status != 200 for status in statuses)
    if lost:
        return reply, [f"{lost} of {len(statuses)} requests meanwhile were lost"], ""
    return reply, [], f"{len(statuses)} requests meanwhile, none lost"


def fetch(
    address: Address,
    target: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: Body | None = None,
) -> Reply:
    """One request on a connection of its own. The target is sent as it is, dot segments and all; a body goes as JSON."""
    data = json.dumps(body).encode() if body else b""
    sent = {"Content-Type": "application/json", "Content-Length": str(len(data))} if data else {}
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT_SECONDS)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {**sent, **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders(data or None)
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Reply(status=response.status, headers=fields, body=response.read())
    finally:
        connection.close()


def _without_id(reply: Reply) -> tuple[int, Mapping[str, str], Body]:
    headers = {name: value for name, value in reply.headers.items() if name != "date"}
    return reply.status, headers, {name: value for name, value in reply.json().items() if name != "instance"}


def _compare(step: Step, reply: Reply, expected: Mapping[str, str]) -> list[str]:
    faults = []
    if reply.status not in (step.status, step.or_status):
        faults.append(f"status {reply.status}, expected {step.status}")
    for name, text in expected.items():
        got = reply.headers.get(name.lower(), "")
        if text not in got:
            faults.append(f"{name}: {got!r}, expected {text!r} in it")
    wrong = step.check(reply)
    if wrong:
        faults.append(wrong)
    return faults
