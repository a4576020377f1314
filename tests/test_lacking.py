"""What cycle profiles lack, and windows that are too full: counted by rig, shown, and said once of each rig."""

import json
from collections.abc import Iterator, Sequence

import pytest

from hydrodask.audit.derived import check_computed
from hydrodask.audit.finding import Results
from hydrodask.audit.ledger import Ledger
from hydrodask.audit.links import inspect
from hydrodask.audit.part import Part
from hydrodask.audit.snapshots import load_snapshots
from hydrodask.cli.status import _facts
from hydrodask.clock import iso, parse_iso
from hydrodask.nodes.noticing import STRAYS, SURPLUS, UNPROFILED_MIN
from hydrodask.observe.example import example_overview
from hydrodask.observe.figures import Figures
from hydrodask.observe.series import every_series
from hydrodask.observe.status import status_document
from hydrodask.protocol import snapshot
from hydrodask.records import Messages
from hydrodask.reports import PartitionReport
from hydrodask.settings import Settings
from hydrodask.store.listing import named
from hydrodask.testing import messages_of
from hydrodask.window.cycles import LATER
from tests.running import Life

SETTINGS = Settings()
T0_US = parse_iso("2026-01-01T00:00:00Z")
STAMP_MS = 1_767_232_800_000
SOURCE = ("hydraulic-TS1", 0)

Row = tuple[float, str, bytes]


def sample(rig: str, at_s: float, cycle: int, index: int, rate_hz: float = 1) -> Row:
    """Return a sample of TS1 with its time, in seconds from the beginning."""
    fields = {"sensor": "TS1", "cycle": cycle, "sample_idx": index, "value": 40.0, "sampling_rate_hz": rate_hz}
    fields |= {"timestamp": iso(T0_US + round(at_s * 1e6)), "rig": rig}
    return at_s, rig, json.dumps(fields).encode()


def cycles(
    rig: str, length_s: int, until_s: int, *, first: int = 0, begin_s: float = 0, reset: bool = True
) -> list[Row]:
    """Return the samples of a rig whose cycles take so long: from `first` on, and from 0 again unless not `reset`."""
    whole = (divmod(second, length_s) for second in range(until_s))
    return [sample(rig, begin_s + n * length_s + i, n, first + (i if reset else n * length_s + i)) for n, i in whole]


def log_of(*rigs: Sequence[Row]) -> Messages:
    """Return the samples of all rigs in the order of their times."""
    rows = sorted((row for rig in rigs for row in rig), key=lambda row: row[:2])
    return messages_of([value for *_, value in rows], topic=SOURCE[0], stamp_ms=STAMP_MS)


