"""Channels: each sends one message and returns once the other side has taken it. The only modules that do.

What fails is a `RetryableError`; nothing is tried again here. Secrets are read when a channel is made, hidden from
then on (`redaction`), and never part of what is raised.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from hydrodask.notify.senders.command import CommandSender
from hydrodask.notify.senders.mail import MailSender
from hydrodask.notify.senders.web import AlertmanagerSender, WebhookSender
from hydrodask.settings.notify import Alertmanager, Email, Notify, Webhook


class Sender(Protocol):
    """One channel."""

    def send(self, message: Mapping[str, Any]) -> str:
        """Send a message. Blocks; may be repeated with the same one. Raises RetryableError when it did not arrive.

        RefusedError, which is one, when it won't do as it is. Returns what is wrong though it has arrived, or nothing.
        """


def open_channels(notify: Notify) -> dict[str, Sender]:
    """Return the channels by name. Raises ConfigError for a file that can't be read, or a program that is not there."""
    return {name: _opened(name, notify) for name in notify.channels}


def _opened(name: str, notify: Notify) -> Sender:
    channel, key = notify.channels[name], f"notify.channels.{name}"
    if isinstance(channel, Webhook):
        return WebhookSender(channel, key, notify.timeout)
    if isinstance(channel, Alertmanager):
        return AlertmanagerSender(channel, key, notify.timeout)
    if isinstance(channel, Email):
        return MailSender(channel, key, notify.timeout)
    return CommandSender(channel, key, notify.timeout)
