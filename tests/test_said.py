"""What comes in and can't be right is said: column numbers, other units, dead letters by reason, unread topics."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hydrodask import kafka
from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.clock import parse_iso
from hydrodask.ingest.encode import encode
from hydrodask.ingest.recording import Recording
from hydrodask.learn.data.archive import Archive, Place, import_archive
from hydrodask.nodes.reasons import KINDS_MAX, OTHERS, Reasons
from hydrodask.observe.example import ExampleDocuments, example_overview, example_scene
from hydrodask.observe.figures import Figures
from hydrodask.observe.lines import Lines
from hydrodask.observe.screen import picture
from hydrodask.observe.status import status_document
from hydrodask.records import Messages
from hydrodask.settings import Settings
from hydrodask.settings.model import Kafka, Source, Window
from hydrodask.store.lake import Lake
from hydrodask.store.profiles import read_labels, read_matrix
from hydrodask.testing import messages_of
from tests.learned import write_archive, write_text
from tests.running import Life, run_to_idle

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
START_US = parse_iso("2026-01-01T00:00:00Z")
STAMP_MS = 1_900_000_000_000


# A header of column numbers -----------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 2, 3], ids=["first", "between", "last"])
@pytest.mark.parametrize("form", ["{:d}", "{:.1f}", "{:.6e}"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_header_of_column_numbers_is_no_cycle(tmp_path: Path, first: int, form: str, place: int) -> None:
    """Tables saved with one, or put together, in some files or all: the cycles are the other rows, in every reader."""
    folder = write_archive(tmp_path / "archive")
    plain = Recording(folder, start_us=START_US).chunk(0)[0].value.tolist()
    for name in ("PS1", "CE", "profile"):
        lines = (folder / f"{name}.txt").read_text().splitlines()
        columns = (
            number if form == "{:d}" else float(number) for number in range(first, first + len(lines[0].split()))
        )
        lines.insert(place, "\t".join(map(form.format, columns)))
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")

    recording = Recording(folder, start_us=START_US)
    recording.check()

    assert (recording.cycles, recording.chunk(0)[0].value.tolist()) == (3, plain)
    assert recording.labels(0)[0].cooler == 100
    assert [len(read_matrix(folder / f"{name}.txt")[1]) for name in ("PS1", "CE", "TS1")] == [3, 3, 3]
    assert read_labels(folder / "profile.txt")[1][0].tolist() == [100, 90, 1, 115, 0]
    assert len(Archive(folder)) == 3


# Values in another unit ---------------------------------------------------------------------------

OTHER_UNITS = {
    "CE as a fraction": ("CE", 0.01, 0.0),
    "PS1 in psi": ("PS1", 14.5038, 0.0),
    "PS5 in kPa": ("PS5", 100.0, 0.0),
    "TS1 in °F": ("TS1", 1.8, 32.0),
    "TS4 in °F": ("TS4", 1.8, 32.0),
    "TS2 in K": ("TS2", 1.0, 273.15),
    "EPS1 in kW": ("EPS1", 0.001, 0.0),
    "CP in W": ("CP", 1000.0, 0.0),
    "SE as a fraction": ("SE", 0.01, 0.0),
    "PS2 in MPa": ("PS2", 0.1, 0.0),
    "PS3 in MPa": ("PS3", 0.1, 0.0),
    "FS1 in l/s": ("FS1", 1 / 60, 0.0),
}
"""Case → sensor, factor, offset."""


def minutes(sensor: str, factor: float = 1.0, offset: float = 0.0, *, rig: str = "rig-1", first: int = 0) -> Messages:
    """Return four minutes of a sensor, one sample a second, from the lowest to the highest of the table and back."""
    channel = CHANNELS[sensor]
    values = []
    for second in range(240):
        value = (channel.low + (channel.high - channel.low) * abs(second % 60 - 30) / 30) * factor + offset
        values.append(
            f'{{"sensor": "{sensor}", "cycle": {second // 60}, "sample_idx": {second % 60}, "value": {value!r}, '
            f'"timestamp": "2026-01-01T00:0{second // 60}:{second % 60:02d}", "sampling_rate_hz": 1, "rig": "{rig}"}}'
        )
    return messages_of([v.encode() for v in values], topic=f"hydraulic-{sensor}", first=first, stamp_ms=STAMP_MS)


def notes_about_range(life: Life) -> list[str]:
    """Return the notes that speak of it."""
    return [note for note in life.partition.ctx.notes if "far outside" in note]


@pytest.mark.parametrize("case", OTHER_UNITS)
def test_another_unit_is_said_once_of_a_sensor(case: str) -> None:
    """With the rig, what came and what the table has; a second rig does not repeat it."""
    sensor, factor, offset = OTHER_UNITS[case]
    life = Life(Settings(), topic=f"hydraulic-{sensor}")
    life.feed(minutes(sensor, factor, offset, rig="bench-2"))
    life.feed(minutes(sensor, factor, offset, rig="bench-3", first=240))

    (note,) = notes_about_range(life)
    assert note.startswith(f"bench-2: {sensor} from ")
    assert f"{CHANNELS[sensor].low:g} to {CHANNELS[sensor].high:g} {CHANNELS[sensor].unit}" in note


@pytest.mark.parametrize("sensor", SENSORS)
def test_the_table_s_own_range_is_no_news(sensor: str) -> None:
    """From the lowest to the highest value that a rig has shown, nothing is said."""
    life = Life(Settings(), topic=f"hydraulic-{sensor}")
    life.feed(minutes(sensor))

    assert notes_about_range(life) == []


@pytest.mark.parametrize("sensor", ["PS2", "PS3", "PS4", "FS1", "SE"])
@pytest.mark.parametrize("share", [0.0, 0.0005], ids=["zero", "noise"])
def test_a_rig_that_stands_still_is_no_news(sensor: str, share: float) -> None:
    """These sensors show 0 then, or noise, of which no unit can be told."""
    life = Life(Settings(), topic=f"hydraulic-{sensor}")
    life.feed(minutes(sensor, share))

    assert notes_about_range(life) == []


@pytest.mark.parametrize("folder", ["recording", "uci"])
def test_real_cycles_are_no_news(folder: str) -> None:
    """No sensor of the real recording and the archive is in doubt, as an import sees them."""
    if not (DATA / folder).is_dir() and os.environ.get("CI") != "true":
        pytest.skip(f"the real data is not in {DATA}")
    archive = Archive(DATA / folder)
    for sensor in ("PS2", "PS3", "PS4", "FS1", "SE", "TS1", "CE"):
        archive.values(sensor)

    assert archive.doubts() == []


def test_real_windows_are_no_news() -> None:
    """As a run sees them, from the first second on, also by windows that are shorter than a cycle."""
    if not DATA.is_dir() and os.environ.get("CI") != "true":
        pytest.skip(f"the real data is not in {DATA}")
    recording = Recording(DATA / "recording", start_us=START_US)
    for length in (60.0, 10.0):
        settings = Settings(window=Window(length=length, slide=5.0))
        for sensor in ("PS3", "PS4", "FS1", "SE"):
            life = Life(settings, topic=f"hydraulic-{sensor}")
            chunks = [one for second in range(300) for one in recording.chunk(second) if one.sensor == sensor]
            values = [line.encode() if isinstance(line, str) else line for chunk in chunks for line in encode(chunk)]
            life.feed(messages_of(values, topic=f"hydraulic-{sensor}", stamp_ms=STAMP_MS))

            assert notes_about_range(life) == []


def test_import_says_which_sensors_are_in_another_unit(tmp_path: Path) -> None:
    """A folder with CE as a fraction and TS1 in °F: a sentence for each, and it is imported all the same."""
    folder = write_archive(tmp_path / "archive")
    for name, factor, offset in (("CE", 0.01, 0.0), ("TS1", 1.8, 32.0)):
        write_text(folder / f"{name}.txt", np.loadtxt(folder / f"{name}.txt", ndmin=2) * factor + offset)

    done = import_archive(Archive(folder), Lake(str(tmp_path / "lake")), Place("rig-1", START_US))

    assert [doubt.split()[0] for doubt in done.doubts] == ["TS1", "CE"]
    assert done.files == 18


# Dead letters by reason ---------------------------------------------------------------------------

BAD = [
    *[b"no record"] * 3,
    *[minutes("FS1").values[0].replace(b"FS1", b"PS9")] * 2,  # type: ignore[union-attr]
    *[
        f'{{"sensor": "FS1", "cycle": 0, "sample_idx": {n}, "value": 1.0, "sampling_rate_hz": 10}}'.encode()
        for n in "45"
    ],
]


def letters(first: int = 0, values: list[bytes] = BAD) -> Messages:
    """Return records of FS1's topic that are none."""
    return messages_of(list(values), topic="hydraulic-FS1", first=first, stamp_ms=STAMP_MS)


