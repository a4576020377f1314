"""`hydrodask incidents answers`: what people have said, and what is kept back now; and the same beside incidents."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from hydrodask import clock
from hydrodask.answers import ANSWERS, ANSWERS_MAX, QUIETING, Answer, Answers
from hydrodask.cli import looking, naming
from hydrodask.cli.common import Json, Profile, Sets, console, moment, print_json, settings
from hydrodask.clock import Zone, parse_iso
from hydrodask.episodes import Episode, episodes, words
from hydrodask.errors import UsageError
from hydrodask.store.documents import Documents, open_documents

INCIDENTS_MAX = 3_000
"""Newest incidents, and open ones, that are looked at for what is of one episode."""

Document = dict[str, Any]


class Answered:
    """What was said to some incidents: to each itself, and to its episode."""

    def __init__(self, documents: Documents, about: Iterable[Document]) -> None:
        self.answers = Answers(documents.find(ANSWERS, {}, limit=ANSWERS_MAX, newest_first="at"))
        self._now_us = clock.now_us()
        there = {str(one["_id"]): one for one in about}
        self._episode: dict[str, Episode] = {}
        if not self.answers:
            return
        for where in ({}, {"status": "open"}):
            newest = documents.find("incidents", where, limit=INCIDENTS_MAX, newest_first="opened_at")
            there |= {str(one["_id"]): one for one in newest}
        whole = episodes(there.values())
        self._episode = {str(one["_id"]): episode for episode in whole for one in episode.incidents}

    def _ids(self, incident: Document) -> list[str]:
        """Return the ids of all incidents of an incident's episode."""
        own = str(incident["_id"])
        episode = self._episode.get(own)
        return [own] if episode is None else [str(one["_id"]) for one in episode.incidents]

    def given(self, incident: Document) -> list[Answer]:
        """Return every answer to an incident or its episode, oldest first."""
        return self.answers.given_to(*self._ids(incident))

    def muted(self, incident: Document) -> Answer | None:
        """Return what keeps messages of an incident back now."""
        rig, sensor, rule = (str(incident[name]) for name in ("rig", "sensor", "rule"))
        return self.answers.muted(rig, sensor, rule, self._now_us)

    def beside(self, incident: Document) -> Document:
        """Return an incident as it is printed for machines, with its answers."""
        said, quiet = self.answers.to(*self._ids(incident)), self.muted(incident)
        return incident | {
            "short_id": naming.short(str(incident["_id"])),
            "acknowledged": said.ack is not None,
            "muted_until": None if quiet is None else quiet.until,
            "answers": [body(one) for one in self.given(incident)],
        }

    def state(self, incident: Document) -> str:
        """Return in a word or two how an open incident is."""
        word = "acknowledged" if self.answers.to(*self._ids(incident)).ack else "open"
        return word if self.muted(incident) is None else f"{word}, muted"

    def lines(self, incident: Document, zone: Zone) -> list[str]:
        """Return what holds of what was said, for people."""
        said, quiet = self.answers.to(*self._ids(incident)), self.muted(incident)
        found = [one for one in (said.ack, said.cause, said.judged, *said.notes[-1:]) if one is not None]
        texts = list(dict.fromkeys(sentence(one, zone) for one in found))
        return texts + ([] if quiet is None else [f"{sentence(quiet, zone)}, {until(quiet, zone)}"])


def body(answer: Answer) -> Document:
    """Return an answer as it is stored."""
    return dict(answer.change("printed-").body)


_SAID = {
    "ack": "acknowledged",
    "unack": "acknowledgement taken back",
    "cause": "cause",
    "right": "it was one",
    "mute": "muted",
    "maintenance": "in maintenance",
}


def sentence(answer: Answer, zone: Zone) -> str:
    """Return who said what, when."""
    what = _SAID.get(answer.kind, answer.kind.replace("_", " "))
    text = f": {answer.text}" if answer.text else ""
    return f"{what} by {answer.by} {moment(answer.at, zone)}{text}"


def until(answer: Answer, zone: Zone) -> str:
    """Return until when a mute or maintenance holds."""
    return f"until {zone.full(parse_iso(answer.until))}"


def scope(answer: Answer) -> str:
    """Return what an answer is about: an incident, or rig, sensor and rule."""
    return answer.incident or ", ".join(filter(None, (answer.rig, answer.sensor, words(answer.rule))))


