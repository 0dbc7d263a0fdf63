"""Notices by mail, for a person who was asleep."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime

from countermark.backends.notifiers.letter import letter
from countermark.core.errors import NotifyFailed
from countermark.core.events import Notice
from countermark.settings.model import MailSettings

SECONDS = 20.0


class Mail:
    """One server and its recipients. Each notice is a connection of its own, in a thread."""

    def __init__(self, settings: MailSettings, *, runbook: str) -> None:
        self._settings = settings
        self._runbook = runbook

    async def tell(self, notice: Notice) -> None:
        try:
            await asyncio.to_thread(self._send, self._message(notice))
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _refused(min(codes, default=0)) from error
        except smtplib.SMTPResponseException as error:
            raise _refused(error.smtp_code) from error
        except (smtplib.SMTPException, OSError) as error:
            raise NotifyFailed("The mail server cannot be reached.", private=type(error).__name__) from error

    async def close(self) -> None:
        return

    def _message(self, notice: Notice) -> EmailMessage:
        written = letter(notice, runbook=self._runbook)
        message = EmailMessage()
        message["Subject"] = written.subject
        message["From"] = self._settings.sender
        message["To"] = ", ".join(self._settings.recipients)
        message["Date"] = format_datetime(written.moment)
        # The same notice told twice is the same mail to who reads it.
        message["Message-ID"] = f"<{notice.id}@{self._settings.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(written.text)
        return message

    def _send(self, message: EmailMessage) -> None:
        settings = self._settings
        host, _, port = settings.server.rpartition(":")
        host = host.strip("[]")
        context = ssl.create_default_context()
        if settings.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, int(port), timeout=SECONDS, context=context)
        else:
            server = smtplib.SMTP(host, int(port), timeout=SECONDS)
        with server:
            if settings.security == "starttls":
                server.starttls(context=context)
            if settings.user:
                server.login(settings.user, settings.password)
            server.send_message(message)


def _refused(code: int) -> NotifyFailed:
    return NotifyFailed(f"The mail server answered {code}.", final=code >= 500)
