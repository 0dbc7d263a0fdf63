"""Whatever is revoked, lifted, expired, merged and remapped: every process answers as a plain list of entries would."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from countermark.backends.revocations.compaction import begin
from countermark.backends.revocations.copy import Copy
from countermark.backends.revocations.loading import catch_up, load
from countermark.backends.revocations.merge import merge
from countermark.identity.revocation import Handle, Revocation
from tests.backends.revocation_list import MemoryList, revocation

T = TypeVar("T")

DAY = 86_400
KINDS = ("grant", "user")
VALUES = ("a", "b")
ISSUED = (float("-inf"), 0.0, 10.0, 20.0)
HANDLES = [Handle(kind, value) for kind in KINDS for value in VALUES]
PROCESSES = (0, 1)

entries = st.builds(
    revocation,
    st.sampled_from(KINDS),
    st.sampled_from(VALUES),
    before=st.sampled_from([None, None, 10, 15, 30]),
    expires=st.sampled_from([None, None, DAY, 2 * DAY, 3 * DAY]),
    lifted=st.sampled_from([False, False, True]),
)


def expected(list_: list[Revocation], handle: Handle, issued: float, now: float) -> bool:
    """The meaning of the list, as slow and plain as can be."""
    standing: list[Revocation] = []
    for one in list_:
        if (one.kind, one.value) == (handle.kind, handle.value):
            standing = [] if one.lifted else [*standing, one]
    return any(
        (one.issued_before is None or issued < one.issued_before) and (one.expires is None or now <= one.expires)
        for one in standing
    )


class Replicas(RuleBasedStateMachine):
    """Two processes over one folder. A process is asked about what it has read, and may be any part of a page ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.now = 0.0
        self.list = MemoryList()
        self.copies = [self.load() for _ in PROCESSES]

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def load(self) -> Copy:
        return self.run(load(self.list, self.path, limit=lambda: 10**6))

    @rule(added=st.lists(entries, min_size=1, max_size=6))
    def append(self, added: list[Revocation]) -> None:
        self.run(self.list.append(added))

    @rule(process=st.sampled_from(PROCESSES))
    def read(self, process: int) -> None:
        assert self.run(catch_up(self.list, self.copies[process], limit=lambda: 10**6))

    @rule(process=st.sampled_from(PROCESSES), count=st.integers(1, 3))
    def read_part_of_a_page(self, process: int, count: int) -> None:
        """As when the connection breaks while a page is applied: the cursor stays, the page comes again."""
        copy = self.copies[process]
        start = int(copy.cursor or 0)
        copy.add(self.list.entries[start : start + count])
        assert self.run(catch_up(self.list, copy, limit=lambda: 10**6))

    @rule(process=st.sampled_from(PROCESSES), ahead=st.integers(0, 3))
    def compact(self, process: int, ahead: int) -> None:
        """Refused where the other one has put a newer file there; may fall into the middle of a page."""
        copy = self.copies[process]
        start = int(copy.cursor or 0)
        compaction = begin(self.path, copy.identity)
        if compaction is None:
            return
        with compaction:
            copy.add(self.list.entries[start : start + ahead])
            for records in copy.newest.records():
                compaction.spool(records)
            merge(self.path, compaction.order(copy.head, fresh=copy.bulk is None), self.now)
        self.remap(process)

    @rule(process=st.sampled_from(PROCESSES))
    def remap(self, process: int) -> None:
        old, self.copies[process] = self.copies[process], self.load()
        old.close()

    @rule(hours=st.sampled_from([1, 12, 24]))
    def pass_time(self, hours: int) -> None:
        self.now += hours * 3600

    @invariant()
    def every_process_answers_as_the_list_that_it_has_read(self) -> None:
        for copy in self.copies:
            read = self.list.entries[: int(copy.cursor or 0)]
            for handle in HANDLES:
                for issued in ISSUED:
                    found = copy.find((handle,), issued, self.now)
                    assert (found is not None) == expected(read, handle, issued, self.now), (handle, issued)
                    assert found is None or found.kind == handle.kind

    def teardown(self) -> None:
        for copy in self.copies:
            copy.close()
        self.runner.close()
        self.folder.cleanup()


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
