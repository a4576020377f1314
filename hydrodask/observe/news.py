"""Watch the documents: which anomalies and incidents there are, and what has changed.

Takes a document store, gives `IncidentNews`. Polls, because a store may be a server and a worker far away
writes to it; a store that does not answer leaves what was known, and says so in `trouble`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydrodask.clock import Zone, parse_iso
from hydrodask.episodes import DocumentFinder
from hydrodask.errors import HydrodaskError

LIMIT = 20
"""Newest documents that a poll reads of each kind."""

OPEN_MAX = 100
"""Open incidents that are followed; of more only the newest are."""

SEEN_MAX = 1_000
"""Resolved incidents that are remembered, so that none is told twice."""

Document = dict[str, Any]
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class IncidentNews:
    """An incident was `opened`, `resolved` or `withdrawn`.

    Withdrawn are provisional ones that came to nothing.
    """

    kind: str
    incident: Document

    def said(self, zone: Zone) -> str:
        """Return it as a line, with its time as people read it."""
        one, over = self.incident, self.kind == "resolved"
        at = zone.full(parse_iso(str(one["resolved_at" if over else "opened_at"])))
        doubt = " (provisional)" if self.kind == "opened" and one["provisional"] else ""
        what = f"{one['severity']} {one['rig']}/{one['sensor']} {one['rule']}: {one['message']}"
        return f"incident {self.kind} at {at}: {what}{doubt}"


class DocumentWatch:
    """What is known of anomalies and incidents, as of the last poll.

    One incident of a (rig, sensor, rule) is open at a time; a provisional one that is replaced by
    the real one is the same to people.
    """

    def __init__(self, documents: DocumentFinder) -> None:
        self._documents = documents
        self._told: dict[str, None] = {}
        self._first = True
        self.open: dict[Key, Document] = {}
        self.incidents: list[Document] = []
        self.anomalies: list[Document] = []
        self.trouble = ""

    @property
    def open_count(self) -> str:
        """How many incidents are open, as text: `3`, or `100+` when there are more than counted."""
        return f"{OPEN_MAX}+" if len(self.open) >= OPEN_MAX else str(len(self.open))

    def poll(self) -> list[IncidentNews]:
        """Look again; return what has changed since the last time, oldest first."""
        try:
            self.anomalies = self._newest("anomalies", {}, LIMIT, "window_start")
            self.incidents = self._newest("incidents", {}, LIMIT, "opened_at")
            now = self._newest("incidents", {"status": "open"}, OPEN_MAX, "opened_at")
            news = self._changes({key_of(one): one for one in now})
        except HydrodaskError as error:
            self.trouble = str(error)
            return []
        self.trouble = ""
        return news

    def _newest(self, collection: str, where: Mapping[str, object], limit: int, field: str) -> list[Document]:
        return self._documents.find(collection, where, limit=limit, newest_first=field)

    def _changes(self, now: dict[Key, Document]) -> list[IncidentNews]:
        if self._first:
            # What was there before this run is not news.
            self._first = False
            for one in self.incidents:
                self._tell(one)
        gone = [IncidentNews(*self._fate(one)) for key, one in self.open.items() if key not in now]
        over = [
            IncidentNews("resolved", one)
            for one in self.incidents
            if one["status"] == "resolved" and one["_id"] not in self._told
        ]
        fresh = [IncidentNews("opened", one) for key, one in now.items() if key not in self.open]
        still = {key_of(n.incident): n.incident for n in gone if n.kind == "open"}
        self.open = dict(list((now | still).items())[:OPEN_MAX])
        return [n for n in self._once([*gone, *over]) if n.kind != "open"] + fresh[::-1]

    def _fate(self, one: Document) -> tuple[str, Document]:
        """Return what became of an incident that is not among the open ones."""
        same = [
            other for other in self.incidents if key_of(other) == key_of(one) and other["opened_at"] >= one["opened_at"]
        ]
        found = same or self._documents.find("incidents", {"_id": one["_id"]}, limit=1)
        if not found:
            return "withdrawn", one
        return str(found[0]["status"]), found[0]

    def _once(self, news: list[IncidentNews]) -> list[IncidentNews]:
        """Return `news` without what was told; remember what is told now."""
        fresh = []
        for one in sorted(news, key=lambda n: str(n.incident["resolved_at"] or "")):
            if one.kind != "resolved":
                fresh.append(one)
            elif one.incident["_id"] not in self._told:
                self._tell(one.incident)
                fresh.append(one)
        return fresh

    def _tell(self, incident: Document) -> None:
        if incident["status"] == "resolved":
            self._told[incident["_id"]] = None
        while len(self._told) > SEEN_MAX:
            del self._told[next(iter(self._told))]


def key_of(incident: Document) -> Key:
    """Return what identifies an incident to people."""
    return (str(incident["rig"]), str(incident["sensor"]), str(incident["rule"]))
