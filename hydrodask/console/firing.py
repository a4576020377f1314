"""Alerts of Prometheus that fire now, as an Alertmanager has them: for the page, because Debian's has none of its own.

Asked for by a thread of its own, within limits of time and size, so that no viewer waits for it.
"""

import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote

import msgspec

from hydrodask import clock
from hydrodask.background import Aside
from hydrodask.doors.trust import NoRedirect, basic, refusals_closed, trust
from hydrodask.errors import ConfigError, sentence
from hydrodask.settings.hidden import USER, with_password
from hydrodask.settings.model import Observe

PATH = "/api/v2/alerts?active=true&silenced=false&inhibited=false"
ASK_S = 5.0
ANSWER_S = 3.0
"""Limit of an answer as a whole; one byte a second is none."""

BYTES_MAX = 2_000_000
ALERTS_MAX = 50
TEXT_MAX = 300
_RANK = ("critical", "warning")


class _Alert(msgspec.Struct):
    """What we take of an alert."""

    labels: dict[str, str]
    startsAt: datetime  # noqa: N815 - its name there
    annotations: dict[str, str] = {}


@dataclass(frozen=True)
class Fires:
    """What fires, worst and newest first; `more` are not shown. `trouble` is why nobody knows; then none is here."""

    where: str
    alerts: tuple[dict[str, Any], ...] = ()
    more: int = 0
    trouble: str = "not asked yet"

    def view(self) -> dict[str, Any]:
        """Return it as the page takes it."""
        return {"where": self.where, "alerts": list(self.alerts), "more": self.more, "trouble": self.trouble}


class Firing:
    """Asks an Alertmanager every `ASK_S`, from when it is made until `close`. Raises ConfigError for a setting."""

    def __init__(self, observe: Observe) -> None:
        assert observe.alertmanager is not None  # noqa: S101 - whoever makes it has looked
        url = observe.alertmanager
        if not url.plain().startswith(("http://", "https://")):
            raise ConfigError(f"observe.alertmanager has value {str(url)!r}; want http://HOST:PORT or https://…")
        self._observe, self._url = observe, url
        context = trust(observe.alertmanager_ca_file, "observe.alertmanager_ca_file")
        self._opener = urllib.request.build_opener(NoRedirect(), urllib.request.HTTPSHandler(context=context))
        self.now = Fires(str(url))
        self._stop = threading.Event()
        self.thread = Aside("alerts on the page", self._run, self._stop)
        self.thread.start()

    def close(self) -> None:
        """Stop. May be called twice."""
        self._stop.set()
        self.thread.join(ANSWER_S * 2)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.now = self.look()
            self._stop.wait(ASK_S)

    def look(self) -> Fires:
        """Return what fires now. Raises nothing that a server can cause."""
        before = Fires(str(self._url))
        try:
            return told(before, self._body())
        except urllib.error.HTTPError as error:
            why = f"it answers {error.code}" + (
                ": is observe.alertmanager_password_file right?" if error.code in (401, 403) else ""
            )
        except ConfigError as error:  # a password's file comes with the server's first start
            why = sentence(error)
        except urllib.error.URLError as error:
            why = getattr(error.reason, "strerror", None) or str(error.reason)
        except (OSError, HTTPException, ValueError) as error:
            why = sentence(error)
        return replace(before, trouble=why)

    def _body(self) -> bytes:
        """Return an answer of at most `BYTES_MAX`, whole within `ANSWER_S`."""
        url = with_password(self._url, self._observe.alertmanager_password_file, "observe.alertmanager_password_file")
        user, password = map(unquote, url.login())
        headers = {"Accept": "application/json", "User-Agent": USER} | (basic(user, password) if password else {})
        request = urllib.request.Request(url.bare().rstrip("/") + PATH, headers=headers)  # noqa: S310 - checked
        end_s, body = clock.monotonic_s() + ANSWER_S, b""
        with refusals_closed(), self._opener.open(request, timeout=ANSWER_S) as answer:
            while part := answer.read1(65_536):
                body += part
                if len(body) > BYTES_MAX:
                    raise ValueError(f"its answer has more than {BYTES_MAX:,} bytes")
                if clock.monotonic_s() > end_s:
                    raise TimeoutError(f"its answer takes more than {ANSWER_S:g} s")
        return body


def told(before: Fires, body: bytes) -> Fires:
    """Return what an answer says. Raises ValueError for one that makes no sense.

    What we have sent there ourselves (`cause`) is left out: these are the episodes, which the page shows as such.
    """
    try:
        found = msgspec.json.decode(body, type=list[_Alert])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"its answer makes no sense: {error}") from error
    ours = [one for one in found if not ("cause" in one.labels and one.labels.get("job") == USER)]
    ours.sort(key=lambda one: (_rank(one.labels.get("severity", "")), -one.startsAt.timestamp()))
    shown = tuple(_view(one) for one in ours[:ALERTS_MAX])
    return Fires(before.where, shown, len(ours) - len(shown), "")


def _view(one: _Alert) -> dict[str, Any]:
    severity, said = one.labels.get("severity", ""), one.annotations
    runbook = said.get("runbook_url", "")[:TEXT_MAX]
    return {
        "name": one.labels.get("alertname", "without a name")[:TEXT_MAX],
        "severity": severity if severity in _RANK else "",
        "since": round(one.startsAt.timestamp()),
        "rig": one.labels.get("rig", "")[:TEXT_MAX],
        "text": (said.get("summary") or said.get("description", ""))[:TEXT_MAX],
        "do": said.get("runbook", "")[:TEXT_MAX],
        "runbook": runbook,
        "link": runbook.startswith(("http://", "https://")),
    }


def _rank(severity: str) -> int:
    return _RANK.index(severity) if severity in _RANK else len(_RANK)
