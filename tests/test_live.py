"""The live view and the plain lines: what they show, at which size, and what is news."""

import io
import logging
import os
import select
import shutil
import subprocess
import sys
import termios
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hydrodask.clock import Zone
from hydrodask.errors import UnreachableError
from hydrodask.observe.example import (
    LINKS,
    NOW_US,
    ExampleDocuments,
    example_overview,
    example_scene,
    incident,
)
from hydrodask.observe.figures import Figures, Newest
from hydrodask.observe.keyboard import Keyboard
from hydrodask.observe.lines import Lines
from hydrodask.observe.news import SEEN_MAX, DocumentWatch
from hydrodask.observe.screen import Scene, picture
from hydrodask.observe.styled import Row, fit, width_of
from hydrodask.observe.terminal import HeldLogs, LiveView, Trends
from hydrodask.reports import Component, FlowReport, Overview
from hydrodask.settings import Settings
from hydrodask.settings.model import Health, Observe
from tests.conftest import needs
from tests.delivery import ROOT, until


def text_of(rows: list[Row]) -> str:
    """Return rows as text."""
    return "\n".join("".join(text for text, _ in row) for row in rows)


def shown(width: int, height: int, scene: Scene) -> str:
    """Return the picture as text."""
    return text_of(picture(scene, width, height))


@given(
    width=st.integers(1, 220),
    height=st.integers(1, 70),
    rigs=st.integers(0, 30),
    trouble=st.booleans(),
    progress=st.none() | st.floats(0, 1),
)
def test_the_picture_fills_any_terminal_and_never_more(
    width: int, height: int, rigs: int, *, trouble: bool, progress: float | None
) -> None:
    """Each row is exactly as wide as the terminal, and there are no more rows than fit."""
    rigs = max(1, rigs)
    rows = picture(example_scene(rigs, trouble=trouble, progress=progress), width, height)

    assert len(rows) <= height
    assert {width_of(row) for row in rows} == {width}


def test_eighty_by_twenty_four_shows_all_that_matters() -> None:
    """The smallest usual terminal has all sensors, incidents, components and links."""
    text = shown(80, 24, example_scene())

    for part in ("728 rec/s", "lag 0", "watermark -10.4 s", "1 worker", "running"):
        assert part in text
    for part in ("CE ", "SE ", "open 00:02:30 critical", "(+1)", "cooler 3 %", "/hydro", "9464"):
        assert part in text


def test_warnings_outlive_everything_else() -> None:
    """On ten lines, partitions in trouble still show with what to do."""
    text = shown(80, 10, example_scene(trouble=True))

    assert "hydraulic-PS1/0 stalled: no record read" in text
    assert "hydraulic-PS2/0 waiting: the lake refuses" in text
    assert "open 00:02:30" in text


def test_what_the_models_say_is_beside_the_labels() -> None:
    """The state of each component with how sure the model is."""
    scene = example_scene()
    part = scene.figures.overview.partitions["hydraulic-labels", 0]
    part.components["rig-1", "cooler"] = Component(20, 0.974, 3, "2026-01-01T00:04:00Z")

    assert "rig-1 models cooler 20 (97%)" in shown(120, 40, scene)


def test_the_worst_rig_is_shown() -> None:
    """With several rigs the table is that of the one that is worst off."""
    scene = example_scene(3)
    scene.figures.overview.partitions["hydraulic-analytics", 0].health["rig-3", "PS2"] = 10.0

    assert "rig-3 (worst of 3)" in shown(100, 30, scene)
    assert "rigs ✗1 ·2 ·3" in shown(100, 30, scene)
    scene.figures = Figures(scene.figures.overview, rigs_max=2)
    assert "rig-1 (worst of 2 shown)" in shown(130, 30, scene)


def test_colours_of_health_change_where_the_settings_say() -> None:
    """80 is critical, as on the page and in Grafana; with limits of one's own it may be fine."""
    scene = example_scene()
    scene.figures.overview.partitions["hydraulic-analytics", 0].health["rig-1", "CE"] = 80.0

    def style() -> str:
        return next(style for row in picture(scene, 100, 30) for text, style in row if text.strip() == "80")

    before = style()
    scene.limits = Health(warning_below=50.0, critical_below=40.0)

    assert (before, style()) == ("red", "green")


