"""Episodes: incidents of one rig that belong together, named as people speak of them. Pure: no clock, no store.

One fault breaks several rules on several sensors, one after the other: a failing cooler was 14 incidents. Incidents of
a rig whose spans touch are one *episode*. Page, messages, report and views all go by this grouping, so that what is one
thing here is one thing there.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from hydrodask.clock import US_PER_S, parse_iso

Document = dict[str, Any]

TOUCH_US = 60 * US_PER_S
"""Incidents with less than this between them are of one episode."""

FOREVER_US = 1 << 62
"""The end of what is open."""

SEVERITIES = ("critical", "warning")
"""From the worst on."""

STATISTICS = {
    "avg_value": "mean",
    "stddev_value": "spread",
    "range_value": "range",
    "max_value": "highest value",
    "min_value": "lowest value",
    "sample_count": "count",
}
"""What people call the statistics of a window's row."""

_BASELINE = "baseline:"


class DocumentFinder(Protocol):
    """The part of a document store that finds documents."""

    def find(
        self, collection: str, where: Mapping[str, object], *, limit: int, newest_first: str | None = None
    ) -> list[Document]:
        """Return documents; as `hydrodask.store.documents.Documents.find`."""


def words(rule: str) -> str:
    """Return a rule's name as people say it.

    >>> words("cooler_failing"), words("baseline:avg_value"), words("baseline:stddev_value")
    ('cooler failing', 'unusual mean', 'unusual spread')
    """
    if rule.startswith(_BASELINE):
        name = rule.removeprefix(_BASELINE)
        return f"unusual {STATISTICS.get(name, name.removesuffix('_value'))}"
    return rule.replace("_", " ")


def text_of(incident: Mapping[str, Any]) -> str:
    """Return an incident's message as people say it.

    >>> text_of({"statistic": "avg_value", "message": "avg_value of PS4 is 0 bar, usually 10 bar (z = -88.6)"})
    'mean of PS4 is 0 bar, usually 10 bar (z = -88.6)'
    """
    text, statistic = str(incident.get("message", "")), str(incident.get("statistic", ""))
    said = STATISTICS.get(statistic)
    return text if said is None else text.replace(f"{statistic} of", f"{said} of", 1)


def span_of(incident: Mapping[str, Any]) -> tuple[int, int]:
    """Return when an incident was opened and resolved, in microseconds; an open one ends never."""
    resolved = incident.get("resolved_at")
    return parse_iso(str(incident["opened_at"])), parse_iso(str(resolved)) if resolved else FOREVER_US


def worst_first(incident: Mapping[str, Any]) -> tuple[bool, int, str, str]:
    """Return a sort key: rules that a person wrote before baselines, critical before warning, old before young."""
    severity = str(incident.get("severity"))
    rank = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
    return str(incident["rule"]).startswith(_BASELINE), rank, str(incident["opened_at"]), str(incident.get("_id", ""))


@dataclass(frozen=True)
class Episode:
    """Incidents of one rig, at least one, in the order in which they were opened.

    Its `id` is that of the first, so it stays while others join. `name` is the one that a person would tell first.
    """

    incidents: tuple[Document, ...]

    @property
    def id(self) -> str:
        """The first incident's id."""
        return str(self.incidents[0]["_id"])

    @property
    def rig(self) -> str:
        """Whose incidents these are."""
        return str(self.incidents[0]["rig"])

    @cached_property
    def name(self) -> Document:
        """The incident that gives the episode its name: the worst rule of a person before a baseline's."""
        return min(self.incidents, key=worst_first)

    @property
    def severity(self) -> str:
        """The worst severity of all."""
        return min((str(one["severity"]) for one in self.incidents), key=_rank)

    @property
    def open(self) -> bool:
        """Whether one of the incidents is not resolved."""
        return any(one["status"] == "open" for one in self.incidents)

    @property
    def provisional(self) -> bool:
        """Whether nothing of it is certain yet."""
        return all(one.get("provisional") for one in self.incidents)

    @cached_property
    def span(self) -> tuple[int, int]:
        """When it began and ended, in microseconds; what is open ends at `FOREVER_US`."""
        spans = [span_of(one) for one in self.incidents]
        return spans[0][0], max(end for _, end in spans)

    @property
    def sensors(self) -> list[str]:
        """The sensors that it is about, each once, the worst first."""
        return list(dict.fromkeys(str(one["sensor"]) for one in sorted(self.incidents, key=worst_first)))

    @property
    def rules(self) -> list[str]:
        """The rules that were broken, each once, the worst first."""
        return list(dict.fromkeys(str(one["rule"]) for one in sorted(self.incidents, key=worst_first)))


def episodes(incidents: Iterable[Document], *, touch_us: int = TOUCH_US) -> list[Episode]:
    """Return incidents of any rigs as episodes, the newest first.

    Does not depend on the order in which they are given.
    """
    by_rig: dict[str, list[Document]] = defaultdict(list)
    for one in incidents:
        by_rig[str(one["rig"])].append(one)
    found: list[Episode] = []
    for ours in by_rig.values():
        ours.sort(key=lambda one: (span_of(one)[0], str(one["_id"])))
        group: list[Document] = []
        end_us = 0
        for one in ours:
            began_us, over_us = span_of(one)
            if group and began_us > end_us + touch_us:
                found.append(Episode(tuple(group)))
                group = []
            end_us = max(end_us, over_us) if group else over_us
            group.append(one)
        found.append(Episode(tuple(group)))
    return sorted(found, key=lambda one: (-one.span[0], one.rig, one.id))


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