def test_reasons_are_part_of_the_state(tmp_path: Path) -> None:
    """Counted once over batches, a snapshot, a crash and its replay."""
    life = Life(Settings(data_dir=tmp_path))
    life.feed(letters())
    life.commit()
    life.save()
    life.feed(letters(len(BAD), BAD[:1]))
    life.restart()
    life.feed(letters(len(BAD), BAD[:1]))
    whole = Life(Settings(data_dir=tmp_path))
    whole.feed(letters(0, [*BAD, BAD[0]]))

    counts = life.partition.report(0).reasons
    assert sorted(counts.values()) == [2, 2, 4]
    assert any("unknown sensor 'PS9'" in reason for reason in counts)
    assert counts == whole.partition.report(0).reasons
    assert sum(counts.values()) == life.partition.ctx.totals["dead"]


def test_reasons_have_a_limit() -> None:
    """Whoever invents reasons fills one entry; those that differ in numbers and names only are one anyway."""
    reasons = Reasons()
    reasons.add(f"rig {'x' * n} is odd" for n in range(500))
    reasons.add(f"timestamp is {n}.5 s ahead" for n in range(9))

    assert len(reasons.counts) == KINDS_MAX + 1
    assert reasons.counts[OTHERS] == 509 - KINDS_MAX
    again = Reasons()
    again.restore(reasons.counts)
    again.add(["rig xx is odd"])
    assert again.counts["rig xx is odd"] == 2