def test_keys_choose_rig_tab_and_order() -> None:
    """`n` goes to the next rig, whose incidents alone show then; tab gives one list all the room."""
    scene = example_scene(12)
    for key in ("n", "\t", "s"):
        scene.choice.press(key, scene.figures.rigs, scene.rig)
    text = shown(100, 30, scene)

    assert "rig-2 (chosen of" in text
    assert "Incidents of rig-2, 1 open in all" in text
    assert "Components" not in text
    scene.choice.press("w", scene.figures.rigs, scene.rig)
    assert shown(100, 30, scene).index("CE ") < shown(100, 30, scene).index("PS1 ")
    scene.choice.press("?", [], None)
    assert "the worst rig again" in shown(100, 30, scene)


def test_equal_incidents_are_one_line_and_the_rest_is_counted() -> None:
    """By the grouping of the page and of messages; what has no room is a number."""
    scene = example_scene()
    many = [incident(f"rule-{i}", rig=f"rig-{i}") for i in range(9)]
    scene.watch.incidents = [*many, incident("again", rig="rig-1", severity="warning")]
    scene.watch.open = {("a", str(i), ""): one for i, one in enumerate(many)}
    scene.choice.press("\t", [], None)
    text = shown(100, 16, scene)

    assert "critical rig-1/CE" in text
    assert "rule-1 (+1): cooling" in text
    assert " more" in text


def test_a_mean_of_a_few_samples_is_none() -> None:
    """A window that is not half full shows no value: it would look like a fault."""
    scene = example_scene()
    [part] = [part for part in scene.figures.parts if part.topic == "hydraulic-CE"]
    part.readings[0] = replace(part.readings[0], count=29)

    assert "CE         - %" in shown(80, 24, scene)


def test_a_nonsense_zone_of_the_machine_shows_its_real_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the C library does not know is UTC, whatever its name says."""
    try:
        for name, offset in (("Nonsense/Zone", "UTC+00:00"), ("Europe/Berlin", "UTC+01:00")):
            monkeypatch.setenv("TZ", name)
            time.tzset()
            assert Zone("local").label(NOW_US) == offset
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_stalled_flow_is_a_warning() -> None:
    """A flow from outside that stands still is said where partitions in trouble are, with why."""
    scene = example_scene()
    scene.figures.overview.flows = (FlowReport("energy", "stalled", "no volts"), FlowReport("spikes", "running"))

    assert "⚠ flow energy stalled: no volts" in shown(80, 24, scene)
    assert "spikes" not in shown(80, 24, scene)


def test_another_day_than_the_header_s_is_said() -> None:
    """A fast run's incidents are of another day than its header."""
    scene = example_scene()
    assert "open 00:02:30" in shown(140, 40, scene)

    later = replace(scene, now_us=scene.now_us + 86_400_000_000)
    assert "open 2026-01-01 00:02:30" in shown(140, 40, later)


def test_before_anything_was_judged_there_is_no_health() -> None:
    """A health that has no value beside it is that of the beginning; a bad one is shown all the same."""
    scene = example_scene()
    for part in scene.figures.overview.partitions.values():
        part.readings = []
    rows = {line[:5].strip(): line[:40] for line in shown(80, 40, scene).splitlines()}

    assert "100" not in rows["PS1"]
    assert "70" in rows["CE"]


def test_times_are_in_the_zone_of_the_setting() -> None:
    """With the date, and the name of the zone."""
    scene = example_scene()
    scene.zone = Zone("Asia/Kolkata")

    assert "2026-01-01 05:35:00 IST" in shown(80, 24, scene)
    assert "open 05:32:30" in shown(80, 24, scene)


def test_the_last_picture_says_how_it_ended_and_what_is_next(documents: ExampleDocuments) -> None:
    """Nothing answers at the links any more; the store does."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=30)
    steps = {"what was found": "hydrodask incidents"}
    with LiveView(example_overview, documents, Settings(), LINKS, console=console, next_steps=steps) as view:
        view.press("?")
    text = text_of(view.rows(120, 30))

    assert "hydrodask stopped" in text
    assert "what was found hydrodask incidents" in text
    assert "8787" not in text


PRESSED = """
import fcntl, termios, threading
from hydrodask.observe.keyboard import Keyboard
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
with Keyboard() as keyboard:
    for _ in range(3):
        print("ready", flush=True)
        print(repr(keyboard.wait(60.0, threading.Event())), bool(termios.tcgetattr(0)[3] & termios.ECHO), flush=True)
