"""What a page shows of fleet and rig, as plain values: made of documents, lake and live values, each when it is asked.

Documents are asked for once a moment, whoever looks.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydrodask import clock
from hydrodask.answers import ANSWERS, ANSWERS_MAX, Answers
from hydrodask.clock import US_PER_S, Zone
from hydrodask.console.episode import episode_view, line_of, open_view, quieting_view, span_view
from hydrodask.console.firing import Fires
from hydrodask.console.live import Live
from hydrodask.episodes import FOREVER_US, Document, Episode, episodes, span_of
from hydrodask.errors import HydrodaskError
from hydrodask.health import HealthLimits, level, of_rig
from hydrodask.health import worst as worst_health
from hydrodask.observe.status import liveness, newest_status
from hydrodask.observe.wording import natural
from hydrodask.store.documents import Documents
from hydrodask.store.history import History

FRESH_S = 1.0
"""How long what was read of documents is used."""

RIGS_FRESH_S = 30.0
"""How long what files say of which rigs there are is used."""

INCIDENTS_MAX = 3_000
"""Newest incidents of all rigs that are looked at, and of one."""

TILES_MAX = 200
"""Rigs with a tile; those that are worst off come first."""

OPEN_MAX = 30
"""Open episodes of all rigs that are listed."""

SPANS_MAX = 40
"""Episodes of the last day that a tile draws."""

DAY_US = 86_400 * US_PER_S

_MEMORY = {"worst_hour": 3_600 * US_PER_S, "worst_day": DAY_US}
"""Over what time back the worst health is told."""

_LISTED = ("CE", "PS1")
"""Sensors whose files are asked which rigs there are."""


@dataclass(frozen=True)
class LatestDocuments:
    """What documents said at one moment."""

    incidents: list[dict[str, Any]]
    answers: Answers
    status: dict[str, Any]
    revision: int
    trouble: str = ""

    def by_rig(self) -> dict[str, list[Episode]]:
        """Return each rig's episodes, the newest first."""
        found: dict[str, list[Episode]] = {}
        for one in episodes(self.incidents):
            found.setdefault(one.rig, []).append(one)
        return found