def lived(*rigs: Sequence[Row], settings: Settings = SETTINGS) -> tuple[Life, PartitionReport, list[str]]:
    """Return a partition that has taken them in two batches, its report, and what it has said."""
    life, log = Life(settings, topic=SOURCE[0]), log_of(*rigs)
    for which in (slice(0, len(log) // 2), slice(len(log) // 2, None)):
        life.feed(log.take(which))
    notes = [*life.partition.ctx.notes]
    return life, life.partition.report(len(log)), notes


def complete(life: Life, rig: str) -> list[bool]:
    """Return which of a rig's profiles say that they are complete, in order."""
    life.end()
    return [row["complete"] for row in life.table("cycles").to_pylist() if row["rig"] == rig]


@pytest.mark.parametrize(
    ("odd", "lacks", "says", "whole"),
    [
        # The first cycle of 120 s is published with its second 59, before anything tells that it goes on.
        (cycles("odd", 120, 600), (300, 0), "not below 60 s times their rate", [True, False, False, False, False]),
        (cycles("odd", 20, 400), (0, 720), "the next cycle had begun: a cycle takes 60 s", [False] * 18),
        (cycles("odd", 60, 6000, first=1), (100, 0), "begins at 0 in each cycle", [False] * 99),
        (cycles("odd", 60, 600, reset=False), (540, 0), "begins at 0 in each cycle", [True]),
        ([sample("odd", 60 * (i // 60), i // 60, i % 60) for i in range(600)], (300, 0), "of its own", [False] * 8),
    ],
    ids=["cycles of 120 s", "cycles of 20 s", "sample_idx from 1", "sample_idx goes on", "one time a cycle"],
)
def test_what_profiles_lack_is_said_of_the_rig(
    odd: list[Row], lacks: tuple[int, int], says: str, whole: list[bool]
) -> None:
    """One rig of two has other cycles: counted by rig, said once with its name, and of the other one nothing."""
    life, report, notes = lived(cycles("good", 60, 600), odd)

    assert report.per_rig["good"] == {"kept": 600, "late": 0, "dead": 0}
    assert (report.per_rig["odd"]["unprofiled"], report.per_rig["odd"]["short"]) == lacks
    assert (report.totals["unprofiled"], report.totals["short"]) == lacks
    assert len(notes) == 1
    assert notes[0].startswith("odd, TS1: ")
    assert says in notes[0]
    assert complete(life, "odd") == whole
    assert all(complete(life, "good"))


def test_cycles_of_another_length_are_nobody_elses() -> None:
    """The good rig's rows are bit for bit those that it has alone."""
    alone, beside = (
        lived(*rigs)[0] for rigs in ([cycles("good", 60, 600)], [cycles("good", 60, 600), cycles("odd", 20, 600)])
    )
    alone.end()
    beside.end()
    mine, its = (
        [{**row, "revision": 0} for row in life.table("cycles").to_pylist() if row["rig"] == "good"]
        for life in (alone, beside)
    )

    assert len(mine) == 10
    assert repr(mine) == repr(its)


def test_a_bounded_number_of_rigs_is_named() -> None:
    """At most `observe.rigs_max` in notes and reports: those that lack most; in the counts of all there are all."""
    settings = SETTINGS.model_copy(update={"observe": SETTINGS.observe.model_copy(update={"rigs_max": 2})})
    rigs = [cycles(f"r{k}", 120, 240 + 120 * k) for k in range(4)]
    _life, report, notes = lived(*rigs, settings=settings)

    assert [note.split(",")[0] for note in notes] == ["r0", "r1"]
    assert "no more rigs" in notes[-1]
    named = {rig: counts["unprofiled"] for rig, counts in report.per_rig.items() if "unprofiled" in counts}
    assert named == {"r2": 240, "r3": 300}
    assert report.totals["unprofiled"] == 120 + 180 + 240 + 300


def test_strays_are_not_said() -> None:
    """A producer that begins anew in the middle of a cycle, once, and a sample too many now and then."""
    again = [*cycles("a", 60, 30), *cycles("a", 60, 600, begin_s=30), sample("a", 200.5, 2, 60)]
    _life, report, notes = lived(again)

    assert not notes
    assert report.per_rig["a"]["short"] == 30 < UNPROFILED_MIN
    assert report.per_rig["a"]["unprofiled"] == 1


@pytest.mark.parametrize("begin_s", [0.0, 10.0, 25.0, 40.0])
def test_two_senders_of_one_name_are_said(begin_s: float) -> None:
    """Two rigs share a name: windows are too full, and nobody is told that the rig's cycles are short."""
    _life, report, notes = lived(cycles("twin", 60, 600), cycles("twin", 60, 540, begin_s=begin_s))

    assert any("do two senders have the same rig name" in note for note in notes)
    assert not any("had begun" in note for note in notes)
    assert report.per_rig["twin"].get("short", 0) == 0


def surplus(rate_hz: float, sent_hz: int, sensor: str = "TS1") -> list[str]:
    """Return what is said of two minutes of samples that come at another rate than they say."""
    count = 150 * sent_hz
    rows = [sample("r", i / sent_hz, int(i / sent_hz // 60), int(i % (60 * rate_hz)), rate_hz) for i in range(count)]
    return [note for note in lived(rows)[2] if "means" in note and sensor in note]


def test_windows_that_are_too_full_are_said_once() -> None:
    """Of a rig and sensor, with both figures and what to do; of its next windows nothing more."""
    notes = surplus(1, 2)

    assert len(notes) == 1
    assert "sends" in notes[0]
    assert "sampling_rate_hz of 1 means 60: is sampling_rate_hz too low, is each one sent twice" in notes[0]


def test_each_sample_sent_twice_is_said() -> None:
    """As a producer does that tries again without being idempotent."""
    rows = cycles("r", 60, 150)
    notes = lived(rows, rows)[2]

    assert len([note for note in notes if "means 60" in note]) == 1


def test_the_bound_of_too_full() -> None:
    """A fifth more, and more than three samples: jitter is nobody's fault."""
    assert (SURPLUS, STRAYS) == (1.2, 3)
    assert not surplus(10, 12)
    assert surplus(10, 13)
    slow = [sample("r", 20 * i, i // 3, i % 3, 0.05) for i in range(20)]
    more = [sample("r", 20 * i + 10, i // 3, i % 3, 0.05) for i in range(0, 20, 2)]
    assert not [note for note in lived(slow, more)[2] if "means" in note]  # 4 or 5 where 3 are due


def test_what_profiles_lack_is_shown() -> None:
    """A metric of each rig that has series, the status document, and a line of `hydrodask status` with what to do."""
    overview = example_overview(3)
    overview.partitions["hydraulic-PS1", 0].per_rig = {"rig-2": {"kept": 5, "unprofiled": 700, "short": 0}}
    overview.partitions["hydraulic-CE", 0].per_rig = {"rig-2": {"kept": 5, "unprofiled": 7, "short": 40}}
    found = {one.name: dict(one.values) for one in every_series(Figures(overview), 0, {})}
    document = status_document(overview, now_us=T0_US)

    assert found["hydrodask_rig_unprofiled"] == {("rig-1",): 0, ("rig-2",): 707, ("rig-3",): 0}
    assert found["hydrodask_rig_short_seconds"] == {("rig-1",): 0, ("rig-2",): 40, ("rig-3",): 0}
    assert next(iter(document["rigs"])) == "rig-2"
    line = _facts(document, "0")["cycles lack"]
    assert line == "rig-2 707 samples 40 s: sample_idx begins at 0 in each cycle of 60 s"


def part_of(life: Life) -> Part:
    """Return what an audit knows of a life's partition: its files and snapshots."""
    results = Results()
    part = Part(life.settings, SOURCE, life.lake, {})
    for folder in ("raw", "windows", "cycles", "late"):
        names = sorted(life.lake.files.names(folder), key=lambda path: path.rsplit("-", 1)[-1])
        files = [one for path in names if (one := named(path)) is not None]
        links = [inspect(life.lake, one, "TS1", results["files"]) for one in files]
        part.chains |= {folder: links} if links else {}
    part.snapshots = load_snapshots(life.snapshots, SOURCE, results["snapshots"], None)
    part.committed = life.committed
    return part


def wrong(life: Life) -> Iterator[str]:
    """Yield what the audit finds wrong with what was computed."""
    results = Results()
    check_computed(part_of(life), results, {"analytics": Ledger(), "profiles": Ledger()}, 0)
    assert results["snapshots"].looked_at.get("states"), "nothing was compared"
    yield from (str(one) for result in results for one in result.findings)


def test_counts_by_rig_are_audited_and_go_on_from_older_snapshots() -> None:
    """A count that is not what raw/ gives is named; a snapshot of a release that had none is not."""
    life, _report, _notes = lived(cycles("good", 60, 300), cycles("odd", 20, 300), cycles("long", 120, 300))
    life.end()
    assert not [*wrong(life)]

    (path,) = life.snapshots.names("hydraulic-TS1-0")
    state, offset = snapshot.decode(life.snapshots.read(path)), life.committed or 0
    nodes = state["nodes"]
    changed = nodes["cycles"] | {"lacks": nodes["cycles"]["lacks"] + 1}
    snapshot.save(life.snapshots, SOURCE, offset, state | {"nodes": nodes | {"cycles": changed}})
    assert any("its state of cycles is not what the raw rows" in one for one in wrong(life))

    older = {name: value for name, value in nodes["cycles"].items() if name not in LATER}
    snapshot.save(life.snapshots, SOURCE, offset, state | {"nodes": nodes | {"cycles": older}})
    assert not [*wrong(life)]
    life.restart()
    more = log_of(cycles("long", 120, 300, begin_s=360))
    more.offsets += offset
    life.feed(more)
    life.end()
    assert not [*wrong(life)]
    assert life.partition.report(0).per_rig["long"]["unprofiled"] == 120
    assert life.partition.report(0).per_rig.keys() >= {"good", "odd"}
    assert "unprofiled" not in life.partition.report(0).per_rig["odd"]