print(bool(termios.tcgetattr(0)[3] & termios.ECHO), flush=True)
"""


def test_keys_come_from_a_terminal_without_echo() -> None:
    """One at a time, arrows too; afterwards the terminal is as it was."""
    ours, theirs = os.openpty()
    said = []
    with subprocess.Popen(
        [sys.executable, "-c", PRESSED], stdin=theirs, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        for key in (b"n", b"\x1b[C", b"?"):
            assert process.stdout.readline() == "ready\n"
            os.write(ours, key)
            said.append(process.stdout.readline().strip())
        said.append(process.stdout.readline().strip())
    os.close(ours)
    os.close(theirs)

    assert said == ["'n' False", "'\\x1b[C' False", "'?' False", "True"]


SHOWN = """
import threading
from hydrodask.observe.keyboard import Keyboard
with Keyboard() as keyboard:
    while keyboard.wait(0.1, threading.Event()) != "q":
        pass
"""


SHELL = """
import fcntl, os, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
"""
"""A shell of its own at a terminal. Not by `pty.fork`: a thread of ours may hold what the child then waits for."""


@pytest.mark.parametrize("back", [b"fg\n", b"bg\nfg\n"])
def test_keys_do_not_echo_after_the_shell_has_brought_the_run_back(tmp_path: Path, back: bytes) -> None:
    """Ctrl-Z, then `fg`: the shell has set its own mode meanwhile, and after `bg` there is no signal."""
    needs(there=shutil.which("bash") is not None, what="there is no bash on the PATH")
    (tmp_path / "shown.py").write_text(SHOWN)
    ours, theirs = os.openpty()
    shown = bytearray()

    def echoes() -> bool:
        if select.select([ours], [], [], 0)[0]:
            shown.extend(os.read(ours, 65_536))  # or it fills up
        return bool(termios.tcgetattr(ours)[3] & termios.ECHO)

    def sees(*, echo: bool, what: str) -> None:
        try:
            until(lambda: echoes() is echo, what, seconds=200)
        except BaseException as error:
            error.add_note(f"the terminal shows {bytes(shown)!r}")
            shell.kill()
            raise

    with subprocess.Popen(
        [sys.executable, "-c", SHELL], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, start_new_session=True
    ) as shell:
        os.write(ours, f"{sys.executable} {tmp_path}/shown.py\n".encode())
        sees(echo=False, what="keys come one at a time")
        os.write(ours, b"\x1a")
        sees(echo=True, what="the terminal is the shell's")
        os.write(ours, back)
        sees(echo=False, what="keys come one at a time again")
        os.write(ours, b"q")
        sees(echo=True, what="the terminal is as it was")
        os.write(ours, b"exit\n")
        assert shell.wait(240) == 0
    os.close(ours)
    os.close(theirs)


BEHIND = """
import fcntl, os, signal, termios
from hydrodask.observe.keyboard import Keyboard
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
there, go = os.pipe(), os.pipe()
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpgrp())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    with Keyboard():
        os.write(there[1], b"x")
        os.read(go[0], 1)
    os._exit(7)
os.read(there[0], 1)
os.tcsetpgrp(0, os.getpgrp())
now = termios.tcgetattr(0)
os.write(go[1], b"x")
_, status = os.waitpid(job, os.WUNTRACED)
print(os.WIFSTOPPED(status), os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else "stopped")
print(termios.tcgetattr(0) == now)
if os.WIFSTOPPED(status):
    os.kill(job, signal.SIGKILL)
"""


def test_a_run_in_the_background_ends_and_leaves_the_terminal_alone() -> None:
    """After Ctrl-Z and `bg` the terminal is the shell's: to set it from there would stop the run at its end."""
    ours, theirs = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", BEHIND],
        stdin=theirs,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=240,
        check=False,
    )
    os.close(ours)
    os.close(theirs)

    assert (done.stdout.split(), done.stderr) == (["False", "7", "True"], "")


def test_without_a_terminal_there_are_no_keys() -> None:
    """Waiting is all that is left, and ends with the view."""
    stop = threading.Event()
    stop.set()
    with Keyboard(io.StringIO()) as keyboard:
        assert keyboard.wait(60.0, stop) == ""


def test_before_there_are_figures_the_picture_says_what_workers_do() -> None:
    """Not that it runs: that kernels are compiled, and how many; then that partitions are opened."""
    scene = example_scene()
    scene.figures = Figures(Overview("r", NOW_US, "running", {"tcp://1": 0}))
    scene.kernels = 21, 42

    first = shown(80, 24, scene)
    scene.figures = Figures(Overview("r", NOW_US, "running", {"tcp://1": 0}, steps=1))
    then = shown(80, 24, scene)

    assert "● hydrodask starting" in first
    assert "━━ 1 worker, compiling kernels (21 of 42)" in first
    assert "1 worker, opening partitions" in then
    assert "rec/s" not in first + then