def ending(answer: Answer) -> str:
    """Return the command that ends a mute or maintenance now.

    >>> ending(Answer(kind="mute", at="2026-01-01T00:00:00Z", by="anna", rig="rig 1", until="2026-01-01T01:00:00Z"))
    "hydrodask incidents mute --rig 'rig 1' --for 0"
    """
    if answer.kind == "maintenance":
        return f"hydrodask incidents maintenance {shlex.quote(answer.rig)} --for 0"
    named = ((name, getattr(answer, name)) for name in ("rig", "sensor", "rule"))
    options = "".join(f" --{name} {shlex.quote(value)}" for name, value in named if value)
    return f"hydrodask incidents mute{options} --for 0"


def check_ends(given: Answer, documents: Documents, now_us: int) -> None:
    """Raise UsageError when a mute or maintenance is to end that does not hold: another one would go on unseen."""
    holding = Answers(documents.find(ANSWERS, {}, limit=ANSWERS_MAX, newest_first="at")).quieting(now_us)
    key = ("kind", "rig", "sensor", "rule")
    if any(all(getattr(one, name) == getattr(given, name) for name in key) for one in holding):
        return
    there = "; ".join(f"`{ending(one)}`" for one in holding[: naming.NAMED_MAX])
    what = f"no {given.kind} of {scope(given)} holds, so there is nothing to end"
    raise UsageError(f"{what}; these end what does: {there}" if there else f"{what}: nothing is muted now")


def answers(
    which: Annotated[
        str | None, typer.Argument(metavar="ID", help="To this incident and its episode.", show_default=False)
    ] = None,
    *,
    holding: Annotated[
        bool, typer.Option("--holding", help="Only mutes and maintenance that hold now, and what ends each.")
    ] = False,
    rig: looking.Rig = None,
    since: looking.Since = None,
    limit: looking.Limit = None,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Show what people have answered, muted and put into maintenance, newest first.

    Times are when it was said, by the clock. A mute or maintenance ends at its time, or now with `--for 0`.

    Example: `hydrodask incidents answers --holding`
    """
    effective = settings(profile, sets)
    since_us, where = looking.since(since, effective), str(effective.documents_url)
    documents = open_documents(effective)
    try:
        known = Answers(documents.find(ANSWERS, {}, limit=ANSWERS_MAX, newest_first="at"))
        given = known.given()
        if which is not None:
            incident = naming.the_incident(documents, which)
            given = Answered(documents, [incident]).given(incident)
    finally:
        documents.close()
    holds = known.quieting(clock.now_us())
    chosen = [
        one
        for one in reversed(given)
        if (one in holds or not holding)
        and (rig is None or one.rig == rig or one.incident.startswith(f"{rig}/"))
        and (since_us is None or parse_iso(one.at) >= since_us)
    ]
    most = limit or (looking.LIMIT_MAX if since_us is not None or holding else looking.LIMIT)
    if json:
        print_json([body(one) | {"holds": one in holds} for one in chosen[:most]])
    elif not chosen:
        nothing = "Nothing is muted or in maintenance now" if holding else "No answers"
        console.print(f"{nothing} in {where}.", highlight=False, markup=False, soft_wrap=True)
    else:
        _show(chosen[:most], holds, Zone(effective.observe.timezone))
        if len(chosen) > most:
            console.print(f"{len(chosen) - most:,} more; --limit, or --json", highlight=False)


def _show(given: Sequence[Answer], holds: Sequence[Answer], zone: Zone) -> None:
    table = Table(
        Column("of", overflow="fold"), "what", title=f"Answers (when they were given, {zone.name})", show_lines=True
    )
    for one in given:
        states = " ".join(f"{name}={'unknown' if state is None else state}" for name, state in one.states.items())
        parts = [sentence(one, zone), states]
        if one.kind in QUIETING:
            parts += [until(one, zone), f"to end it: {ending(one)}"] if one in holds else ["over"]
        whose = f"{naming.short(one.incident)}\n{one.incident}" if one.incident else scope(one)
        # As Text, because names and words come from outside and may look like markup.
        table.add_row(*map(Text, (whose, "\n".join(filter(None, parts)))))
    console.print(table)
