"""An embedded broker that is killed takes its log along: what files and snapshots say of each other then, and after."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hydrodask.audit.backfill import backfill
from hydrodask.audit.verify import verify
from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.failpoints import NAMES, armed
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge
from hydrodask.nodes.node import Node
from hydrodask.nodes.sensors import Decode
from hydrodask.protocol.incarnation import Seam
from hydrodask.records import Messages, Upsert
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Kafka, Lake
from hydrodask.store.documents import open_documents
from hydrodask.store.files import Files
from hydrodask.testing import messages_of
from hydrodask.worker.partition import Partition
from tests.audited import fine, wrong
from tests.delivery import Driver, until
from tests.running import BUILDS, FOREVER_S, Life
from tests.test_partition import LOG, STAMP_MS
from tests.test_rigs_limit import record

BASE = 10**9


class KilledError(BaseException):
    """The process has died here."""


def living(url: str, *, embedded: bool = True) -> Life:
    """Return a life of a partition on a broker that forgets all, with lake and snapshots in memory."""
    kafka = Kafka(embedded=embedded)
    life = Life(Settings(kafka=kafka, lake=Lake(url=f"{url}/lake")), url=url)
    life.snapshots = Files(life.settings.snapshots_url)
    open_on(life, 0)
    return life


def cut(start: int, end: int, base: int) -> Messages:
    """Return the records `start` to `end` of the log as a broker has them that began with `start` at `base`."""
    return messages_of(LOG[start:end], topic="hydraulic-FS1", first=base, stamp_ms=STAMP_MS)


def open_on(life: Life, base: int) -> None:
    """Open the partition on a broker that has begun anew at `base`, and knows no commit."""
    life.committed, life.emitted, life.low = None, None, base
    life.restart()
    if life.partition.fresh:
        life.partition.pin(0.0)


def left(life: Life) -> list[str]:
    """Return which files are not what raw/ gives."""
    report = backfill(life.settings, ("hydraulic-FS1", 0), write=False)
    return report.wrong + report.left


ACTS = st.lists(
    st.tuples(st.integers(1, 400), st.sampled_from(["nothing", "roll windows", "save", "end"])), min_size=1, max_size=12
)


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    first=ACTS,
    place=st.sampled_from([n for n in NAMES if n.startswith(("roll", "file", "snap"))]),
    at=st.integers(1, 9),
    second=ACTS,
)
def test_files_follow_from_raw_whenever_the_broker_is_killed(
    first: list[tuple[int, str]], place: str, at: int, second: list[tuple[int, str]]
) -> None:
    """At each place of a roll or snapshot, and with the next broker's records behind: windows/ is what raw/ gives."""
    life = living(f"memory://{np.random.default_rng().integers(1 << 60):x}")
    met = 0

    def kill(name: str) -> None:
        nonlocal met
        met += name == place
        if met == at:
            raise KilledError

    try:
        with armed(kill):
            position = act(life, first, 0, 0)
    except KilledError:
        position = life.partition.position
    open_on(life, BASE)
    assert not left(life)
    act(life, [*second, (1, "end")], min(position, len(LOG) - 1), BASE)

    assert not left(life)


def act(life: Life, acts: list[tuple[int, str]], start: int, base: int) -> int:
    """Feed records, and do what is due in between; return the number of the record that comes next."""
    position = start
    for count, what in acts:
        end = min(position + count, len(LOG))
        if end > position:
            life.feed(cut(position, end, base + position - start))
        position = end
        life.commit()
        if what == "roll windows":
            life.partition.roll(FOREVER_S, rows_max=20, age_s_max=2 * FOREVER_S)
        elif what == "save":
            life.save()
        elif what == "end":
            life.end()
    return position


def test_what_raw_has_and_the_log_lost_is_not_lost(tmp_path: Path) -> None:
    """Retention has passed a snapshot, and not raw/: windows are those of a run that was never away."""
    wanted, life = (
        living(f"file://{tmp_path}/wanted", embedded=False),
        living(f"file://{tmp_path}/life", embedded=False),
    )
    wanted.feed(cut(0, 3000, 0))
    wanted.end()
    life.feed(cut(0, 1000, 0))
    life.commit()
    life.save()
    life.feed(cut(1000, 2000, 1000))
    life.commit()
    life.roll()
    life.low = 1500
    assert life.restart() == 1500
    life.feed(cut(1500, 3000, 1500))
    life.end()

    assert life.table("windows").equals(wanted.table("windows"))
    assert [o.value for o in life.published if o.topic == "hydraulic-cycles"] == [
        o.value for o in wanted.published if o.topic == "hydraulic-cycles"
    ]


