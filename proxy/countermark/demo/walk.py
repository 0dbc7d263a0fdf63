"""Walking the tour: each step is one HTTP exchange and what must come of it."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Fields = Mapping[str, str] | Callable[[Mapping[str, Reply]], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stop of the tour: the request, the status it must get, and header fields that must hold these texts.

    `headers` and `expect` may be functions of the replies so far, by title. `check` returns what is wrong, or "".
    """

    title: str
    target: str
    status: int
    method: str = "GET"
    headers: Fields = field(default_factory=dict)
    expect: Fields = field(default_factory=dict)
    check: Callable[[Reply], str] = lambda _reply: ""
    admin: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A step that was walked; `faults` is empty where all was as it must be."""

    step: Step
    reply: Reply
    faults: tuple[str, ...]


def walk(steps: list[Step], public: tuple[str, int], admin: tuple[str, int]) -> Iterator[Outcome]:
    """Walk the steps in order, each over HTTP as a client would."""
    replies: dict[str, Reply] = {}
    for step in steps:
        reply, faults = _exchange(step, _known(step.headers, replies), admin if step.admin else public)
        expected = _known(step.expect, replies)
        replies[step.title] = reply
        yield Outcome(step=step, reply=reply, faults=(*faults, *_compare(step, reply, expected)))


def _known(fields: Fields, replies: Mapping[str, Reply]) -> Mapping[str, str]:
    return fields(replies) if callable(fields) else fields


def _exchange(step: Step, headers: Mapping[str, str], address: tuple[str, int]) -> tuple[Reply, list[str]]:
    if step.times == 1:
        return fetch(address, step.target, step.method, headers), []
    with ThreadPoolExecutor(step.times) as pool:
        replies = list(pool.map(lambda _: fetch(address, step.target, step.method, headers), range(step.times)))
    odd = [f"one of {step.times} answers had status {reply.status}" for reply in replies if reply.status != step.status]
    return replies[0], odd[:1]


def fetch(
    address: tuple[str, int], target: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Reply:
    """One request on a connection of its own. The target is sent as it is, dot segments and all."""
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT_SECONDS)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Reply(status=response.status, headers=fields, body=response.read())
    finally:
        connection.close()


def _compare(step: Step, reply: Reply, expected: Mapping[str, str]) -> list[str]:
    faults = []
    if reply.status != step.status:
        faults.append(f"status {reply.status}, expected {step.status}")
    for name, text in expected.items():
        got = reply.headers.get(name.lower(), "")
        if text not in got:
            faults.append(f"{name}: {got!r}, expected {text!r} in it")
    wrong = step.check(reply)
    if wrong:
        faults.append(wrong)
    return faults
