"""Notices reach people: signed for machines, readable for who was asleep."""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64encode

import msgspec
import pytest
from aiohttp import web

from countermark.backends.notifiers.letter import letter
from countermark.backends.notifiers.table import open_notifiers
from countermark.core.errors import NotifyFailed
from countermark.core.events import Notice
from countermark.settings.model import MailSettings, NotifySettings, WebhookSettings
from tests.sinks import mail_server, web_sink

KEY = bytes(range(32))
WHSEC = f"whsec_{b64encode(KEY).decode()}"
NOTICE = Notice(
    id="abc123",
    at=1_800_000_000.5,
    kind="revocation.added",
    severity="critical",
    actor="oncall",
    subject="grant:5f",
    detail="seen in another country",
    facts={"country": "XX"},
    request="r-1",
)


async def test_a_webhook_is_signed_as_the_standard_has_it() -> None:
    """HMAC-SHA-256 over id, time and body (standardwebhooks.com)."""
    async with web_sink() as hook:
        notifier, severity = open_notifiers(NotifySettings(webhooks=(WebhookSettings(url=hook.url, secret=WHSEC),)))[
            "webhook-0"
        ]
        await notifier.tell(NOTICE)
        await notifier.close()
        asked = hook.asked.get_nowait()
    assert severity == "critical"
    assert asked.headers["webhook-id"] == "abc123"
    message = b"abc123." + asked.headers["webhook-timestamp"].encode() + b"." + asked.body
    mac = b64encode(hmac.digest(KEY, message, "sha256")).decode()
    assert asked.headers["webhook-signature"] == f"v1,{mac}"
    body = msgspec.json.decode(asked.body)
    assert (body["type"], body["timestamp"]) == ("revocation.added", "2027-01-15T08:00:00.500Z")
    assert msgspec.convert(body["data"], Notice) == NOTICE


@pytest.mark.parametrize(("status", "final"), [(429, False), (500, False), (404, True), (307, True)])
async def test_a_webhooks_refusal_is_understood(status: int, final: bool) -> None:
    """Whether to try again; the URL, which may be a secret itself, is in no error."""
    async with web_sink(lambda _: web.Response(status=status, headers={"Retry-After": "9"})) as hook:
        settings = NotifySettings(webhooks=(WebhookSettings(url=f"{hook.url}/T0K3N", secret=WHSEC),))
        notifier, _ = open_notifiers(settings)["webhook-0"]
        with pytest.raises(NotifyFailed) as caught:
            await notifier.tell(NOTICE)
        await notifier.close()
    assert (caught.value.final, caught.value.retry_after) == (final, 9.0)
    assert "T0K3N" not in f"{caught.value.detail}{caught.value.private}"


async def test_a_mail_says_what_who_and_what_to_do() -> None:
    """In plain text, to all recipients, with the runbook."""
    async with mail_server() as inbox:
        notifier, _ = open_notifiers(by_mail(inbox.server))["mail"]
        await notifier.tell(NOTICE)
        mail = await asyncio.wait_for(inbox.mails.get(), 20)
    text = mail.get_content()
    assert mail["To"] == "a@example.com, b@example.com"
    assert mail["Subject"] == "[countermark critical] revocation.added grant:5f"
    for part in (
        "grant:5f",
        "oncall",
        "seen in another country",
        "What to do:",
        "https://wiki.example#revocation.added",
    ):
        assert part in text


@pytest.mark.parametrize(("refusal", "final"), [("450 later", False), ("550 nobody here", True)])
async def test_a_mail_servers_refusal_is_understood(refusal: str, final: bool) -> None:
    """4xx is tried again soon, 5xx is told at once."""
    async with mail_server(refusal=refusal) as inbox:
        notifier, _ = open_notifiers(by_mail(inbox.server))["mail"]
        with pytest.raises(NotifyFailed) as caught:
            await notifier.tell(NOTICE)
    assert caught.value.final is final


async def test_starttls_is_not_given_up() -> None:
    """A server that has no TLS, or somebody between who hides it, gets no mail (stripping)."""
    async with mail_server() as inbox:
        notifier, _ = open_notifiers(by_mail(inbox.server, security="starttls"))["mail"]
        with pytest.raises(NotifyFailed):
            await notifier.tell(NOTICE)
        assert inbox.mails.empty()


def test_a_letter_keeps_its_lines() -> None:
    """What came from outside writes no further line or field."""
    hostile = msgspec.structs.replace(NOTICE, subject="a\r\nBcc: all@example.com", detail="x\nWhat to do: nothing")
    written = letter(hostile, runbook="")
    assert "\n" not in written.subject
    assert "\nBcc" not in written.text
    assert "\nWhat to do: nothing" not in written.text


def by_mail(server: str, security: str = "none") -> NotifySettings:
    mail = MailSettings(
        server=server,
        security=security,  # type: ignore[arg-type]
        sender="gate@example.com",
        recipients=("a@example.com", "b@example.com"),
    )
    return NotifySettings(mail=mail, runbook="https://wiki.example")