def test_a_dead_letter_that_went_with_the_log_is_lost() -> None:
    """It was taken and not published, and raw/ goes on behind it: nobody has it any more."""
    life = living(f"memory://{np.random.default_rng().integers(1 << 60):x}", embedded=False)
    life.feed(cut(0, 100, 0))
    life.commit()
    life.save()
    life.feed(messages_of([b"{", *LOG[100:199]], topic="hydraulic-FS1", first=100, stamp_ms=STAMP_MS))
    life.roll()
    life.low = 150
    life.restart()

    assert (life.partition.position, life.partition.ctx.totals["lost"], life.partition.consumed) == (150, 1, 149)
    assert "1 of the offsets below 150 went with the log" in life.partition.ctx.notes[0]


class Taken(Node[Any, None]):
    """Counts what it takes."""

    name = "taken"

    def __init__(self) -> None:
        self.count = 0

    def take(self, batch: Any) -> None:
        self.count += len(batch)

    def snapshot(self) -> dict[str, Any]:
        return {"count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


def theirs(life: Life, *, decodes: bool, topic: str = "", ended: bool = False) -> tuple[Partition, Taken]:
    """Return the partition of a flow from outside that took nothing of the first log, opened on the second."""
    for seams in ([], [Seam(BASE, 0, 0, whole=False, keeps=True)]):
        ctx, node = Context(life.settings, "theirs", topic or life.topic, 0, life.lake), Taken()

        def build(messages: Edge[Messages], ctx: Context, node: Taken = node) -> None:
            (messages.through(Decode(ctx)) if decodes else messages).through(node)

        partition = Partition(ctx, build, Files(f"{life.url}/theirs"))
        partition.open(None, BASE if seams else 0, seams=seams, floor=BASE if seams else 0)
        partition.pin(0.0, ended=ended)
    return partition, node


@pytest.mark.parametrize("decodes", [True, False])
def test_a_flow_that_failed_through_a_run_takes_its_records_from_raw_or_says_that_they_are_lost(decodes: bool) -> None:
    """Those of the first run and no others; what is lost is as many as there were, not as many as offsets may be."""
    life = living(f"memory://{np.random.default_rng().integers(1 << 60):x}")
    life.feed(cut(0, 500, 0))
    life.end()
    ctx = Context(life.settings, "monitor", life.topic, 0, life.lake)
    life.partition = Partition(ctx, BUILDS["monitor"], life.snapshots)
    life.partition.open(None, BASE, seams=[Seam(BASE, 500, 500, whole=True, keeps=True)], floor=BASE)
    life.feed(cut(500, 600, BASE))
    life.end()  # raw/ goes on over the jump

    partition, node = theirs(life, decodes=decodes)

    assert partition.position == BASE
    assert node.count == (500 if decodes else 0)
    assert partition.ctx.totals["lost"] == (0 if decodes else 500)
    assert any("500 records from offset 0 to 500 went with" in note for note in partition.ctx.notes) is not decodes


@pytest.mark.parametrize("topic", ["hydraulic-analytics", "hydraulic-cycles"])
@pytest.mark.parametrize("ended", [True, False])
def test_a_flow_of_window_rows_or_profiles_says_that_some_may_be_lost_and_invents_no_number(
    topic: str, ended: bool
) -> None:
    """The lake has these records under other offsets, so nothing says where the log ended."""
    life = living(f"memory://{np.random.default_rng().integers(1 << 60):x}")

    partition, _node = theirs(life, decodes=False, topic=topic, ended=ended)

    assert partition.position == BASE
    assert partition.ctx.totals["lost"] == 0
    said = [note for note in partition.ctx.notes if "from offset 0 on went with it" in note and "not known" in note]
    assert len(said) == (0 if ended else 1)


@pytest.mark.cluster
def test_default_platform_that_was_killed_is_found_whole(tmp_path: Path) -> None:
    """Kill -9 of driver and workers in mid-stream, twice, then a run that ends well: `verify` finds nothing wrong."""
    sets = [
        f"data_dir={tmp_path}",
        "cluster.dashboard=127.0.0.1:0",
        "observe.metrics=127.0.0.1:0",
        "source.speed=60",
        "source.start=2026-01-01T00:00:00Z",
        "step.snapshot_every=500ms",
        "lake.roll_age=3s",
    ]
    effective = load(sets=sets, environ={})[0]
    raw = tmp_path / "lake" / "raw"
    for number in (1, 2):
        with Driver(sets, tmp_path / f"log {number}", source="simulator") as driver:
            before = len(list(raw.rglob("*.parquet")))
            until(lambda: len(list(raw.rglob("*.parquet"))) > before + 25, "files are written")  # noqa: B023 - at once
            left_behind = driver.kill()
            for worker in left_behind:
                worker.kill()
            psutil.wait_procs(left_behind, 60)
        fine(verify(effective))
    with Driver([*sets], tmp_path / "log of the last", "--for", "6s", source="simulator") as driver:
        assert driver.wait() == 0, driver.output

    fine(verify(effective))


def killed(tmp_path: Path, kept: str, *, saved: bool = True) -> Settings:
    """Let a platform judge windows of which nothing is kept, or half; `saved` the state of who has judged them, too."""
    settings = load(sets=[f"data_dir={tmp_path}"], environ={})[0]
    monitor, alert = (
        Life(settings, topic=f"hydraulic-{topic}", flow=flow, url=str(tmp_path))
        for topic, flow in (("TS1", "monitor"), ("analytics", "alert"))
    )
    for life in (monitor, alert):
        life.partition.pin(0.0)
    hot = [record("a", second, 58.0 if second < 400 else 36.0) for second in range(600)]
    for start, end in ((0, 300), (300, 600)):
        monitor.feed(messages_of(hot[start:end], topic="hydraulic-TS1", first=start, stamp_ms=STAMP_MS))
        monitor.commit()
        if kept != "nothing" and end == 300:
            monitor.save()
        if kept == "files" and end == 300:
            monitor.roll()
    rows = [one.value for one in monitor.published if one.topic == "hydraulic-analytics"]
    alert.feed(messages_of(rows, topic="hydraulic-analytics", first=0, stamp_ms=STAMP_MS))
    alert.commit()
    if saved:
        alert.save()
    with closing(open_documents(settings)) as store:
        store.write(alert.changes)
    return settings


def test_documents_that_nothing_kept_tells_of_are_no_fault(tmp_path: Path) -> None:
    """Killed before the first snapshot of all: not even the rig is known."""
    results = verify(killed(tmp_path, "nothing", saved=False))

    assert fine(results)
    assert results["documents"].looked_at["ahead"] == results["documents"].looked_at["documents"] > 0


@pytest.mark.parametrize("kept", ["nothing", "a snapshot", "files"])
def test_documents_of_rows_that_went_with_the_broker_are_no_fault(tmp_path: Path, kept: str) -> None:
    """Killed behind what is kept of a sensor, when all its windows are judged. What was not judged is named."""
    settings = killed(tmp_path, kept)
    with closing(open_documents(settings)) as store:
        found = store.find("anomalies", {"provisional": False}, limit=1000, newest_first="window_start")
        before = verify(settings)
        invented = found[0]
        began = invented["window_start"]
        later = iso(parse_iso(began) + 3600 * US_PER_S)
        id_, revision = invented.pop("_id").replace(began, later), invented.pop("revision")
        store.write([Upsert("anomalies", id_, revision, {**invented, "window_start": later})])

    assert fine(before)
    looked_at = before["documents"].looked_at
    assert looked_at["documents"] > len(found) > 0
    assert (looked_at["ahead"] == looked_at["documents"]) == (kept == "nothing")
    assert "its window is not final, and its revision" in wrong(verify(settings))["documents"][0]


def test_what_a_snapshot_has_taken_is_in_raw_before_it() -> None:
    """The broker's log does not outlive it, so nothing else would give its rows back."""
    life = living(f"memory://{np.random.default_rng().integers(1 << 60):x}")
    life.feed(cut(0, 1000, 0))
    life.commit()
    life.save()

    assert life.partition.snapshot_offset == 1000
    assert life.table("raw").num_rows == 1000
    assert life.table("windows").num_rows == 0  # these the snapshot has


def test_a_snapshot_is_due_when_so_much_is_in_none() -> None:
    """It counts from the newest one on: a publisher waits for what is in none."""
    life = living(f"memory://{np.random.default_rng().integers(1 << 60):x}")
    for start, end in ((0, 1000), (1000, 1500)):
        life.save()
        life.feed(cut(start, end, start))
        life.commit()

    assert life.partition.snapshot_offset == 1000
    assert [life.partition.stale(0.0, every_s=1.0, behind_max=count) for count in (500, 501)] == [True, False]


def test_a_snapshot_is_due_with_a_raw_file_and_with_no_other(tmp_path: Path) -> None:
    """Where raw/ has to be first, a snapshot follows each of its files, whatever else has a file, and waits for it."""
    life = living(f"file://{tmp_path}")
    life.feed(cut(0, 1000, 0))
    life.partition.committed = life.partition.position

    def due(behind_max: int = 10_000) -> bool:
        return life.partition.stale(FOREVER_S, every_s=0.0, behind_max=behind_max)

    assert (due(1000), due(1001)) == (True, False)  # what is in none holds the publisher back
    life.partition.roll(FOREVER_S, rows_max=1001, age_s_max=2 * FOREVER_S)
    assert life.partition.ctx.files["raw"].waiting == 1000  # nothing was due
    waiting = due()
    windows = next(output for output in life.partition.ctx.files.values() if output.folder.startswith("windows"))
    windows.roll(1000)
    besides = due()
    life.partition.roll(FOREVER_S, rows_max=1, age_s_max=0.0)

    assert (waiting, besides, due()) == (False, False, True)