def test_views_show_the_three_commonest_reasons() -> None:
    """Live view, lines and status document, over all partitions."""
    overview = example_overview()
    for place, (_, part) in enumerate(sorted(overview.partitions.items())):
        part.reasons = {
            f"timestamp is {place}.1 s ahead": 5,
            "not JSON": 2,
            "unknown sensor 'A'": 1,
            "too large": place % 2,
        }
    count = len(overview.partitions)
    said = f"{5 * count} × timestamp is 0.1 s ahead; {2 * count} × not JSON; {count} × unknown sensor 'A'"
    written: list[str] = []
    lines = Lines(lambda: overview, ExampleDocuments(), Settings(), write=written.append)
    lines.tick()
    lines.tick()
    scene = replace(example_scene(), figures=Figures(overview))

    assert [line for line in written if line.startswith("dead")] == [f"dead letters: {said}"]
    assert any(said in "".join(text for text, _ in row) for row in picture(scene, 160, 40))
    assert [one["count"] for one in status_document(overview)["dead_reasons"]] == [5 * count, 2 * count, count]


def test_a_topic_that_nobody_reads_and_dead_letters_are_named_on_an_embedded_broker(tmp_path: Path) -> None:
    """A producer's misspelt topic is a note of the run, with the one that it may mean; reasons are in the overview."""
    settings = Settings(
        data_dir=tmp_path,
        kafka=Kafka(discover_every=0.2),
        source=Source(kind="none"),
        observe=Settings().observe.model_copy(update={"metrics": "127.0.0.1:0"}),
        cluster=Settings().cluster.model_copy(update={"dashboard": "127.0.0.1:0"}),
    )

    def publish(broker: Kafka) -> None:
        producer = kafka.producer(broker)
        producer.produce("hydraulic-PS01", b"{}")
        producer.produce("hydraulic-FS1", b"no record")
        producer.flush(10)

    overview = run_to_idle(settings, publish)

    assert [n[9:] for n in overview.notes if "nobody" in n] == [
        "nobody reads topic hydraulic-PS01; did you mean hydraulic-PS1?"
    ]
    assert list(overview.partitions["hydraulic-FS1", 0].reasons.values()) == [1]
