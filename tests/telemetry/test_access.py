"""The lines of requests: what is in them, how many there are, and what a bad reader can do."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Literal

from countermark.core.audit import Audit, Retention
from countermark.core.events import RequestEvent
from countermark.core.place import Place
from countermark.telemetry.access import BATCH, REFUSED_PER_SECOND, AccessLog, Writer

SHAPES: tuple[Literal["json", "console"], ...] = ("json", "console")


def event(**fields: object) -> RequestEvent:
    plain = {"id": "abc-1", "method": "GET", "host": "h", "path": "/a", "status": 200, "received": 1_764_000_000.25}
    return RequestEvent(**{**plain, **fields})  # type: ignore[arg-type]


class Blocks(list[bytes]):
    def lines(self) -> list[str]:
        return b"".join(self).decode().splitlines()


async def test_a_request_is_one_json_line() -> None:
    """Time, status, durations in microseconds; what is empty is left out."""
    blocks = Blocks()
    log = AccessLog(blocks.append, shape="json")
    log.tell(event(duration=0.0012345, stages={"verify": 0.0000123}, cache="hit"))
    log.flush()
    assert [json.loads(line) for line in blocks.lines()] == [
        {
            "time": "2025-11-24T16:00:00.250Z",
            "level": "info",
            "event": "request",
            "id": "abc-1",
            "status": 200,
            "method": "GET",
            "host": "h",
            "path": "/a",
            "cache": "hit",
            "microseconds": 1234,
            "stages": {"verify": 12},
        }
    ]


PERSONAL = {
    "path": "/users/anna/portrait.jpg",
    "client": "203.0.113.7",
    "grant": "ab" * 32,
    "key_id": "ses_session-of-anna-0001.1",
    "detail": "The site is not open to this address. (client is 203.0.113.7)",
    "place": Place("DE", "BE"),
}
KEPT = Retention.of(90, [("DE", 30)])


async def test_a_brief_line_tells_nobody_from_another() -> None:
    """What operations count is there; no address, path, grant, session or detail, in either shape."""
    brief = Audit(template="render@1", detail="brief", retention=KEPT)
    told = event(**PERSONAL, site="shop", dialect="native", reason="expired", cache="hit", audit=brief)
    blocks = Blocks()
    for shape in SHAPES:
        log = AccessLog(blocks.append, shape=shape)
        log.tell(told)
        log.flush()
    line, console = blocks.lines()
    assert json.loads(line) == {
        "time": "2025-11-24T16:00:00.250Z",
        "level": "info",
        "event": "request",
        "id": "abc-1",
        "status": 200,
        "method": "GET",
        "host": "h",
        "site": "shop",
        "dialect": "native",
        "template": "render@1",
        "retention": 30,
        "reason": "expired",
        "cache": "hit",
    }
    for trace in ("anna", "203.0.113.7", "abab"):
        assert trace not in line + console


async def test_a_brief_line_names_the_key_of_the_server() -> None:
    """Rotation is watched by it, and it belongs to nobody."""
    blocks = Blocks()
    log = AccessLog(blocks.append, shape="json")
    log.tell(event(key_id="k1", audit=Audit(detail="brief")))
    log.flush()
    assert json.loads(blocks.lines()[0])["key_id"] == "k1"


async def test_a_path_without_its_signature_is_written_in_place_of_the_one_with_it() -> None:
    """In lines of every detail that have a path."""
    blocks = Blocks()
    log = AccessLog(blocks.append, shape="json")
    log.tell(event(path="/oKfUtW34Dvo2BGQehJFR4Nr0_rIjOtdtzJ3QFsUcXH8/plain/a.jpg", audit=Audit(path="/plain/a.jpg")))
    log.flush()
    assert json.loads(blocks.lines()[0])["path"] == "/plain/a.jpg"


async def test_a_full_line_names_the_holder_and_where_he_came_from() -> None:
    """All that a standard line has, and who it was; a standard one has the retention besides."""
    names = {"user": "anna", "client_id": "acme", "session": "s1", "jti": "t1", "context": "spring", "preset": "card"}
    blocks = Blocks()
    log = AccessLog(blocks.append, shape="json")
    log.tell(event(**PERSONAL, audit=Audit(template="render@1", retention=KEPT)))
    log.tell(event(**PERSONAL, audit=Audit(template="render@1", retention=KEPT, detail="full", **names)))
    log.flush()
    standard, full = [json.loads(line) for line in blocks.lines()]
    assert (standard["client"], standard["path"], standard["retention"]) == (PERSONAL["client"], PERSONAL["path"], 30)
    assert full == standard | names | {"country": "DE", "region": "BE"}


async def test_lines_are_written_soon_without_being_asked() -> None:
    """A quiet gateway's log is not minutes late."""
    written = asyncio.Event()
    log = AccessLog(lambda block: written.set(), shape="json")
    log.tell(event())
    await asyncio.wait_for(written.wait(), 10)


async def test_a_batch_is_bounded() -> None:
    """Between two ticks no more than BATCH events are held."""
    blocks = Blocks()
    log = AccessLog(blocks.append, shape="json")
    for _ in range(BATCH):
        log.tell(event())
    assert len(blocks.lines()) == BATCH


async def test_a_flood_of_refusals_becomes_one_line_with_a_number() -> None:
    """Per reason and second; good requests are all there."""
    blocks = Blocks()
    log = AccessLog(blocks.append, shape="json")
    for _ in range(REFUSED_PER_SECOND + 500):
        log.tell(event(status=403, reason="signature_invalid"))
    log.tell(event(status=410, reason="expired"))
    for _ in range(300):
        log.tell(event())
    log.tell(event(received=1_764_000_001.0))
    log.flush()
    lines = [json.loads(line) for line in blocks.lines()]
    refused = [line for line in lines if line.get("status") == 403]
    assert len(refused) == REFUSED_PER_SECOND
    assert len([line for line in lines if line.get("status") == 200]) == 301
    assert len([line for line in lines if line.get("status") == 410]) == 1
    (summary,) = [line for line in lines if line["event"] == "requests not logged"]
    assert (summary["reason"], summary["count"]) == ("signature_invalid", 500)


async def test_what_was_suppressed_last_is_told_at_the_end() -> None:
    """Closing the log loses no number."""
    blocks = Blocks()
    log = AccessLog(blocks.append, shape="json")
    for _ in range(REFUSED_PER_SECOND + 1):
        log.tell(event(status=400, reason="malformed"))
    log.close()
    assert json.loads(blocks.lines()[-1])["count"] == 1


async def test_no_client_writes_lines_of_its_own() -> None:
    """Line breaks are escaped in both formats."""
    for shape in SHAPES:
        blocks = Blocks()
        log = AccessLog(blocks.append, shape=shape)
        log.tell(event(detail="a\nERROR forged", path="/\r\n"))
        log.flush()
        assert len(blocks.lines()) == 1


def test_a_reader_that_never_reads_costs_lines_and_nothing_else() -> None:
    """A full pipe does not block the gateway; what is dropped is counted."""
    read_end, write_end = os.pipe()
    writer = Writer(write_end)
    block = b"x" * 999 + b"\n"
    for _ in range(2000):
        writer.write(block)
    assert writer.dropped > 0
    os.close(read_end)
    writer.close(10)
    os.close(write_end)


def test_closing_writes_what_is_queued(tmp_path: Path) -> None:
    """The last lines before the end are the interesting ones."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        writer = Writer(file.fileno())
        for number in range(50):
            writer.write(b"%d\n" % number)
        writer.close(10)
    assert path.read_text().splitlines() == [str(number) for number in range(50)]
    assert writer.dropped == 0
