"""Messages as alerts of an Alertmanager: which fire, and which end. Pure: time is an argument.

An alert is known by its labels, and those of a rig change as its episode grows. So each message to such a channel says
which of the alerts before it end (`ended`), and what is open is sent again every `AGAIN_US`: an Alertmanager that has
forgotten it knows it again, and one that we can't reach ends it after `ALERT_US`.
"""

from collections.abc import Mapping
from typing import Any

from hydrodask.clock import US_PER_S, iso
from hydrodask.notify import text
from hydrodask.settings.hidden import USER

AGAIN_US = 300 * US_PER_S
"""What is open is sent again this often, acknowledged or not."""

ALERT_US = 3600 * US_PER_S
"""An alert that is not sent again, because we are gone, ends by itself after this long."""

_LABELS = ("rule", "rig", "sensor", "severity")

Labels = list[str]
"""What an alert is known by within its cause: values of `_LABELS`."""


def firing(message: Mapping[str, Any]) -> list[Labels]:
    """Return the alerts that fire after a message."""
    open_ = [] if message["kind"] in (text.OVER, text.TEST) else message["rigs"]
    return sorted(map(list, {tuple(_labels(one)) for one in open_ if one["until"] is None}))


def ended(before: list[Labels], message: Mapping[str, Any]) -> list[Labels]:
    """Return the alerts that fired before a message, and end with it."""
    now = firing(message)
    return [one for one in before if one not in now]


def alerts(message: Mapping[str, Any], at_us: int) -> list[dict[str, Any]]:
    """Return a message as Alertmanager's alerts."""
    going = firing(message)
    made = [
        _alert(message, one, at_us + ALERT_US if _labels(one) in going else at_us)
        for one in message["rigs"] or [_nobody(message)]
    ]
    said = [_labels(one) for one in message["rigs"]]
    gone = [dict(zip(_LABELS, one, strict=True)) for one in message.get("ended", ()) if one not in said]
    return made + [_alert(message, _nobody(message) | one, at_us) for one in gone]


def _labels(one: Mapping[str, Any]) -> Labels:
    return [str(one[name]) for name in _LABELS]


def _alert(message: Mapping[str, Any], one: Mapping[str, Any], ends_us: int) -> dict[str, Any]:
    labels = {"alertname": one["rule"], "rig": one["rig"], "sensor": one["sensor"], "severity": one["severity"]}
    return {
        "labels": {**labels, "cause": message["cause"], "job": USER},
        "annotations": {"summary": message["subject"], "description": one["message"]},
        "startsAt": min(one["since"], iso(ends_us)),
        "endsAt": iso(ends_us),
        "generatorURL": one["link"],
    }


def _nobody(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands for the rig in a message that is about none."""
    named = {"rule": message["rule"], "severity": message["severity"], "since": message["since"]}
    return {**named, "rig": "", "sensor": "", "message": message["text"], "link": message["link"]}
