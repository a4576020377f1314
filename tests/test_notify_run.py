"""A run of twelve rigs tells people, shows it on its page, is answered, and is killed: nothing is kept twice."""

import json
import re
import statistics
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from hydrodask import clock
from hydrodask.audit.restore import restore_documents
from hydrodask.console import Console
from hydrodask.kafka import Consumer, TopicPartition, consumer
from hydrodask.reports import Overview
from hydrodask.run.source import SourceThread
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Kafka
from tests.audited import Stored, fine
from tests.delivery import Driver, documents, sets_of, until
from tests.test_notify_sending import SLOW_S, Hook

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

RIGS = 12
RIG = "rig-0001"
RULE = {"name": "cooler_degraded", "sensor": "CE", "statistic": "avg", "comparison": "<", "enter": 37, "exit": 39}
GATHER_S = 8
"""On a slow machine the incidents of twelve rigs are not there at once, and are to be one message all the same."""
LIVE_S = 1.0
"""What a page shows is so much behind the stream at most, at its best: others may have the machine for a while."""
FAULT = {"component": "cooler", "to": 20, "at": "4s", "for": "44s"}
ANSWERS: list[dict[str, Any]] = [
    {"kind": "ack", "text": "on my way"},
    {"kind": "note", "text": "the fan stands"},
    {"kind": "mute", "rule": "cooler_degraded", "rig": "rig-0003", "for_s": 600},
    {"kind": "maintenance", "rig": "rig-0005", "for_s": 600},
]


def told(tmp_path: Path, hook: Hook) -> list[str]:
    """Return settings of short windows, one rule, and one fault that all rigs have at once."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"rules": [RULE | {"severity": "warning", "message": "warm"}]}))
    (tmp_path / "faults.yaml").write_text(yaml.safe_dump({"faults": [FAULT]}))
    notify = {"channels": {"desk": {"kind": "webhook", "url": hook.url}}, "gather": GATHER_S, "calm": 2}
    return [
        "window={length: 4s, slide: 1s, lateness: 1s}",
        f"detect.rules={tmp_path / 'rules.yaml'}",
        f"source={{faults: {tmp_path / 'faults.yaml'}, rigs: {RIGS}, speed: '2'}}",
        f"notify={json.dumps(notify)}",
        "console.address=127.0.0.1:0",
    ]


@contextmanager
def simulator(settings: Settings) -> Iterator[Callable[[], None]]:
    """Give what starts the simulator; it stops when the block ends."""
    source = SourceThread(settings, lambda: Overview("told", clock.now_us()))
    yield source.start
    source.stop()


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """Return what a page answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - http to ourselves
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        return json.load(response)


def first_seen(**there: Callable[[], object]) -> dict[str, float]:
    """Wait until all of it is there; return when each was seen first, in seconds."""
    seen: dict[str, float] = {}

    def look() -> bool:
        for name, call in there.items():
            if name not in seen and call():
                seen[name] = clock.monotonic_s()
        return len(seen) == len(there)

    until(look, f"{', '.join(there)} are there")
    return seen


def lags_s(reader: Consumer, page: str, count: int) -> list[float]:
    """Return how long after the broker had them rows are the live values of a page that runs beside the platform."""
    stamps_ms: dict[tuple[float, float], int] = {}
    found: dict[tuple[float, float], float] = {}

    def look() -> bool:
        for message in reader.consume(1000, 0.0):
            row = json.loads((message.error() is None and message.value()) or b"{}")
            if row.get("rig") == RIG and row.get("sensor") == "CE":
                stamps_ms[clock.parse_iso(row["window_end"]) / 1e6, row["avg_value"]] = message.timestamp()[1]
        values = ask(f"{page}api/live?rig={RIG}")["values"].get("CE")
        if values is not None and (key := (values[0], values[1])) not in found and key in stamps_ms:
            found[key] = clock.now_us() / 1e6 - stamps_ms[key] / 1e3
        return len(found) >= count and min(found.values()) < LIVE_S

    until(look, f"{count} rows of the stream are live values, the best of them within {LIVE_S} s")
    return list(found.values())


def answer(page: str, *answers: dict[str, Any]) -> None:
    """Answer on the page."""
    for one in answers:
        ask(f"{page}api/answers", {**one, "by": "anna"})


def page_beside(settings: Settings) -> list[float]:
    """Show that a page beside the run is less than a second behind the stream, at its best on a busy machine."""
    reader = consumer(settings.kafka)
    reader.assign([TopicPartition(settings.topic("analytics"), 0)])
    with closing(reader), closing(Console(settings, None)) as console:
        behind = lags_s(reader, console.url, 5)
        source = ask(f"{console.url}api/live?rig={RIG}")["source"]
    assert source == f"topic {settings.topic('analytics')}"
    assert statistics.median(behind) < SLOW_S
    return behind


def test_a_fault_of_twelve_rigs_is_told_once_seen_answered_and_kept_through_a_kill(
    kafka: Kafka, tmp_path: Path
) -> None:
    """Within ten seconds (`SLOW_S`) of the first anomaly; answers outlive kill -9 of the driver and `backfill`."""
    with closing(Hook()) as hook:
        sets = sets_of(kafka, tmp_path / "data", "told", *told(tmp_path, hook))
        settings = load(sets=sets, environ={})[0]
        with Driver(sets, tmp_path / "log") as driver, simulator(settings) as start:
            until(lambda: "running: " in driver.output, "it runs: a fault may be short then")
            start()
            page = re.findall(r"operator's page: (\S+)", driver.output)[0]
            seen = first_seen(
                anomaly=lambda: documents(settings, "anomalies"),
                page=lambda: ask(f"{page}api/fleet")["open"],
                message=lambda: hook.got,
            )
            opened = hook.wait(1)[0]
            answer(page, *({**one, "incident": opened["rigs"][0]["episode"]} for one in ANSWERS[:2]))
            behind = page_beside(settings)
            over = hook.wait(2)[1]
            answer(page, *ANSWERS[2:])
            driver.kill()
        given = documents(settings, "answers")
        with Driver([*sets, "observe.log_format=json"], tmp_path / "log of the next", "--until-idle") as driver:
            assert driver.wait() == 0, driver.output
        lines = [json.loads(line) for line in driver.output.splitlines()]

    figures = {name: round(at_s - seen["anomaly"], 2) for name, at_s in seen.items()}
    (tmp_path / "figures.json").write_text(json.dumps({"seen_s": figures, "live_behind_s": behind}))
    assert max(seen.values()) - seen["anomaly"] < SLOW_S + GATHER_S
    assert [(one["kind"], one["rigs_count"]) for one in (opened, over)] == [("opened", RIGS), ("over", RIGS)]
    assert opened["subject"] == f"WARNING: cooler degraded on {RIGS} rigs"
    assert len({body["id"] for _, _, body in hook.got}) == 2
    assert all(line.keys() >= {"at", "level", "logger", "event"} for line in lines), lines
    assert any(line.get("lag_records") == 0 for line in lines), lines
    assert sorted(one["kind"] for one in given) == sorted(one["kind"] for one in ANSWERS)
    assert len(documents(settings, "incidents")) == RIGS
    Stored(settings).sql("DELETE FROM incidents")
    assert sum(one.restored for one in restore_documents(settings, write=True)) >= RIGS
    assert documents(settings, "answers") == given
    results = Stored(settings).audit()
    assert fine(results)
    assert results["documents"].looked_at["answers"] == len(ANSWERS)