@dataclass
class Sight:
    """Looks at one platform. Safe for threads."""

    documents: Documents
    history: History
    live: Live
    limits: HealthLimits
    """Where the colours of health change."""
    firing: Callable[[], Fires] | None = None
    """What of an Alertmanager's alerts fires, if there is one to ask."""
    zone: Zone = field(default_factory=Zone)
    """The zone of times in texts."""
    _known: LatestDocuments = field(default_factory=lambda: LatestDocuments([], Answers([]), {}, 0))
    _looked_s: float = float("-inf")
    _rigs: dict[str, int] = field(default_factory=dict)
    _listed_s: float = float("-inf")
    _fleet: tuple[object, dict[str, Any]] = (None, {})
    _mark: object = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def known(self, *, fresh: bool = False) -> LatestDocuments:
        """Return what documents say, a moment old at most; `fresh`: since now."""
        with self._lock:
            if fresh or clock.monotonic_s() - self._looked_s >= FRESH_S:
                self._look()
            return self._known

    def _look(self) -> None:
        now_s = clock.monotonic_s()
        try:
            incidents = self._newest("incidents", {}, INCIDENTS_MAX, "opened_at")
            there = {one["_id"] for one in incidents}
            still = self._newest("incidents", {"status": "open"}, INCIDENTS_MAX, "opened_at")
            incidents += [one for one in still if one["_id"] not in there]
            answers = self._newest(ANSWERS, {}, ANSWERS_MAX, "at")
            status = newest_status(self.documents) or {}
        except HydrodaskError as error:
            self._known = LatestDocuments(
                self._known.incidents, self._known.answers, self._known.status, self._known.revision, str(error)
            )
            self._looked_s = now_s
            return
        mark = ([(one["_id"], one["revision"]) for one in incidents], len(answers), answers[0]["_id"] if answers else 0)
        revision = self._known.revision + (mark != self._mark)
        self._mark = mark
        self._known = LatestDocuments(incidents, Answers(answers), status, revision)
        self._looked_s = now_s

    def _newest(self, name: str, where: Mapping[str, object], limit: int, field_: str) -> list[dict[str, Any]]:
        return self.documents.find(name, where, limit=limit, newest_first=field_)

    def rigs(self) -> dict[str, int]:
        """Return every rig of which something is known, with the end of its newest window; 0: none is known."""
        if clock.monotonic_s() - self._listed_s >= RIGS_FRESH_S:
            self._rigs, self._listed_s = self.history.rigs(_LISTED), clock.monotonic_s()
        found = dict.fromkeys((str(one["rig"]) for one in self.known().incidents), 0)
        for each in (self._rigs, self.live.rigs()):
            found |= {rig: max(end_us, found.get(rig, 0)) for rig, end_us in each.items()}
        return found

    def now_us(self, rig: str | None = None) -> int:
        """Return the newest event time that is known of a rig, or of all: recordings may be of years ago."""
        rigs = self.rigs()
        ours = [end_us for name, end_us in rigs.items() if rig in (None, name) and end_us]
        spans = [span_of(one) for one in self.known().incidents if rig in (None, one["rig"])]
        ours += [began if ended == FOREVER_US else ended for began, ended in spans]
        return max(ours, default=clock.now_us())

    def fleet(self) -> dict[str, Any]:
        """Return the tiles, worst first, and what the whole page says."""
        known, rigs = self.known(), self.rigs()
        fires = None if self.firing is None else self.firing()
        stamp = (known.revision, tuple(rigs), round(clock.monotonic_s() / 5), fires)
        if self._fleet[0] == stamp:
            return self._fleet[1]
        by_rig, now_us, real_us = known.by_rig(), self.now_us(), clock.now_us()
        tiles = [self._tile(rig, by_rig.get(rig, ()), known, now_us, real_us) for rig in rigs]
        tiles.sort(key=lambda tile: (tile["order"], natural(tile["rig"])))
        shown = tiles[:TILES_MAX]
        running, says = liveness(known.status, real_us) if known.status else (False, "nothing has run here yet")
        view = {
            "rigs": [{name: value for name, value in tile.items() if name != "order"} for tile in shown],
            "names": sorted(rigs, key=natural),
            "more": len(tiles) - len(shown),
            "counts": _counts(tiles),
            "cut": _cut(known.incidents, now_us, self.zone),
            "open": sum(tile["open"] for tile in tiles),
            "episodes": [open_view(one, known.answers, real_us) for one in self._open(by_rig, known, real_us)],
            "now": now_us // US_PER_S,
            "running": running,
            "says": says,
            "trouble": known.trouble,
            "muted": quieting_view(known.answers.quieting(real_us)),
            "alerts": None if fires is None else fires.view(),
        }
        self._fleet = (stamp, view)
        return view

    def _tile(
        self, rig: str, ours: Sequence[Episode], known: LatestDocuments, now_us: int, real_us: int
    ) -> dict[str, Any]:
        """Return one rig's tile. Those that nobody has to look after are behind all that somebody has."""
        still = [one for one in ours if one.open]
        lately = [one for one in ours if not one.open and one.span[1] >= now_us - DAY_US]
        loud = [one for one in still if known.answers.quiet(one, real_us) is None]
        worst = min(loud or still, key=lambda one: (one.severity != "critical", -one.span[0]), default=None)
        severity = worst.severity if worst is not None and loud else ""
        acked = worst is not None and known.answers.of(worst).ack is not None
        kept = known.answers.maintained(rig, real_us)
        incidents = [incident for one in ours for incident in one.incidents]
        health = self.health(rig, incidents)
        look: dict[str, Any] = next((one for one in known.status.get("look_first", ()) if one["rig"] == rig), {})
        return {
            "rig": rig,
            "health": health,
            "level": level(health, self.limits),
            **{name: min(health, worst_health(incidents, now_us - us, now_us)) for name, us in _MEMORY.items()},
            "severity": severity,
            "line": line_of(worst, lately, kept, self.zone),
            "open": len(still),
            "lately": len(lately),
            "acknowledged": acked,
            "maintenance": kept.until if kept else "",
            "muted": bool(still) and not loud,
            "spans": [span_view(one) for one in [*still, *lately][:SPANS_MAX]],
            "attention": look.get("attention", 0),
            "look": look.get("why", ""),
            "order": (
                ("critical", "warning", "").index(severity),
                acked,
                -look.get("attention", 0),
                health,
                -len(lately),
            ),
        }

    def _open(self, by_rig: Mapping[str, list[Episode]], known: LatestDocuments, real_us: int) -> list[Episode]:
        """Return what is open in all rigs, worst and newest first, what nobody is told of last."""
        still = [one for ours in by_rig.values() for one in ours if one.open]
        return sorted(
            still,
            key=lambda one: (
                known.answers.quiet(one, real_us) is not None,
                known.answers.of(one).ack is not None,
                one.severity != "critical",
                -one.span[0],
            ),
        )[:OPEN_MAX]

    def health(self, rig: str, incidents: Sequence[Document]) -> float:
        """Return a rig's health, that of its worst part: what the run says, and what open incidents say."""
        live = [value for (name, _), value in self.live.health.items() if name == rig]
        return min([*live, of_rig(one for one in incidents if one["status"] == "open")])

    def episodes(self, rig: str, start_us: int, end_us: int) -> list[dict[str, Any]]:
        """Return a rig's episodes between two times, and those that are open, as the page shows them."""
        known, real_us = self.known(), clock.now_us()
        mine = [one for one in known.incidents if one["rig"] == rig]
        if len(known.incidents) >= INCIDENTS_MAX:
            mine = self._newest("incidents", {"rig": rig}, INCIDENTS_MAX, "opened_at")
        ours = [one for one in episodes(mine) if one.open or (one.span[0] <= end_us and one.span[1] >= start_us)]
        return [episode_view(one, known.answers, real_us) for one in ours]

    def quiet(self, rig: str) -> list[dict[str, str]]:
        """Return what of a rig is muted or in maintenance now."""
        holding = self.known().answers.quieting(clock.now_us())
        return quieting_view([one for one in holding if one.rig in ("", rig)])

    def episode(self, rig: str, name: str) -> dict[str, Any] | None:
        """Return the episode of a rig that an incident belongs to, however long ago it was; None: there is none."""
        mine = self._newest("incidents", {"rig": rig}, INCIDENTS_MAX, "opened_at")
        ours = (one for one in episodes(mine) if any(each["_id"] == name for each in one.incidents))
        return next((episode_view(one, self.known().answers, clock.now_us()) for one in ours), None)

    def components(self, rig: str) -> list[dict[str, Any]]:
        """Return what the models say of a rig's components now."""
        try:
            return self.documents.find("components", {"rig": rig}, limit=20)
        except HydrodaskError:
            return []

    def status_line(self, rig: str) -> dict[str, Any]:
        """Return whether the run is there, where live values come from, and why this rig has none."""
        status, live = self.known().status, self.live
        run = status.get("run_id", "")
        return {"source": live.source, "behind_s": live.behind_s, "stopped": live.why_not(rig), "run": run}


def _cut(incidents: Sequence[Document], now_us: int, zone: Zone) -> str:
    """Return what of the last day is not looked at, as `_look` gives incidents: the newest first, then open ones."""
    oldest_us = span_of(incidents[INCIDENTS_MAX - 1])[0] if len(incidents) >= INCIDENTS_MAX else 0
    if oldest_us < now_us - DAY_US:
        return ""
    since = f"{zone.text(oldest_us)[:16]} {zone.label(oldest_us)}"
    return f"Tiles tell of the newest {INCIDENTS_MAX:,} incidents, since {since}, and of as many that are open."


def _counts(tiles: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many rigs of all are in which state, with a tile or without: each is in one.

    One that is muted or in maintenance is none that is well, whatever is open about it.
    """
    by = dict.fromkeys(("critical", "warning", "muted", "maintenance", "quiet"), 0)
    for one in tiles:
        kept = "maintenance" if one["maintenance"] else one["severity"] or ("muted" if one["muted"] else "quiet")
        by[kept] += 1
    return by
