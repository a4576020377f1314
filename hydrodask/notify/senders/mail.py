"""Messages by mail: the only module that speaks SMTP. Mails of one cause are one thread in a mail program."""

import contextlib
import smtplib
import socket
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

from hydrodask.doors.trust import trust
from hydrodask.errors import RefusedError, RetryableError, sentence
from hydrodask.settings.hidden import USER
from hydrodask.settings.notify import Email

SUBJECT_MAX = 200
"""Characters of a subject."""

_FOR_GOOD = 500
"""Codes from this one on say that the same won't be taken later, either."""


class MailSender:
    """Sends each message as one mail of plain text to all recipients."""

    def __init__(self, channel: Email, key: str, timeout_s: float) -> None:
        self._channel, self._timeout_s = channel, timeout_s
        self._secret = channel.secret(f"{key}.password_file")
        self._trust = trust(channel.ca_file, f"{key}.ca_file")

    def send(self, message: Mapping[str, Any]) -> str:
        channel = self._channel
        try:
            with contextlib.closing(self._server()) as server:
                if channel.tls == "starttls":
                    server.starttls(context=self._trust)
                if self._secret is not None:
                    server.login(channel.username or USER, self._secret)
                refused = server.send_message(mail_of(message, channel))
                with contextlib.suppress(
                    smtplib.SMTPException, OSError
                ):  # the mail is theirs, however they say goodbye
                    server.quit()
        except (smtplib.SMTPException, OSError) as error:
            kind = RefusedError if _for_good(error) else RetryableError
            raise kind(sentence(error)) from None
        # The others have it: sent again, they would get it again and again.
        return f"{channel.host} refuses {', '.join(sorted(refused))}" if refused else ""

    def _server(self) -> smtplib.SMTP:
        channel = self._channel
        if channel.tls == "tls":
            return smtplib.SMTP_SSL(channel.host, channel.port, timeout=self._timeout_s, context=self._trust)
        return smtplib.SMTP(channel.host, channel.port, timeout=self._timeout_s)


def _for_good(error: Exception) -> bool:
    """Say whether a server refuses a mail, or all of its recipients, with a code that means for good."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= _FOR_GOOD for code, _ in error.recipients.values())
    mail = isinstance(error, smtplib.SMTPDataError | smtplib.SMTPSenderRefused)
    return mail and int(getattr(error, "smtp_code", 0)) >= _FOR_GOOD


def mail_of(message: Mapping[str, Any], channel: Email) -> EmailMessage:
    """Return the mail: its `Message-ID` is the message's, its `References` name the cause."""
    mail, host = EmailMessage(), socket.gethostname() or "localhost"
    mail["Subject"] = str(message["subject"])[:SUBJECT_MAX]
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.to)
    mail["Message-ID"] = f"<{message['id']}.{USER}@{host}>"
    mail["References"] = f"<{str(message['id']).partition('-')[0]}.{USER}@{host}>"
    mail["Auto-Submitted"] = "auto-generated"  # no answering machine answers
    mail.set_content(f"{message['text']}\n")
    return mail
