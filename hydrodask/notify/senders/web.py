"""Messages by HTTP: to a webhook as they are, to an Alertmanager as alerts."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException
from typing import Any

from hydrodask.clock import now_us
from hydrodask.doors.trust import NoRedirect, basic, trust
from hydrodask.errors import RefusedError, RetryableError, sentence
from hydrodask.notify.alerts import alerts
from hydrodask.settings.hidden import USER
from hydrodask.settings.notify import Alertmanager, Server, Webhook

SAID_MAX = 200
"""Bytes of an answer that refuses which people are shown."""

_OURS = (401, 403, 408, 429)
"""Answers of 400 to 499 that say nothing of the message: of a login or a pace, which somebody may put right."""


class _Post:
    """Posts JSON to one address."""

    def __init__(self, server: Server, key: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.url = server.address(key)
        self._headers = {"Content-Type": "application/json", "User-Agent": USER}
        if (secret := server.secret(f"{key}.password_file")) is not None:
            self._headers |= _authorization(server.username, secret)
        self._opener = urllib.request.build_opener(
            NoRedirect(), urllib.request.HTTPSHandler(context=trust(server.ca_file, f"{key}.ca_file"))
        )

    def __call__(self, path: str, body: object, **headers: str) -> None:
        """Post once. Raises RetryableError; RefusedError for what is refused as it is."""
        data = json.dumps(body, allow_nan=False).encode()
        url = self.url.plain().rstrip("/") + path if path else self.url.plain()
        request = urllib.request.Request(url, data, {**self._headers, **headers}, method="POST")  # noqa: S310 - checked
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                answer.read(SAID_MAX)
        except urllib.error.HTTPError as error:
            kind = RefusedError if 400 <= error.code < 500 and error.code not in _OURS else RetryableError
            with error:  # it holds the connection
                raise kind(f"it answers {error.code} {_said(error)}".rstrip()) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise RetryableError(sentence(reason) if isinstance(reason, Exception) else str(reason)) from None


class WebhookSender:
    """Posts each message as JSON. Its id is also in the header `Idempotency-Key`: who has it already may drop it."""

    def __init__(self, channel: Webhook, key: str, timeout_s: float) -> None:
        self._post = _Post(channel, key, timeout_s)

    def send(self, message: Mapping[str, Any]) -> str:
        self._post("", message, **{"Idempotency-Key": str(message["id"])})
        return ""


class AlertmanagerSender:
    """Posts an alert for each rig of a message: of one cause they have the same `cause`, to group by."""

    def __init__(self, channel: Alertmanager, key: str, timeout_s: float) -> None:
        self._post = _Post(channel, key, timeout_s)

    def send(self, message: Mapping[str, Any]) -> str:
        self._post("/api/v2/alerts", alerts(message, now_us()))
        return ""


def _authorization(user: str | None, secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} if user is None else basic(user, secret)


def _said(error: urllib.error.HTTPError) -> str:
    """Return what a server says of why it refuses."""
    try:
        head = error.read(SAID_MAX).decode("utf-8", errors="replace")
    except (OSError, HTTPException):
        return ""
    headers: Message = error.headers
    return f"({' '.join(head.split())})" if head and "html" not in headers.get("Content-Type", "") else ""
