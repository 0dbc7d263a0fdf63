"""Tasks of the outbox say the same on both of its ends."""

from __future__ import annotations

from countermark.core.events import Notice
from countermark.core.tasks import Purge, notify_task, purge_task, read_notice, read_purge


def test_a_purge_survives_the_outbox() -> None:
    """What was put in comes out, and the task's id names its cause and its CDN, so that twice is once."""
    purge = Purge(cdn="edge", tags=("s-0123456789abcdef",), cause="revocation session:8f2c")
    task = purge_task(purge, cause_id="n1", now=10.0)
    assert read_purge(task) == purge
    assert (task.id, task.kind, task.due) == ("purge-n1-edge", "purge", 10.0)


def test_a_notice_survives_the_outbox() -> None:
    """The notice comes out as it was told."""
    notice = Notice(id="n2", at=5.5, kind="revocation.added", severity="critical", actor="oncall", facts={"a": "b"})
    task = notify_task(notice, now=6.0)
    assert read_notice(task) == notice
    assert (task.id, task.kind) == ("notify-n2", "notify")
