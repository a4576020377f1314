"""What the notifier sees at a look: incidents that matter, answers, and what is unknown or drifting."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from hydrodask.answers import ANSWERS, ANSWERS_MAX, Answers
from hydrodask.clock import US_PER_S
from hydrodask.episodes import Document, DocumentFinder, Episode, episodes
from hydrodask.notify import conditions
from hydrodask.reports import Overview

OPEN_MAX = 5_000
"""Open incidents that are looked at; of more the newest."""

NEWEST_MAX = 1_000
"""Newest incidents that are looked at, open or not: what began and ended between two looks is among them."""

ASKED_MAX = 200
"""Incidents that are asked for by name at a look: those of open causes that are not among the newest any more."""

COMPONENTS_MAX = 20_000
COMPONENTS_EVERY_US = 10 * US_PER_S
"""How often components are read: a load cycle is a minute."""


@dataclass(frozen=True)
class EpisodesSeen:
    """What a look has seen. `unseen` are ids of which nothing can be said: they were not asked for, or not known."""

    episodes: list[Episode]
    answers: Answers
    unseen: frozenset[str]


class Lookout:
    """Looks at documents and at the run."""

    def __init__(
        self, documents: DocumentFinder, overview: Callable[[], Overview], drift_max: float, silence_us: int
    ) -> None:
        self._documents, self._overview = documents, overview
        self._drift_max, self._silence_us = drift_max, silence_us
        self._last: dict[str, Document | None] = {}
        """What each incident that was asked for was then, the one before longest first; None: there is none."""
        self._components: list[Document] = []
        self._components_us = 0
        self._drifts: dict[tuple[str, int], Mapping[str, tuple[float, float]]] = {}
        self._drifting_us: int | None = None

    def look(self, wanted: Collection[str], now_us: int) -> EpisodesSeen:
        """Return what is so now; `wanted` are ids that matter, though they may be old. Raises as `find`."""
        find = self._documents.find
        found = {one["_id"]: one for one in find("incidents", {}, limit=NEWEST_MAX, newest_first="opened_at")}
        found |= {
            one["_id"]: one for one in find("incidents", {"status": "open"}, limit=OPEN_MAX, newest_first="opened_at")
        }
        far = {one for one in wanted if one not in found and not conditions.rule_of(one)}
        self._ask(far)
        older = {name: one for name in far if (one := self._last.get(name)) is not None}
        unseen = {one for one in far if one not in self._last}
        known = self._conditions(now_us)
        if known is None:
            unseen |= {one for one in wanted if conditions.rule_of(one) == conditions.DRIFT}
        unknown = conditions.unknown(self._components, self._silence_us)
        answers = Answers(find(ANSWERS, {}, limit=ANSWERS_MAX, newest_first="at"))
        every = [*found.values(), *older.values(), *unknown, *(known or [])]
        return EpisodesSeen(episodes(every), answers, frozenset(unseen))

    def _ask(self, far: Collection[str]) -> None:
        """Ask for those that nobody has asked for yet, and for those that were open then, in turn."""
        self._last = {name: one for name, one in self._last.items() if name in far}
        strange = sorted(one for one in far if one not in self._last)
        going = [name for name, one in self._last.items() if one is not None and one["status"] == "open"]
        for name in [*strange, *going][:ASKED_MAX]:
            self._last.pop(name, None)
            self._last[name] = next(iter(self._documents.find("incidents", {"_id": name}, limit=1)), None)

    def _conditions(self, now_us: int) -> list[Document] | None:
        """Read components, if it is time to, and return what there is of drift; None: nobody knows."""
        if now_us - self._components_us >= COMPONENTS_EVERY_US:
            self._components = self._documents.find("components", {}, limit=COMPONENTS_MAX)
            self._components_us = now_us
        overview, since_us = self._overview(), self._drifting_us or now_us
        self._drifts |= {key: dict(part.drift) for key, part in overview.partitions.items() if part.drift}
        drifting = conditions.drifting(overview, self._drifts, self._drift_max, since_us)
        if drifting is not None:
            self._drifting_us = since_us if drifting else None
        return drifting
