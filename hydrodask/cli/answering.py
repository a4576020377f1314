"""`hydrodask incidents ack|note|found|mute …`: what people say to incidents, kept with who and when."""

import getpass
from typing import Annotated

import typer
from rich.markup import escape

from hydrodask import clock
from hydrodask.answers import JUDGING, Answer
from hydrodask.cli import completion
from hydrodask.cli.common import Profile, Sets, console, moment, seconds, settings
from hydrodask.clock import Zone, parse_iso
from hydrodask.episodes import words
from hydrodask.errors import UsageError
from hydrodask.store.documents import open_documents

Which = Annotated[str, typer.Argument(metavar="ID", help="Of an incident: `hydrodask incidents --json` names it.")]
Text = Annotated[str, typer.Argument(help="What to say.")]
Note = Annotated[str, typer.Option("--note", help="Why, in words.")]
States = Annotated[
    list[str] | None, typer.Argument(help="States of components, for example valve=80.", show_default=False)
]
By = Annotated[str | None, typer.Option("--by", help="Who answers; else the user of this machine.", show_default=False)]
Long = Annotated[str, typer.Option("--for", help="How long, for example 30m or 8h; 0 ends it now.")]


def add_to(group: typer.Typer) -> None:
    """Add the commands."""
    for command in (ack, unack, note, cause, right, false_alarm, found, mute, maintenance):
        group.command(name=command.__name__.replace("_", "-"))(command)


def ack(which: Which, note: Note = "", by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Acknowledge an incident, and with it its episode: somebody looks after it, and nobody is told again.

    Example: `hydrodask incidents ack rig-1/CE/cooler_failing/2026-11-24T22:05:00Z --note "Anna is on her way"`
    """
    _answer({"kind": "ack", "incident": which, "text": note}, by, profile, sets)


def unack(which: Which, note: Note = "", by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Take an acknowledgement back.

    Example: `hydrodask incidents unack rig-1/CE/cooler_failing/2026-11-24T22:05:00Z`
    """
    _answer({"kind": "unack", "incident": which, "text": note}, by, profile, sets)


def note(which: Which, text: Text, by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Add a note to an incident.

    Example: `hydrodask incidents note rig-1/CE/cooler_failing/2026-11-24T22:05:00Z "fan replaced"`
    """
    _answer({"kind": "note", "incident": which, "text": text}, by, profile, sets)


def cause(which: Which, text: Text, by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Say what the cause of an incident was; the newest counts.

    Example: `hydrodask incidents cause rig-1/CE/cooler_failing/2026-11-24T22:05:00Z "cooler fan"`
    """
    _answer({"kind": "cause", "incident": which, "text": text}, by, profile, sets)


def right(which: Which, note: Note = "", by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Say that an incident was one. Of a component, its cycles are training data from then on.

    Example: `hydrodask incidents right rig-1/valve/component_state/2026-11-24T22:05:00Z`
    """
    _answer({"kind": "right", "incident": which, "text": note}, by, profile, sets)


def false_alarm(which: Which, note: Note = "", by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Say that nothing was wrong. Of a component, its cycles are training data: it was as it should be.

    Example: `hydrodask incidents false-alarm rig-1/valve/component_state/2026-11-24T22:05:00Z --note "new oil"`
    """
    _answer({"kind": "false_alarm", "incident": which, "text": note}, by, profile, sets)


def found(
    which: Which, states: States = None, note: Note = "", by: By = None, profile: Profile = None, sets: Sets = None
) -> None:
    """Say what was found, in words, as states of components, or both. With states its cycles are training data.

    Example: `hydrodask incidents found rig-1/*/unusual_cycles/2026-11-24T22:05:00Z pump=1 --note "seal worn"`
    """
    from hydrodask.learn.told import states_of

    named = states_of(states or ())
    _answer({"kind": "found", "incident": which, "text": note, "states": named}, by, profile, sets)


def mute(
    long: Long,
    rig: Annotated[str, typer.Option(help="Of this rig.", show_default=False, autocompletion=completion.rigs)] = "",
    sensor: Annotated[
        str, typer.Option(help="Of this sensor.", show_default=False, autocompletion=completion.sensors)
    ] = "",
    rule: Annotated[str, typer.Option(help="Of this rule.", show_default=False, autocompletion=completion.rules)] = "",
    note: Note = "",
    by: By = None,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Tell nobody of a rule, a sensor or a rig for a while. Incidents are still found, and shown as muted.

    Example: `hydrodask incidents mute --rig rig-1 --rule oil_warm --for 8h`
    """
    fields = {"kind": "mute", "rig": rig, "sensor": sensor, "rule": rule, "text": note}
    _answer(fields | {"for_s": seconds(long)}, by, profile, sets)


def maintenance(
    rig: Annotated[str, typer.Argument(help="The rig that is worked on.", autocompletion=completion.rigs)],
    long: Long,
    note: Note = "",
    by: By = None,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Put a rig into maintenance: nobody is told of it for a while, and it says so.

    Example: `hydrodask incidents maintenance rig-1 --for 4h --note "new pump"`
    """
    _answer({"kind": "maintenance", "rig": rig, "text": note, "for_s": seconds(long)}, by, profile, sets)


def _answer(fields: dict[str, object], by: str | None, profile: str | None, sets: list[str] | None) -> None:
    """Store an answer. Raises UsageError when there is no such incident."""
    effective = settings(profile, sets)
    documents = open_documents(effective)
    try:
        which = fields.get("incident")
        there = documents.find("incidents", {"_id": which}, limit=1) if which else []
        if which and not there:
            raise UsageError(f"there is no incident {which!r}; `hydrodask incidents --json` has their ids")
        if fields["kind"] in JUDGING:
            from hydrodask.learn import told  # half a second that others need not wait

            fields = told.about(fields, there[0])
        answer = Answer.made(fields, by=by or getpass.getuser(), now_us=clock.now_us())
        documents.write([answer.change()])
    finally:
        documents.close()
    of = answer.incident or ", ".join(filter(None, (answer.rig, answer.sensor, words(answer.rule))))
    zone = Zone(effective.observe.timezone)
    until = f" until {moment(answer.until, zone)} {zone.label(parse_iso(answer.until))}" if answer.until else ""
    learned = f"; for training: {answer.rig} {told.words(answer.states)}" if answer.states else ""
    said = f"{answer.kind.replace('_', ' ')} of {of}{until}, by {answer.by}{learned}"
    console.print(escape(said), highlight=False, soft_wrap=True)