def test_progress_shows_only_for_a_source_that_ends() -> None:
    """An endless source has no bar."""
    assert "63% of the source" in shown(80, 24, example_scene(progress=0.63))
    assert "of the source" not in shown(80, 24, example_scene())


def test_names_from_outside_cannot_steer_the_terminal() -> None:
    """Escape sequences in a message are shown as question marks."""
    scene = example_scene()
    scene.watch.incidents = []
    scene.watch.open = {("a", "b", "c"): incident("x", rig="\x1b[2J", message="\x1b]0;t\x07\n")}

    text = shown(120, 40, scene)

    assert "\x1b" not in text
    assert "?[2J" in text


@given(st.lists(st.tuples(st.text(), st.just("")), max_size=4), st.integers(0, 40))
def test_a_fitted_row_has_the_width(row: Row, width: int) -> None:
    """Whatever the characters, cutting and padding give the exact width."""
    clean = [("".join(c for c in text if c.isprintable()), style) for text, style in row]

    assert width_of(fit(clean, width)) == width


def test_trends_take_one_value_a_window() -> None:
    """The same window twice is one point; a rig that is gone is forgotten."""
    overviews = [example_overview(2)]
    trends, newest = Trends(), Newest(lambda: overviews[0], "hydraulic-", 20)
    trends.add(newest)
    trends.add(newest)
    assert len(trends.values["rig-2", "CE"]) == 1

    overviews[0] = example_overview(1)
    trends.add(newest)
    assert ("rig-2", "CE") not in trends.values


@pytest.fixture
def documents() -> ExampleDocuments:
    """Give documents with one open and one resolved incident."""
    return ExampleDocuments()


def test_the_view_draws_and_leaves_the_last_picture(documents: ExampleDocuments) -> None:
    """After the block the last state is on the normal screen, links included."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=30)
    with LiveView(example_overview, documents, Settings(), LINKS, console=console) as view:
        view.refresh()

    before, _, after = out.getvalue().rpartition("\x1b[?1049l")
    assert "hydrodask" in before
    assert "http://127.0.0.1:8787/hydro" in before
    assert "stopped" in after


def test_a_terminal_without_unicode_gets_ascii(documents: ExampleDocuments) -> None:
    """Nothing but ASCII is written where the encoding has no more."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(file=out, force_terminal=True, width=100, height=30)
    with LiveView(example_overview, documents, Settings(), LINKS, console=console):
        pass
    out.flush()

    assert b"hydrodask" in raw.getvalue()


def test_log_messages_wait_until_the_view_closes(capsys: pytest.CaptureFixture[str]) -> None:
    """They show in the view, and on stderr afterwards."""
    root = logging.getLogger()
    handler = logging.StreamHandler()
    root.addHandler(handler)
    held = HeldLogs()
    try:
        held.hold()
        logging.getLogger("x").warning("disk is nearly full")
        assert capsys.readouterr().err == ""
        assert list(held.texts) == ["disk is nearly full"]
        held.let_go()
        assert capsys.readouterr().err == "disk is nearly full\n"
    finally:
        root.removeHandler(handler)


def test_what_was_there_before_is_no_news(documents: ExampleDocuments) -> None:
    """Only an open incident is told at the start, resolved ones of earlier runs are not."""
    watch = DocumentWatch(documents)

    assert [news.kind for news in watch.poll()] == ["opened"]
    assert watch.poll() == []
    assert watch.open_count == "1"


def test_an_incident_that_resolves_is_told_once(documents: ExampleDocuments) -> None:
    """It goes from the open ones, with one line."""
    watch = DocumentWatch(documents)
    watch.poll()
    documents.collections["incidents"] = [incident("cooler_failing", resolved=True)]

    news = watch.poll()

    assert "\n".join(one.said(Zone("Asia/Kolkata")) for one in news) == (
        "incident resolved at 2026-01-01 05:34:00 IST: critical rig-1/CE cooler_failing: "
        "cooling efficiency 21.3 %, below 23.5 %: the cooler is failing"
    )
    assert watch.poll() == []
    assert watch.open_count == "0"


def test_an_incident_between_two_polls_is_told(documents: ExampleDocuments) -> None:
    """One that opened and resolved since the last look still shows."""
    watch = DocumentWatch(documents)
    watch.poll()
    late = incident("stuck", resolved=True, opened_at="2026-01-01T00:03:00Z")
    documents.collections["incidents"].append(late)

    assert [(n.kind, n.incident["rule"]) for n in watch.poll()] == [("resolved", "stuck")]


