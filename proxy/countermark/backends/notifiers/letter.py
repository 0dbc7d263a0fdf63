"""A notice as a person on call reads it: what happened, by whom, to what, and what is to be done."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from countermark.core.events import Notice

_WHAT = {
    "revocation.added": "Access was taken back.",
    "revocation.lifted": "Access that was taken back counts again.",
    "revocation.failed": "A signed URL should have been taken back, and the store could not be asked.",
    "address.blocked": "An address was blocked for many refused requests.",
    "purge.failed": "A CDN has not forgotten pictures that were revoked; the gateway goes on trying.",
    "purge.dead": "A CDN has not forgotten pictures that were revoked, and the gateway has given up.",
    "configuration.refused": "A new configuration was refused; the old one stays in force.",
}
_TO_DO = {
    "revocation.added": "Find out who has used the URL from where it was not meant to be used, and whether his other access "
    "must be taken back too: countermark's admin API, POST /v1/revocations.",
    "revocation.failed": "See that the store works (the gateway's /ready names what is wrong), then revoke the grant below.",
    "address.blocked": "Nothing at once: the block ends by itself. If it comes again, look at who it is.",
    "purge.failed": "See whether the CDN is well and takes our credentials (settings cdns). Until it has forgotten, it may go "
    "on showing what is revoked, for as long as its copy is fresh.",
    "purge.dead": "Purge the tags or URLs below by hand, in the CDN's own console.",
    "configuration.refused": "Run countermark check on the new settings file.",
}


class Letter(Struct, frozen=True):
    """Subject on one line, text, and when it happened."""

    subject: str
    text: str
    moment: datetime


def letter(notice: Notice, *, runbook: str) -> Letter:
    """The letter. What came from outside is cut, and loses line breaks: it can write no further fields or lines."""
    moment = datetime.fromtimestamp(notice.at, UTC)
    lines = [
        _WHAT.get(notice.kind, f"{notice.kind} happened."),
        "",
        f"When:      {moment:%Y-%m-%d %H:%M:%S} UTC",
        f"What:      {notice.kind} ({notice.severity})",
        f"To what:   {_line(notice.subject)}",
        f"By whom:   {_line(notice.actor)}",
    ]
    if notice.detail:
        lines.append(f"Why:       {_line(notice.detail)}")
    if notice.request:
        lines.append(f"Request:   {_line(notice.request)}")
    if notice.kind in _TO_DO:
        lines += ["", f"What to do: {_TO_DO[notice.kind]}"]
    if runbook:
        lines += ["", f"Runbook: {runbook}#{notice.kind}"]
    if notice.facts:
        lines += ["", "Details:", *(f"  {_line(name)}: {_line(fact)}" for name, fact in notice.facts.items())]
    lines += ["", f"Notice {notice.id}"]
    subject = f"[countermark {notice.severity}] {notice.kind} {_line(notice.subject)}"
    return Letter(subject=subject[:200], text="\n".join(lines) + "\n", moment=moment)


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:2000])
