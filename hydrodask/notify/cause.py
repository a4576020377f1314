"""One cause: the episodes that are told together, who was told what of it, and what waits to be delivered."""

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

from hydrodask.episodes import Episode
from hydrodask.records import Upsert

MESSAGES = "messages"
"""The collection: a document a cause."""

IDS_MAX = 500
"""Incidents, and what they are about, that a cause remembers; of more the newest."""

_BASELINE = "baseline:"
_OF_SENSOR = ("component_state", "component_unknown")
"""Rules that say nothing without what they are about."""

Mark = tuple[str, str, str]
"""Rig, sensor and rule."""


@dataclass(slots=True)
class ChannelNotice:
    """What one channel was told of a cause, or will be: what waits counts."""

    severity: str
    rigs: list[str]
    at_us: int
    over: bool = False
    alerts: list[list[str]] = field(default_factory=list)
    """Those that fire at an Alertmanager."""


@dataclass(slots=True)
class Delivery:
    """One message to one channel that has not arrived, as far as we know."""

    id: str
    channel: str
    since_us: int
    message: dict[str, Any]
    tries: int = 0
    error: str = ""
    refused: int = 0
    """How often the other side has refused it as it is."""


@dataclass(slots=True)
class Cause:
    """One cause. `id` is that of its first episode; times are the system's but for `began_us`, which is event time.

    `rigs` is what was said of each of its rigs last: of those of which nothing is left, too.
    """

    id: str
    found_us: int
    joined_us: int
    began_us: int
    ids: dict[str, None] = field(default_factory=dict)
    marks: dict[Mark, None] = field(default_factory=dict)
    rigs: list[dict[str, Any]] = field(default_factory=list)
    over_us: int | None = None
    done_us: int | None = None
    kept_back: str = ""
    """Why nobody is told now, for people."""
    told: dict[str, ChannelNotice] = field(default_factory=dict)
    waiting: list[Delivery] = field(default_factory=list)
    number: int = 0
    """Messages so far."""
    revision: int = 0

    @property
    def kinds(self) -> set[str]:
        """What it is about: an episode that is named by one of these has the same cause."""
        return {kind_of(sensor, rule) for _, sensor, rule in self.marks}

    def take(self, episode: Episode) -> None:
        """Remember what an episode holds."""
        for one in episode.incidents:
            self.ids[str(one["_id"])] = None
            self.marks[str(one["rig"]), str(one["sensor"]), str(one["rule"])] = None
        for kept in (self.ids, self.marks):
            while len(kept) > IDS_MAX:
                kept.pop(next(iter(kept)))  # type: ignore[call-overload] # of either

    def next_id(self) -> str:
        """Return the id of one more message: the same for the same cause and number, whoever makes it."""
        self.number += 1
        return f"{hashlib.sha256(self.id.encode()).hexdigest()[:16]}-{self.number}"

    def pending(self, channel: str) -> bool:
        """Say whether something waits for a channel."""
        return any(one.channel == channel for one in self.waiting)

    def change(self) -> Upsert:
        """Return what stores it."""
        return Upsert(MESSAGES, self.id, self.revision, self.body())

    def body(self) -> dict[str, Any]:
        """Return the document's body, without its revision."""
        return {
            "kind": "cause",
            "found_us": self.found_us,
            "joined_us": self.joined_us,
            "began_us": self.began_us,
            "ids": list(self.ids),
            "marks": [list(mark) for mark in self.marks],
            "rigs": self.rigs,
            "over_us": self.over_us,
            "done_us": self.done_us,
            "kept_back": self.kept_back,
            "told": {name: asdict(one) for name, one in self.told.items()},
            "waiting": [asdict(one) for one in self.waiting],
            "number": self.number,
        }

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Cause":
        """Return what a document holds. Raises KeyError, TypeError or ValueError for one that is none of ours."""
        plain = ("found_us", "joined_us", "began_us", "rigs", "over_us", "done_us", "kept_back", "number", "revision")
        return cls(
            id=document["_id"],
            ids=dict.fromkeys(document["ids"]),
            marks=dict.fromkeys((rig, sensor, rule) for rig, sensor, rule in document["marks"]),
            told={name: ChannelNotice(**one) for name, one in document["told"].items()},
            waiting=[Delivery(**one) for one in document["waiting"]],
            **{name: document[name] for name in plain},
        )


def kind_of(sensor: str, rule: str) -> str:
    """Return what makes incidents of several rigs the same thing: a person's rule; else what it is about, too.

    >>> kind_of("CE", "cooler_failing"), kind_of("PS1", "baseline:avg_value")
    ('cooler_failing', 'baseline:avg_value PS1')
    """
    return f"{rule} {sensor}" if rule.startswith(_BASELINE) or rule in _OF_SENSOR else rule
