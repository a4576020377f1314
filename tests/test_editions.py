"""Rules change while a group lives: each row is judged by the rules of its offset, and the audit knows which."""

from pathlib import Path

import msgspec
import pytest
import yaml

from hydrodask.audit.verify import verify
from hydrodask.detect import Criteria
from hydrodask.ingest.topics import create
from hydrodask.kafka import producer
from hydrodask.nodes.editions import Edition, known_from
from hydrodask.protocol import snapshot
from hydrodask.records import Change, Messages, WindowRecord
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Baseline, Kafka
from hydrodask.store.documents import open_documents
from hydrodask.store.files import Files
from hydrodask.testing import messages_of
from tests.audited import fine
from tests.delivery import Driver, sets_of, settings_of
from tests.running import Life
from tests.test_detector import row, stored

HOT = {"sensor": "CE", "statistic": "avg", "comparison": ">", "enter": 30, "severity": "warning", "message": "{value}"}


def rules(folder: Path, *names: str, **changed: object) -> str:
    """Return a file with rules of these names, warm above 30."""
    path = folder / f"{'-'.join(names)}-{len(list(folder.iterdir()))}.yaml"
    path.write_text(yaml.safe_dump({"rules": [{"name": name, **HOT, **changed} for name in names]}))
    return str(path)


def settings_with(name: str) -> Settings:
    """Return settings with a file of rules."""
    return load(sets=[f"detect.rules={name}", "detect.baseline.warm_up=100000"], environ={})[0]


def log_of(*rows: WindowRecord) -> Messages:
    """Return rows as the partition's log, from offset 0 on."""
    return messages_of([msgspec.json.encode(one) for one in rows], topic="hydraulic-analytics", first=0, stamp_ms=0)


BROKEN = log_of(row(0, 31), *(row(number, 31, final=False) for number in range(1, 7)), row(1, 31), row(2, 20))


def in_store(changes: list[Change]) -> list[tuple[str, bool, str]]:
    """Return what a store holds: rule, provisional or not, and the digest that made it, of each anomaly."""
    there = [body for (kind, _), body in sorted(stored(changes).items()) if kind == "anomalies"]
    return [(str(body["rule"]), bool(body["provisional"]), str(body["rules"])) for body in there]


@pytest.mark.parametrize("stopped", ["cleanly", "killed"])
def test_removed_rule_takes_all_that_is_provisional_with_it(tmp_path: Path, stopped: str) -> None:
    """Six open windows broke it; the next row takes all six back, also after a kill without a snapshot."""
    both, one = settings_with(rules(tmp_path, "gone", "kept")), settings_with(rules(tmp_path, "kept"))
    life = Life(both, topic="hydraulic-analytics", flow="alert")
    life.feed(BROKEN.take(slice(0, 7)))
    life.commit()
    if stopped == "cleanly":
        life.end()
    assert len([rule for rule, provisional, _ in in_store(life.changes) if rule == "gone" and provisional]) == 6

    life.settings = one
    life.restart()
    life.feed(BROKEN)
    life.commit()

    old, new = Criteria.of(both).digest, Criteria.of(one).digest
    assert in_store(life.changes) == [("gone", False, old), ("kept", False, old), ("kept", False, new)]


def test_rows_that_were_in_the_log_keep_their_rules(tmp_path: Path) -> None:
    """Their documents may be written already: a kill in between the two, and then other rules, leave no mixture."""
    old, new = settings_with(rules(tmp_path, "a")), settings_with(rules(tmp_path, "b"))
    life = Life(old, topic="hydraulic-analytics", flow="alert")
    life.feed(BROKEN.take(slice(0, 7)))
    life.commit()
    life.feed(BROKEN.take(slice(7, 8)))
    written = list(life.partition.ctx.changes)  # and then it is killed before the commit

    life.settings = new
    life.restart(high=8)
    life.feed(BROKEN)
    assert life.partition.ctx.changes[: len(written)] == written


def test_snapshot_of_an_older_release_is_taken(tmp_path: Path) -> None:
    """It says no digest: what is provisional in it goes with the next row, and its incident is resolved or goes on."""
    settings = settings_with(rules(tmp_path, "a"))
    life = Life(settings, topic="hydraulic-analytics", flow="alert")
    life.feed(BROKEN.take(slice(0, 7)))
    life.end()
    folder = Files(f"{life.url}/snapshots")
    path = next(name for name in folder.names("hydraulic-analytics-0") if name.endswith(".snapshot"))
    state = snapshot.decode(folder.read(path))
    detector = state["nodes"]["detector"]["detector"]
    detector["version"] = 2
    del detector["criteria"]
    detector["keys"] = [key[:6] for key in detector["keys"]]
    folder.replace(path, snapshot.encode(state))
    folder.remove(next(name for name in folder.names("hydraulic-analytics-0") if name.endswith(".rules")))

    life.restart()
    life.feed(BROKEN)
    life.commit()

    assert [provisional for _, provisional, _ in in_store(life.changes)] == [False, False]


@pytest.mark.integration
@pytest.mark.cluster
def test_audit_judges_each_document_by_its_rules(kafka: Kafka, tmp_path: Path) -> None:
    """Rules a, then b, then neither on a real broker: nothing is wrong, whatever rules the audit itself is given."""
    first, second, third = (rules(tmp_path, *names) for names in (("a", "x"), ("b", "x"), ("c",)))
    sets = [f"detect.rules={first}", "topics.each.analytics.partitions=1"]
    settings = settings_of(kafka, tmp_path / "data", "editions", *sets)
    create(settings)
    for number, name in enumerate((first, second, third)):
        sets[0] = f"detect.rules={name}"
        publish_ce(settings, range(150 * number, 150 * (number + 1)))
        with Driver(sets_of(kafka, tmp_path / "data", "editions", *sets), tmp_path / "log", "--until-idle") as driver:
            assert driver.wait() == 0, driver.output

    results = verify(settings_of(kafka, tmp_path / "data", "editions", *sets))
    assert fine(results)
    assert not results["documents"].unchecked
    store = open_documents(settings)
    there = store.find("anomalies", {"sensor": "CE"}, limit=1000)
    store.close()
    digests = {one["rule"]: one["rules"] for one in there if one["rule"] != "x"}
    wanted = [
        Criteria.of(settings_of(kafka, tmp_path / "data", "editions", f"detect.rules={n}")).digest
        for n in (first, second, third)
    ]
    assert [digests[name] for name in "abc"] == wanted
    assert not [one["_id"] for one in there if one["provisional"] and one["rule"] != "c"]


def publish_ce(settings: Settings, seconds: range) -> None:
    """Publish seconds of a cooler at 35 %."""
    client = producer(settings.kafka)
    for second in seconds:
        stamp = f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}Z"
        text = (
            '{"sensor": "CE", "cycle": %d, "sample_idx": %d, "value": 35.0, "timestamp": "%s", "sampling_rate_hz": 1}'
        )
        client.produce(settings.topic("CE"), (text % (second // 60, second % 60, stamp)).encode(), b"rig-1")
    client.flush(30)


def test_criteria_are_known_from_behind_the_last_that_are_not() -> None:
    """An audit judges from there on; the file of an older edition may be damaged, or of a newer version."""
    criteria = Criteria((), Baseline(), 0.9, 60.0)

    assert known_from([Edition(0, criteria), Edition(5, criteria)]) == 0
    assert known_from([Edition(0, None), Edition(5, criteria), Edition(9, criteria)]) == 5
    assert known_from([Edition(0, criteria), Edition(5, None), Edition(9, criteria)]) == 9
