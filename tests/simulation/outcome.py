"""How a life ends to which harm was done: healed, with a sentence, or found by `verify`; a third thing is a fault.

Healed: what was delivered is what a life without harm delivers, and `verify` finds nothing. With a sentence: the run
has ended and says why (and what to do, which is done, and then it goes on), or it goes on and says how many records are
lost. For each harm it is said which it may be.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from hydrodask.errors import HydrodaskError
from hydrodask.protocol import snapshot
from hydrodask.store import seal, small
from tests.simulation.anew import compare_anew
from tests.simulation.auditing import audit, wrong
from tests.simulation.check import WrongError, compare_all
from tests.simulation.platform import Platform, inside
from tests.simulation.schedule import Schedule

HEALED, SENTENCE, VERIFY = "healed", "sentence", "verify"

SENTENCE_MAX = 800
"""Characters of a sentence with what to do."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """How lives with a harm may end. `same`: what is delivered is the same, unless the run ends with a sentence.

    `but` some of it, which follows from what was changed, and which `verify` judges.
    """

    ends: frozenset[str]
    same: bool = True
    but: frozenset[str] = frozenset()


def _ends(*ends: str, same: bool = True, but: tuple[str, ...] = ()) -> Allowed:
    return Allowed(frozenset(ends), same, frozenset(but))


_JUDGED = ("anomalies", "incidents", "totals")
_WINDOWED = (*_JUDGED, "windows", "late", "finals", "newest", "cycles", "profiles")

ALLOWED = {
    "flip lake": _ends(HEALED, SENTENCE, VERIFY, same=False),
    "truncate lake": _ends(HEALED, SENTENCE, VERIFY, same=False),
    "lose lake": _ends(HEALED, SENTENCE, VERIFY, same=False),
    "older lake": _ends(HEALED, SENTENCE, VERIFY, same=False),
    "flip snapshot": _ends(HEALED, VERIFY),
    "truncate snapshot": _ends(HEALED, VERIFY),
    "lose snapshot": _ends(HEALED),
    "older snapshot": _ends(HEALED),
    "flip small": _ends(HEALED, SENTENCE, VERIFY),
    "truncate small": _ends(HEALED, SENTENCE, VERIFY),
    "lose small": _ends(HEALED, SENTENCE),
    "older small": _ends(HEALED, SENTENCE),
    "power": _ends(HEALED),
    "slow disk": _ends(HEALED),
    "clock back": _ends(HEALED),
    "clock on": _ends(HEALED),
    "clock strobing": _ends(HEALED),
    "cut there": _ends(HEALED),
    "cut back": _ends(HEALED),
    "offsets gone": _ends(HEALED, VERIFY, same=False),
    "restore documents": _ends(HEALED, VERIFY, same=False),
    "restore state": _ends(HEALED, SENTENCE, VERIFY, same=False),
    "more analytics": _ends(HEALED),
    "change rules": _ends(HEALED, but=_JUDGED),
    "change windows": _ends(HEALED, but=_WINDOWED),
    "upgrade": _ends(HEALED, but=_JUDGED),
    "retention": _ends(HEALED, SENTENCE, VERIFY, same=False),
    "deletion": _ends(HEALED, SENTENCE, VERIFY, same=False),
    "remake": _ends(HEALED, SENTENCE, VERIFY),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a life has ended, what was done to it, and the sentence or the finding."""

    end: str
    done: tuple[str, ...]
    why: str = ""


def outcome(schedule: Schedule) -> Outcome:
    """Live a life to which harm is done, and return how it ends. Raises AssertionError for what may not be."""
    with trusting() if schedule.mutation == "checksum" else contextlib.nullcontext():
        return _outcome(schedule)


@contextlib.contextmanager
def trusting() -> Iterator[None]:
    """Take away the checksums: whatever can be decoded is believed."""
    magic, decode = snapshot._MAGIC, snapshot.decode

    def believed(data: bytes) -> dict[str, Any]:
        body = data[len(magic) + 32 :]
        return decode(magic + hashlib.sha256(body).digest() + body)

    with (
        patch.object(seal, "intact", lambda _data: True),
        patch.object(small, "opened", lambda data: data.rpartition(b"\nsha256 ")[0] or data),
        patch.object(snapshot, "decode", believed),
    ):
        yield


def _outcome(schedule: Schedule) -> Outcome:
    platform = Platform(schedule)
    platform.run()
    allowed = [ALLOWED[kind] for kind in schedule.harms]
    ended = _ended(platform, frozenset().union(*(one.but for one in allowed)))
    if ended.end not in frozenset().union(*(one.ends for one in allowed)):
        raise WrongError(f"{ended.end} is no end for {', '.join(schedule.harms)}: {ended}")
    return ended


def _ended(platform: Platform, but: frozenset[str]) -> Outcome:
    done = tuple(platform.nemesis.done)
    with inside(platform.world):
        try:
            found = wrong(audit(platform))
        except HydrodaskError as error:
            raise WrongError(f"verify itself ends with {error!r} after {done}") from error
    if platform.said is not None:
        _check_sentence(platform.said)
        if not platform.healed:
            return Outcome(SENTENCE, done, str(platform.said))
    same = all(ALLOWED[kind].same for kind in platform.schedule.harms)
    complete = True
    try:
        if "remake" in platform.schedule.harms:
            compare_anew(platform)
        else:
            complete = compare_all(platform, but=but)
    except WrongError as error:
        # What is lost is said once: with a state that is damaged afterwards its count goes, too.
        complete = not ({"retention", "deletion"} & set(platform.schedule.harms) and _said_lost(platform))
        if same or (complete and not found):
            raise WrongError(f"{error} after {done}, and verify says {found}") from error
    if platform.said is not None:
        return Outcome(SENTENCE, done, f"{platform.said}; then {found[:1] or 'all was well'}")
    if found:
        return Outcome(VERIFY, done, found[0])
    return Outcome(HEALED if complete else SENTENCE, done, "" if complete else "records are lost, and counted")


def _said_lost(platform: Platform) -> bool:
    return any("records lost" in note or "went with the log" in note for note in platform.notes)


def _check_sentence(error: HydrodaskError) -> None:
    """Fail unless people can read it: one or two lines, no traceback."""
    said = str(error)
    if not said or len(said) > SENTENCE_MAX or said.count("\n") > 1 or "Traceback" in said:
        raise WrongError(f"it ended, and what it says is no sentence: {said!r}")