def test_a_provisional_incident_that_came_to_nothing_is_withdrawn(
    documents: ExampleDocuments,
) -> None:
    """It was told, so that it is gone is told too."""
    documents.collections["incidents"] = [incident("stuck", provisional=True)]
    watch = DocumentWatch(documents)
    assert watch.poll()[0].said(Zone("UTC")).endswith("(provisional)")
    documents.collections["incidents"] = []

    assert [news.kind for news in watch.poll()] == ["withdrawn"]


def test_a_real_incident_in_place_of_a_provisional_one_is_no_news(
    documents: ExampleDocuments,
) -> None:
    """Only its id differs."""
    documents.collections["incidents"] = [incident("stuck", provisional=True)]
    watch = DocumentWatch(documents)
    watch.poll()
    documents.collections["incidents"] = [incident("stuck", opened_at="2026-01-01T00:02:40Z")]

    assert watch.poll() == []


def test_many_open_incidents_are_not_told_again(documents: ExampleDocuments) -> None:
    """More than are followed: the old ones that fall off the list are still open."""
    at = [f"2026-01-01T00:{i // 60:02d}:{i % 60:02d}Z" for i in range(250)]
    every = [incident(f"rule-{i}", opened_at=at[i]) for i in range(250)]
    documents.collections["incidents"] = every[:100]
    watch = DocumentWatch(documents)
    assert len(watch.poll()) == 100
    documents.collections["incidents"] = every

    assert {news.kind for news in watch.poll()} == {"opened"}
    assert watch.open_count == "100+"


def test_what_is_remembered_has_a_limit(documents: ExampleDocuments) -> None:
    """Ids of resolved incidents do not pile up."""
    watch = DocumentWatch(documents)
    watch.poll()
    for number in range(SEEN_MAX + 50):
        documents.collections["incidents"] = [incident(f"rule-{number}", resolved=True)]
        watch.poll()

    assert len(watch._told) == SEEN_MAX


def test_documents_that_do_not_answer_leave_what_was_known(
    documents: ExampleDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view goes on and says so."""
    watch = DocumentWatch(documents)
    watch.poll()

    def refuse(*_: object, **__: object) -> list[dict[str, object]]:
        raise UnreachableError("could not read incidents")

    monkeypatch.setattr(documents, "find", refuse)

    assert watch.poll() == []
    assert watch.trouble == "could not read incidents"
    assert watch.open_count == "1"


@pytest.fixture
def written() -> list[str]:
    """Give what takes lines."""
    return []


@pytest.fixture
def lines(documents: ExampleDocuments, written: list[str]) -> Lines:
    """Give lines that nobody has started."""
    troubled = [example_overview(trouble=True)]
    return Lines(lambda: troubled[0], documents, Settings(), write=written.append, now_us=lambda: NOW_US)


def test_lines_say_how_things_are_every_five_polls(lines: Lines, written: list[str]) -> None:
    """Incidents, trouble and notes at once, figures every fifth time."""
    for _ in range(6):
        lines.tick()

    assert written[0].startswith("incident opened at 2026-01-01 00:02:30 UTC: critical rig-1/CE")
    assert written[1].startswith("hydraulic-PS1/0 stalled: no record read")
    assert written[2].startswith("hydraulic-PS2/0 waiting: the lake refuses")
    assert written[3] == (
        "running: 218,400 records, 728/s, lag 5,000 (0.0 s), watermark -10.4 s, late 3, dead 48, "
        "1 open incidents, 1 workers"
    )
    assert written[4] == "00:04:10 found 21 partitions"
    assert written[5:] == written[3:4]


def test_lines_have_times_in_the_zone_that_is_shown(documents: ExampleDocuments, written: list[str]) -> None:
    """As all that a terminal shows."""
    settings = Settings(observe=Observe(timezone="Asia/Kolkata"))
    Lines(example_overview, documents, settings, write=written.append, now_us=lambda: NOW_US).tick()

    assert written[0].startswith("incident opened at 2026-01-01 05:32:30 IST: critical rig-1/CE")


def test_a_reader_who_went_away_ends_the_lines_only(documents: ExampleDocuments) -> None:
    """A broken pipe is no error of the run."""

    def broken(_: str) -> None:
        raise BrokenPipeError

    with Lines(example_overview, documents, Settings(), write=broken) as lines:
        lines.thread.join(60)

        assert not lines.thread.is_alive()
        assert lines.thread.trouble == "has ended: BrokenPipeError"
