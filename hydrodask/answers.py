"""Answers: what people said to incidents, and what is muted or in maintenance. Pure: time is an argument.

An answer is a document that is written once and never changed, in a collection of its own: no record implies it, so no
replay writes or removes it. What holds now follows from all of them; of several to one question the newest counts.
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.episodes import Episode
from hydrodask.errors import UsageError
from hydrodask.records import Upsert

ANSWERS = "answers"
"""The collection."""

JUDGING = ("right", "false_alarm", "found")
"""Kinds that say whether an incident was one, and what was found: training data, when it names states."""

TO_INCIDENTS = ("ack", "unack", "note", "cause", *JUDGING)
"""Kinds of answers to an episode, or to one incident."""

TEACHING = (*JUDGING, "label")
"""Kinds that may say which state a component was in: `label` without an incident."""

QUIETING = ("mute", "maintenance")
"""Kinds that keep messages back `until` a time; one whose time is over already ends what an earlier one began."""

KINDS = (*TO_INCIDENTS, *QUIETING, "label")
TEXT_MAX = 2_000
BY_MAX = 80
NAME_MAX = 512
UNTIL_S_MAX = 366 * 86_400
"""The longest that anything may be muted at a time."""

ANSWERS_MAX = 20_000
"""Newest answers that are looked at."""

_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_NEEDED = {"note": "text", "cause": "text", "found": "text"}

STATES_MAX = 16
"""States that one answer names at most."""


class FieldError(UsageError):
    """A field of an answer has a value that it can't have: who asked for it says so in words of their own."""

    def __init__(self, name: str, value: object, want: str) -> None:
        super().__init__(f"{name} of an answer has value {value!r}; want {want}")
        self.name, self.value, self.want = name, value, want


States = Mapping[str, int | None]
"""By component what its state was; None: that is not known, whatever was said before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Who said what, when. `incident` is an id; of an episode that of its first.

    A mute is for a `rig`, `sensor` and `rule`; an empty one stands for all. `states` are those that the components of
    `rig` had from `start` to `end`, in event time, `source` is the file that a label is from. Raises UsageError with
    what is wrong.
    """

    kind: str
    at: str
    by: str
    text: str = ""
    incident: str = ""
    rig: str = ""
    sensor: str = ""
    rule: str = ""
    until: str = ""
    start: str = ""
    end: str = ""
    states: States = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        self._want(self.kind in KINDS, "kind", f"one of {', '.join(KINDS)}")
        self._want(0 < len(self.by.strip()) <= BY_MAX, "by", f"a name of 1..{BY_MAX} characters: who answers")
        self._want(len(self.text) <= TEXT_MAX, "text", f"at most {TEXT_MAX} characters")
        for name in ("incident", "rig", "sensor", "rule", "source"):
            self._want(len(getattr(self, name)) <= NAME_MAX, name, f"at most {NAME_MAX} characters")
        if needed := _NEEDED.get(self.kind):
            self._want(
                bool(getattr(self, needed).strip()), needed, f"some text: a {self.kind} without any says nothing"
            )
        if self.states or self.kind == "label":
            self._check_states()
        if self.kind in TO_INCIDENTS:
            self._want(bool(self.incident), "incident", "the id of an incident")
            return
        if self.kind == "label":
            return
        self._want(bool(self.rig or self.sensor or self.rule), "rig", "a rig, sensor or rule: not all at once")
        self._want(self.kind == "mute" or bool(self.rig), "rig", "the rig that is in maintenance")
        self._want(bool(self.until), "until", "the time at which it is over, or `for_s`")
        most_us = parse_iso(self.at) + UNTIL_S_MAX * US_PER_S
        self._want(parse_iso(self.until) <= most_us, "until", f"at most {UNTIL_S_MAX // 86_400} days from now")

    def _check_states(self) -> None:
        """Raise UsageError unless its states are some, of a rig and a time."""
        self._want(self.kind in TEACHING, "kind", f"one of {', '.join(TEACHING)} with states")
        some = isinstance(self.states, Mapping) and 0 < len(self.states) <= STATES_MAX
        whole = some and all(
            isinstance(name, str) and (value is None or (isinstance(value, int) and not isinstance(value, bool)))
            for name, value in self.states.items()
        )
        self._want(whole, "states", "one or more components, each with a whole number or null")
        self._want(bool(self.rig), "rig", "the rig whose states they are")
        try:
            fine = parse_iso(self.start) < parse_iso(self.end)
        except (ValueError, OverflowError):
            fine = False
        self._want(fine, "end", f"a time after its start, {self.start[:40]!r}, both in ISO 8601")

    @classmethod
    def made(cls, fields: Mapping[str, Any], *, by: str, now_us: int) -> "Answer":
        """Return the answer that somebody gives now; `for_s` says how long. Raises UsageError."""
        known = {"kind", "text", "incident", "rig", "sensor", "rule", "start", "end"}
        if unknown := sorted(set(fields) - known - {"for_s", "id", "by", "states"}):
            want = ", ".join(sorted(known))
            raise UsageError(f"an answer has no field {unknown[0]!r}; want {want}, states, for_s, by or id")
        texts = {name: fields.get(name, "") for name in known}
        if wrong := [name for name, value in texts.items() if not isinstance(value, str)]:
            raise UsageError(f"{wrong[0]} of an answer has value {fields[wrong[0]]!r}; want text")
        states = fields.get("states") or {}
        return cls(**texts, at=iso(now_us), by=by, until=_until(fields.get("for_s"), now_us), states=states)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Answer":
        """Return what a document holds. Raises UsageError, ValueError or TypeError for one that is none of ours."""
        given = {name: document[name] for name in cls.__slots__ if name in document}
        return cls(**({"kind": "", "at": "", "by": ""} | given))

    def change(self, name: str | None = None) -> Upsert:
        """Return what stores it. Who gives the same `name` twice, as after a lost reply, has answered once."""
        if name is not None and not _ID.fullmatch(name):
            raise UsageError(f"id of an answer has value {str(name)[:80]!r}; want 8..64 letters, digits or dashes")
        body: dict[str, object] = {name: getattr(self, name) for name in self.__slots__} | {"states": dict(self.states)}
        return Upsert(ANSWERS, name or f"{self.at}-{secrets.token_hex(4)}", 0, body)

    def covers(self, rig: str, sensor: str, rule: str) -> bool:
        """Say whether a mute or maintenance is for this rule on this sensor of this rig."""
        pairs = ((self.rig, rig), (self.sensor, sensor), (self.rule, rule))
        return all(mine in ("", theirs) for mine, theirs in pairs)

    def _want(self, fine: bool, name: str, want: str) -> None:
        if not fine:
            raise FieldError(name, str(getattr(self, name))[:80], want)


