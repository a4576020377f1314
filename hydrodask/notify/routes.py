"""Who is told of an episode now. Pure: time is an argument."""

from collections.abc import Iterator, Sequence
from enum import Enum
from fnmatch import fnmatchcase

from hydrodask.clock import Zone
from hydrodask.episodes import SEVERITIES, Episode
from hydrodask.settings.notify import Notify, Route


class When(Enum):
    """Whether a channel is told of an episode: `NEVER` is no matter of time, `LATER` is one of quiet hours."""

    NEVER = 0
    LATER = 1
    NOW = 2


class Routes:
    """The routes of a configuration; without any, every channel is told of everything."""

    def __init__(self, notify: Notify, zone: Zone) -> None:
        self.channels = sorted(notify.channels)
        self._routes: Sequence[Route] = notify.routes or ([Route(to=tuple(self.channels))] if self.channels else [])
        self._zone = zone

    def of(self, channel: str, episode: Episode, now_us: int) -> When:
        """Return when a channel is to be told: of several routes to it the one that is soonest counts."""
        hour, minute_, _ = map(int, self._zone.clock(now_us).split(":"))
        minute = hour * 60 + minute_
        found = [When.LATER if one.quiet_at(minute) else When.NOW for one in self._matching(channel, episode)]
        return max(found, key=lambda one: one.value, default=When.NEVER)

    def _matching(self, channel: str, episode: Episode) -> Iterator[Route]:
        for one in self._routes:
            severe = rank(episode.severity) <= rank(one.severity)
            if channel in one.to and severe and any(fnmatchcase(episode.rig, pattern) for pattern in one.rigs):
                yield one


def rank(severity: str) -> int:
    """Return how bad a severity is: 0 is the worst."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
