"""Who is told, by a name that a reload keeps."""

from __future__ import annotations

import time

from countermark.backends.notifiers.mail import Mail
from countermark.backends.notifiers.webhook import Webhook
from countermark.backends.outward import open_session
from countermark.core.encoding import read_base64
from countermark.core.events import Severity
from countermark.ports import Notifier
from countermark.settings.model import NotifySettings

SECONDS = 10.0


def open_notifiers(settings: NotifySettings) -> dict[str, tuple[Notifier, Severity]]:
    """Each with its least severity, for the loop that opens them."""
    found: dict[str, tuple[Notifier, Severity]] = {}
    for index, webhook in enumerate(settings.webhooks):
        key = read_base64(webhook.secret.removeprefix("whsec_")) or b""  # crosscheck has read it
        name = f"webhook-{index}"
        found[name] = (Webhook(name, webhook.url, key, open_session(SECONDS), time.time), webhook.severity)
    if settings.mail.server:
        found["mail"] = (Mail(settings.mail, runbook=settings.runbook), settings.mail.severity)
    return found