@dataclass(frozen=True, slots=True)
class EpisodeAnswers:
    """What was said to one episode: the newest acknowledgement, cause and judgement, and all notes, oldest first."""

    ack: Answer | None = None
    cause: Answer | None = None
    notes: tuple[Answer, ...] = ()
    judged: Answer | None = None


class Answers:
    """Everything that was answered, for questions about now. Made of the collection's documents, in any order."""

    def __init__(self, documents: Iterable[Mapping[str, Any]]) -> None:
        given = []
        for one in documents:
            try:
                given.append((str(one.get("at")), str(one.get("_id")), Answer.of(one)))
            except (UsageError, ValueError, TypeError):
                continue  # `verify` says so
        self._given = [answer for _, _, answer in sorted(given, key=lambda each: each[:2])]
        self._to: dict[str, list[Answer]] = {}
        scopes: dict[tuple[str, str, str, str], Answer] = {}
        for answer in self._given:
            if answer.kind in QUIETING:
                scopes[answer.kind, answer.rig, answer.sensor, answer.rule] = answer
            elif answer.incident:
                self._to.setdefault(answer.incident, []).append(answer)
        self._quieting = list(scopes.values())

    def __len__(self) -> int:
        return len(self._given)

    def given(self) -> list[Answer]:
        """Return all answers, oldest first."""
        return list(self._given)

    def quieting(self, now_us: int) -> list[Answer]:
        """Return mutes and maintenance that hold now."""
        return [one for one in self._quieting if parse_iso(one.until) > now_us]

    def muted(self, rig: str, sensor: str, rule: str, now_us: int) -> Answer | None:
        """Return what keeps messages of this rule on this sensor of this rig back now, the longest one."""
        holding = [one for one in self.quieting(now_us) if one.covers(rig, sensor, rule)]
        return max(holding, key=lambda one: parse_iso(one.until), default=None)

    def maintained(self, rig: str, now_us: int) -> Answer | None:
        """Return the maintenance of a rig that holds now."""
        return next((one for one in self.quieting(now_us) if one.kind == "maintenance" and one.rig == rig), None)

    def given_to(self, *incidents: str) -> list[Answer]:
        """Return every answer to any of these incidents, oldest first."""
        return sorted((one for name in incidents for one in self._to.get(name, ())), key=lambda one: one.at)

    def to(self, *incidents: str) -> EpisodeAnswers:
        """Return what was said to any of these incidents."""
        given = self.given_to(*incidents)
        acks = [one for one in given if one.kind in ("ack", "unack")]
        return EpisodeAnswers(
            ack=acks[-1] if acks and acks[-1].kind == "ack" else None,
            cause=next((one for one in reversed(given) if one.kind == "cause"), None),
            notes=tuple(one for one in given if one.kind == "note" or (one.kind == "ack" and one.text)),
            judged=next((one for one in reversed(given) if one.kind in JUDGING), None),
        )

    def of(self, episode: Episode) -> EpisodeAnswers:
        """Return what was said to an episode: also to one that has become part of it since."""
        return self.to(*(str(one["_id"]) for one in episode.incidents))

    def quiet(self, episode: Episode, now_us: int) -> Answer | None:
        """Return why nobody is told of an episode now: each of its incidents is muted; None: somebody should be."""
        why = [self.muted(str(o["rig"]), str(o["sensor"]), str(o["rule"]), now_us) for o in episode.incidents]
        return why[0] if all(one is not None for one in why) else None


def _until(for_s: object, now_us: int) -> str:
    if for_s is None:
        return ""
    if isinstance(for_s, bool) or not isinstance(for_s, int | float) or not 0 <= for_s <= UNTIL_S_MAX:
        raise FieldError("for_s", for_s, f"seconds, 0..{UNTIL_S_MAX}")
    return iso(now_us + round(for_s * US_PER_S))
