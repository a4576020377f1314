"""`hydrodask incidents ack|note|found|mute …`: what people say to incidents, kept with who and when."""

from typing import Annotated

import typer
from rich.markup import escape

from hydrodask import clock
from hydrodask.answers import JUDGING, UNTIL_S_MAX, Answer
from hydrodask.cli import completion, naming
from hydrodask.cli.answered import answers, check_ends, ending, scope, until
from hydrodask.cli.common import Profile, Sets, console, errors, seconds, settings
from hydrodask.clock import Zone
from hydrodask.errors import UsageError
from hydrodask.settings import Settings
from hydrodask.store.documents import open_documents

Which = Annotated[
    str,
    typer.Argument(metavar="ID", help="Of an incident, as `hydrodask incidents` shows it, or the beginning of one."),
]
Text = Annotated[str, typer.Argument(help="What to say.")]
Note = Annotated[str, typer.Option("--note", help="Why, in words.")]
States = Annotated[
    list[str] | None, typer.Argument(help="States of components, for example valve=80.", show_default=False)
]
By = Annotated[str | None, typer.Option("--by", help="Who answers; else the user of this machine.", show_default=False)]
Long = Annotated[str, typer.Option("--for", help="How long, for example 30m or 8h; 0 ends it now.")]

_TEACH = "that names no state of a component, as `hydrodask incidents found ID valve=100` does"


def add_to(group: typer.Typer) -> None:
    """Add the commands."""
    for command in (ack, unack, note, cause, right, false_alarm, found, mute, maintenance, answers):
        group.command(name=command.__name__.replace("_", "-"))(command)


def ack(which: Which, note: Note = "", by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Acknowledge an incident, and with it its episode: somebody looks after it, and nobody is told again.

    Example: `hydrodask incidents ack 2c386b41 --note "Anna is on her way"`
    """
    _answer({"kind": "ack", "incident": which, "text": note}, by, profile, sets)


def unack(which: Which, note: Note = "", by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Take an acknowledgement back.

    Example: `hydrodask incidents unack 2c386b41`
    """
    _answer({"kind": "unack", "incident": which, "text": note}, by, profile, sets)


def note(which: Which, text: Text, by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Add a note to an incident.

    Example: `hydrodask incidents note 2c386b41 "fan replaced"`
    """
    _answer({"kind": "note", "incident": which, "text": text}, by, profile, sets)


def cause(which: Which, text: Text, by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Say what the cause of an incident was; the newest counts.

    Example: `hydrodask incidents cause 2c386b41 "cooler fan"`
    """
    _answer({"kind": "cause", "incident": which, "text": text}, by, profile, sets)


def right(which: Which, note: Note = "", by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Say that an incident was one. Of a component, its cycles are training data from then on.

    Example: `hydrodask incidents right 2c386b41`
    """
    _answer({"kind": "right", "incident": which, "text": note}, by, profile, sets)


def false_alarm(which: Which, note: Note = "", by: By = None, profile: Profile = None, sets: Sets = None) -> None:
    """Say that nothing was wrong. Of a component, its cycles are training data: it was as it should be.

    Example: `hydrodask incidents false-alarm 2c386b41 --note "new oil"`
    """
    _answer({"kind": "false_alarm", "incident": which, "text": note}, by, profile, sets)


def found(
    which: Which, states: States = None, note: Note = "", by: By = None, profile: Profile = None, sets: Sets = None
) -> None:
    """Say what was found, in words, as states of components, or both. With states its cycles are training data.

    Example: `hydrodask incidents found 2c386b41 pump=1 --note "seal worn"`
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
    force: naming.Force = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Tell nobody of a rule, a sensor or a rig for a while. Incidents are still found, and shown as muted.

    `--for 0` ends it now; `hydrodask incidents answers --holding` shows what holds. A rig, sensor or rule of which
    nothing is known is refused: `--force` takes it, as of a rig that will send its first record tomorrow.

    Example: `hydrodask incidents mute --rig rig-1 --rule oil_warm --for 8h`
    """
    if not (rig or sensor or rule):
        raise UsageError("nothing says what is muted; want --rig, --sensor, --rule, or some of them")
    fields = {"kind": "mute", "rig": rig, "sensor": sensor, "rule": rule, "text": note}
    _quiet(fields, long, {}, by, force=force, effective=settings(profile, sets))


def maintenance(
    rig: Annotated[str, typer.Argument(help="The rig that is worked on.", autocompletion=completion.rigs)],
    long: Long,
    note: Note = "",
    by: By = None,
    force: naming.Force = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Put a rig into maintenance: nobody is told of it for a while, and it says so. `--for 0` ends it now.

    A rig of which nothing is known is refused; `--force` takes it.

    Example: `hydrodask incidents maintenance rig-1 --for 4h --note "new pump"`
    """
    if not rig:
        raise UsageError("nothing says which rig is worked on; want its name")
    fields = {"kind": "maintenance", "rig": rig, "text": note}
    _quiet(fields, long, {"rig": "RIG"}, by, force=force, effective=settings(profile, sets))


def _quiet(
    fields: dict[str, str], long: str, option: dict[str, str], by: str | None, *, force: bool, effective: Settings
) -> None:
    """Store a mute or maintenance, or its end. Raises UsageError for what there is not, or holds not."""
    for_s = seconds(long) or 0.0
    if for_s > UNTIL_S_MAX:
        raise UsageError(f"--for has value {long!r}; want at most {UNTIL_S_MAX // 86_400} days")
    documents = open_documents(effective)
    try:
        with naming.as_typed(text="--note", **option):
            answer = Answer.made(fields | {"for_s": for_s}, by=naming.who(by), now_us=clock.now_us())
        if not for_s:
            check_ends(answer, documents, clock.now_us())
        elif not force and (doubt := naming.check(effective, documents, fields, option)):
            errors.print(f"stored all the same: {doubt}", highlight=False, markup=False, soft_wrap=True)
        documents.write([answer.change()])
    finally:
        documents.close()
    zone = Zone(effective.observe.timezone)
    how = f" {until(answer, zone)}" if for_s else " is over"
    tail = f"; `{ending(answer)}` ends it" if for_s else ""
    _say(f"{answer.kind} of {scope(answer)}{how}, by {answer.by}{tail}")


def _answer(fields: dict[str, object], by: str | None, profile: str | None, sets: list[str] | None) -> None:
    """Store an answer to an incident. Raises UsageError when there is no such incident."""
    documents = open_documents(settings(profile, sets))
    try:
        incident = naming.the_incident(documents, str(fields["incident"]))
        fields = fields | {"incident": incident["_id"]}
        if fields["kind"] in JUDGING:
            from hydrodask.learn import told  # half a second that others need not wait

            fields = told.about(fields, incident)
        if fields["kind"] == "found" and not fields["text"]:
            raise UsageError("nothing says what was found; want states such as pump=1, or --note, or both")
        with naming.as_typed(text="TEXT" if fields["kind"] in ("note", "cause") else "--note"):
            answer = Answer.made(fields, by=naming.who(by), now_us=clock.now_us())
        documents.write([answer.change()])
    finally:
        documents.close()
    learned = f"; for training: {answer.rig} {told.words(answer.states)}" if answer.states else ""
    if answer.kind in JUDGING and not answer.states:
        learned = f"; training learns nothing of it: {_TEACH}"
    _say(f"{answer.kind.replace('_', ' ')} of {answer.incident}, by {answer.by}{learned}")


def _say(text: str) -> None:
    console.print(escape(text), highlight=False, soft_wrap=True)
