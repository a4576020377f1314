"""Which rigs are known: of any other one nothing can be shown, and who asks for it is told so."""

import threading
from dataclasses import dataclass, field

from hydrodask import clock
from hydrodask.answers import ANSWERS
from hydrodask.console.sight import RIGS_FRESH_S, Sight
from hydrodask.errors import UsageError

LOOK_S = 5.0
"""How long files are looked through for a rig that no newest file names."""

KEPT_MAX = 1_000
"""Names of which it is remembered whether there is such a rig."""

SHOWN = 80
"""Letters of a name that an answer repeats."""

_TOLD = ("incidents", ANSWERS, "components", "component_changes")
"""Collections whose documents name a rig."""


class NoSuchRigError(UsageError):
    """Nobody has heard of a rig."""

    def __init__(self, rig: str) -> None:
        super().__init__(
            f"there is no rig {rig[:SHOWN]!r}: the lake has no row of it, it has no live value, no incident and no "
            "answer; /api/fleet lists the known ones, as `names`"
        )


@dataclass
class Roster:
    """Knows which rigs there are: by live values, documents, or any row of the lake. Safe for threads."""

    sight: Sight
    _found: dict[str, tuple[float, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def check(self, rig: str) -> None:
        """Raise NoSuchRigError for a rig of which nothing is known; UsageError for none at all."""
        if not rig:
            raise UsageError("want rig: the name of one; /api/fleet lists them, as `names`")
        if not self.sight.live.changed(rig) and rig not in self.sight.rigs() and not self._known(rig):
            raise NoSuchRigError(rig)

    def _known(self, rig: str) -> bool:
        """Return whether anything is known of a rig that no newest file, live value or newest incident names.

        What was found holds for as long as the list of rigs does, so that who asks again and again reads no files.
        """
        now_s = clock.monotonic_s()
        with self._lock:
            at_s, known = self._found.get(rig, (float("-inf"), False))
        if now_s - at_s < RIGS_FRESH_S:
            return known
        known = any(self.sight.documents.find(name, {"rig": rig}, limit=1) for name in _TOLD)
        if not known:
            # Who could not look at all files can't say that there is none.
            known = self.sight.history.holds(rig, now_s + LOOK_S) is not False
        with self._lock:
            self._found[rig] = now_s, known
            while len(self._found) > KEPT_MAX:
                del self._found[next(iter(self._found))]
        return known
