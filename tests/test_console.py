"""The operator's page without a browser: curves that lose no extreme, who may come in, and answers that stay."""

import gzip
import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrodask import clock
from hydrodask.answers import Answer, Answers
from hydrodask.audit.compaction import Compaction
from hydrodask.audit.finding import Result
from hydrodask.audit.links import parse
from hydrodask.audit.restore import restore_documents
from hydrodask.audit.summaries import check_summaries, refresh
from hydrodask.channels import SENSORS
from hydrodask.clock import US_PER_S, iso
from hydrodask.console import Console
from hydrodask.console.live import Live
from hydrodask.console.roster import NoSuchRigError
from hydrodask.console.sight import INCIDENTS_MAX, Sight
from hydrodask.console.strips import state_of, strips_of, worst_of
from hydrodask.console.thinning import thin
from hydrodask.console.visitors import POLICY, Access
from hydrodask.errors import ConfigError
from hydrodask.learn.score.story import ComponentTrack, Verdict, incident_of
from hydrodask.learn.targets import TARGETS
from hydrodask.records import Upsert
from hydrodask.reports import Overview
from hydrodask.settings import Settings, load
from hydrodask.settings.model import Console as ConsoleSettings
from hydrodask.store import browse, byrig, fiveminutes, summing
from hydrodask.store.browse import OLDER_MAX, Browser
from hydrodask.store.curve import Curve, CurveBand, Stretch
from hydrodask.store.documents import open_documents
from hydrodask.store.history import History
from hydrodask.store.lake import Lake
from hydrodask.store.listing import file_name, named
from hydrodask.store.recent import ENTRY_BYTES, Recent
from hydrodask.store.schemas import states_table, windows_table
from tests.audited import Stored, fine
from tests.delivery import until
from tests.plant import START_US, Plant, made, windows_of

STATIC = Path(__file__).resolve().parents[1] / "hydrodask" / "console" / "static"
VENDORED = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
"""SHA-256 of what is not ours: uPlot 1.6.32 of npm, MIT."""

LOOK, GIVE = "look-0123456789abcdef", "give-0123456789abcdef"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Return a small plant's history: two rigs, half an hour, a cooler that fails."""
    return made(tmp_path_factory.mktemp("plant"), rigs=2, minutes=30, sets=("console.address=127.0.0.1:0",))


@pytest.fixture(scope="module")
def page(plant: Plant) -> Iterator[Console]:
    """Serve it, with two tokens."""
    file = plant.settings.data_dir / "tokens"
    file.write_text(f"# who may come in\neva look {LOOK}\nanna answer {GIVE}\n")
    file.chmod(0o600)
    chosen = plant.settings.console.model_copy(update={"token_file": Path("tokens")})
    console = Console(plant.settings.model_copy(update={"console": chosen}))
    yield console
    console.close()


def ask(
    page: Console, path: str, body: object = None, *, token: str = GIVE, **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Ask as a program does, and return status, headers and what was said."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=120)
    said = {"Authorization": f"Bearer {token}"} if token else {}
    said |= {"Content-Type": "application/json"} if body is not None else {}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    connection.request("GET" if body is None else "POST", path, data, said)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    is_json = answer.headers.get_content_type() == "application/json" and content
    content = gzip.decompress(content) if answer.headers.get("content-encoding") == "gzip" else content
    return answer.status, dict(answer.headers.items()), json.loads(content) if is_json else content


SERIES = st.lists(
    st.tuples(st.integers(0, 3_600), st.floats(-1e3, 1e3), st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=300
)


@given(SERIES, st.integers(10, 400))
def test_no_extreme_is_lost_where_curves_are_thinned(rows: list[tuple[int, float, float, float]], pixels: int) -> None:
    """Least and greatest mean, low and high are those of all rows, in each pixel too; times stay in order."""
    rows.sort()
    at_us = np.array([row[0] * US_PER_S for row in rows], np.int64)
    mean = np.array([row[1] for row in rows])
    low, high = mean - [row[2] for row in rows], mean + [row[3] for row in rows]
    end_us = 3_600 * US_PER_S

    got = thin(at_us, mean, low, high, start_us=0, end_us=end_us, pixels=pixels, gap_us=end_us)

    assert len(got.mean) <= 2 * (pixels + 1)
    assert (np.diff(got.at_us) >= 0).all()
    pixel, kept = at_us * pixels // end_us, got.at_us * pixels // end_us
    for number in np.unique(pixel):
        every, here = mean[pixel == number], got.mean[kept == number]
        assert (every.min(), every.max()) == (here.min(), here.max())
        assert low[pixel == number].min() == got.low[kept == number].min()
        assert high[pixel == number].max() == got.high[kept == number].max()


def test_gaps_are_gaps_however_few_points_are_left() -> None:
    """What is further apart than a gap is not joined by a line."""
    at_us = np.array([0, 10, 20, 500, 510], np.int64) * US_PER_S
    flat = np.ones(5)

    got = thin(at_us, flat, flat, flat, start_us=0, end_us=600 * US_PER_S, pixels=2, gap_us=60 * US_PER_S)

    assert np.isnan(got.mean).sum() == 1
    assert got.at_us[np.isnan(got.mean)][0] < 500 * US_PER_S


def test_rigs_of_each_partition_are_known(tmp_path: Path) -> None:
    """Also those of one whose offsets are far behind: a partition with few rigs, or that was emptied once."""
    lake = Lake(str(tmp_path))
    for partition, rig, firsts in ((0, "rig-busy", range(9_000, 9_600, 100)), (1, "rig-calm", [0])):
        for first in firsts:
            rows = windows_table(windows_of("CE", rig, np.ones(60)), partition=partition, length_us=60 * US_PER_S)
            lake.put("windows/sensor=CE", ("hydraulic-CE", partition), first, first + 100, rows)

    assert set(History(lake).rigs(["CE"])) == {"rig-busy", "rig-calm"}


def test_a_rig_that_nobody_has_heard_of_is_404_with_a_sentence(page: Console) -> None:
    """At each path that is asked for a rig: which one, and where the known ones are listed; never an empty 200."""
    asked = ("rig?range=1h", "live?after=", "story?from=0&to=1", "zoom?sensor=PS1&from=0&to=1", "episode?id=x")
    said = {path: ask(page, f"/api/{path}&rig=rig-0099%3Cb%3E") for path in asked}

    assert {path: status for path, (status, _, _) in said.items()} == dict.fromkeys(asked, 404)
    assert {body["error"] for _, _, body in said.values()} == {str(NoSuchRigError("rig-0099<b>"))}
    assert all(word in said["rig?range=1h"][2]["error"] for word in ("'rig-0099<b>'", "/api/fleet", "names"))
    assert {ask(page, f"/api/{path}")[0] for path in asked} == {400}
    assert {ask(page, f"/api/{path}&rig=rig-0001")[0] for path in asked} == {200}
    assert "rig-0001" in ask(page, "/api/fleet")[2]["names"]


@pytest.mark.parametrize("left", ["answer", "label", "old window"])
def test_a_rig_of_which_anything_is_left_is_known(tmp_path: Path, left: str) -> None:
    """Somebody's answer, a label's row, or a window in a file that is not among the newest."""
    settings = load(sets=[f"data_dir={tmp_path}", "console.address=127.0.0.1:0"], environ={})[0]
    lake = Lake(settings.lake_url)
    for first in range(OLDER_MAX + 1):  # so that the first one is not looked at for names
        rig = "rig-9" if left == "old window" and not first else "rig-1"
        rows = windows_table(windows_of("CE", rig, np.ones(60)), partition=0, length_us=60 * US_PER_S)
        lake.put("windows/sensor=CE", ("hydraulic-CE", 0), first, first + 1, rows)
    if left == "label":
        states = np.array([[3.0, 100, 0, 130, 0]])
        rows = states_table("rig-9", np.array([1]), np.array([START_US]), states, revision=np.array([0]))
        lake.put("labels", ("hydraulic-labels", 0), 0, 1, rows)
    if left == "answer":
        documents = open_documents(settings)
        told = Answer(kind="maintenance", at=iso(START_US), by="eva", rig="rig-9", until=iso(START_US + US_PER_S))
        documents.write([told.change("maintenance-0001")])
        documents.close()
    console = Console(settings)
    found = {rig: ask(console, f"/api/rig?range=1h&rig={rig}", token="")[0] for rig in ("rig-1", "rig-9", "rig-5")}
    console.close()

    assert found == {"rig-1": 200, "rig-9": 200, "rig-5": 404}


def test_fleet_says_which_incidents_of_a_day_it_does_not_look_at(plant: Plant, tmp_path: Path) -> None:
    """More than it reads began within a day: tiles tell of the newest, and the page says since when."""
    settings = plant.settings.model_copy(update={"data_dir": tmp_path})
    documents = open_documents(settings)
    for count, said in (
        (INCIDENTS_MAX - 1, ""),
        (1, f"Tiles tell of the newest {INCIDENTS_MAX:,} incidents, since 20"),
    ):
        bodies = (_over(START_US + number * US_PER_S) for number in range(count))
        documents.write([Upsert("incidents", f"rig/CE/{count}/{at}", 1, body) for at, body in enumerate(bodies)])
        found = Sight(documents, History(Lake(str(tmp_path))), Live(60.0), settings.observe.health).fleet()["cut"]

        assert found.startswith(said)
        assert bool(found) == bool(said)
    documents.close()


def _over(at_us: int) -> dict[str, object]:
    at = clock.iso(at_us)
    body: dict[str, object] = {"rig": "rig", "sensor": "CE", "rule": "oil_warm", "severity": "warning"}
    return body | {"status": "resolved", "opened_at": at, "resolved_at": at, "message": "", "provisional": False}


def test_five_minute_rows_say_what_the_windows_say(plant: Plant) -> None:
    """Least, greatest and mean of each five minutes; and the page's day is made of the same."""
    lake = Lake(plant.settings.lake_url)
    table = lake.table("windows/sensor=PS2")
    rows = fiveminutes.coarse(table)
    history = History(lake)
    start_us, end_us = START_US, plant.end_us
    shown = history.coarse("rig-0001", "PS2", start_us, end_us)

    frame = table.to_pandas()
    frame["bucket"] = frame["window_start"].dt.floor("300s")
    want = frame.groupby(["rig", "bucket"]).agg(
        mean=("avg_value", "mean"), low=("min_value", "min"), high=("max_value", "max"), count=("avg_value", "count")
    )
    assert rows.column("windows").to_pylist() == want["count"].tolist()
    assert rows.column("min_value").to_pylist() == want["low"].tolist()
    assert rows.column("max_value").to_pylist() == want["high"].tolist()
    assert np.allclose(rows.column("avg_value").to_numpy(), want["mean"])
    assert shown.low.tolist() == want["low"]["rig-0001"].tolist()
    assert np.allclose(shown.mean, want["mean"]["rig-0001"])
    windows = history.windows("rig-0001", "PS2", start_us, end_us)
    assert windows.high.max() == shown.high.max()
    assert len(windows.mean) == len(frame[frame.rig == "rig-0001"])


def test_windows_of_small_files_are_read_once_for_all_rigs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read ahead is the same as what is read for one rig, and another file of its name is read anew."""
    plant = made(tmp_path, rigs=3, minutes=25)
    lake, span = Lake(plant.settings.lake_url), (START_US + 60 * US_PER_S, plant.end_us - 300 * US_PER_S)
    monkeypatch.setattr(byrig, "ROWS_MAX", 0)
    apart = {rig: History(lake).windows(rig, "CE", *span) for rig in (*plant.rigs, "nobody")}
    told = {rig: History(lake).scores(rig, *span) for rig in apart}
    monkeypatch.undo()
    monkeypatch.setattr(browse, "LISTED_S", 0.0)
    history, far = History(lake), History(Lake("memory://by-rig"))
    for path in [*lake.files.names("windows/sensor=CE"), *lake.files.names("scores")]:
        far.lake.files.put_if_absent(path, lake.files.read(path))
    assert history.read_ahead(60.0) == far.read_ahead(60.0) == 0
    for path in [*far.lake.files.names("windows/sensor=CE"), *far.lake.files.names("scores")]:
        far.lake.files.replace(path, b"nobody reads this while it is kept")

    for rig, want in apart.items():
        for found in (history.windows(rig, "CE", *span), far.windows(rig, "CE", *span)):
            assert found.at_us.tolist() == want.at_us.tolist()
            for name in ("mean", "low", "high"):
                assert np.array_equal(getattr(found, name), getattr(want, name))
        assert history.scores(rig, *span) == far.scores(rig, *span) == told[rig]
    assert told[plant.rigs[0]]
    assert len(apart[plant.rigs[0]].mean) > len(apart["nobody"].mean) == 0
    newest = max(lake.files.names("windows/sensor=CE"))
    rows = pq.read_table(pa.BufferReader(lake.files.read(newest)))
    replaced = pa.BufferOutputStream()
    pq.write_table(
        rows.set_column(rows.column_names.index("avg_value"), "avg_value", pa.array([7.0] * len(rows))), replaced
    )
    lake.files.replace(newest, replaced.getvalue().to_pybytes())
    assert 7.0 in history.windows(plant.rigs[0], "CE", START_US, plant.end_us).mean
    assert history.troubles == far.troubles == {}


def test_compact_orders_by_rig_and_writes_five_minute_rows(tmp_path: Path) -> None:
    """A page reads the same from them; what is missing, damaged or left over is made anew; rows keep their order."""
    plant = made(tmp_path, rigs=3, minutes=25)
    lake, span = Lake(plant.settings.lake_url), (START_US, plant.end_us)
    before = {rig: History(lake).coarse(rig, "CE", *span) for rig in plant.rigs}
    rows, flat = lake.table("windows/sensor=CE"), [_in_three(lake, "bands")]
    Compaction(plant.settings, rows_max=1_000_000, in_place=False, grace_s=0.0).run()
    [path] = lake.files.names("windows_5m/sensor=CE")
    large = next(path for path in lake.files.names("windows/sensor=CE") if path.count("-0000") > 1)
    stored = lake.files.read(large)
    result = Result("windows", "")
    check_summaries(lake, "hydraulic-", result)

    assert lake.table("windows/sensor=CE").sort_by("revision").equals(rows.sort_by("revision"))
    assert parse(stored)[0]["revision"].to_pylist() == sorted(parse(stored)[0]["revision"].to_pylist())
    in_file = pq.read_table(pa.BufferReader(stored))["rig"].to_pylist()
    assert in_file == sorted(in_file)
    for written, made_ in flat:
        stored = lake.files.read(made_)
        in_file = pq.read_table(pa.BufferReader(stored))["rig"].to_pylist()
        assert in_file == sorted(in_file)
        assert parse(stored)[0].equals(written)
    assert result.looked_at["five_minute_files"] == len(SENSORS)
    assert not result.wrong
    for rig, curve in before.items():
        now = History(lake).coarse(rig, "CE", *span)
        assert now.at_us.tolist() == curve.at_us.tolist()
        assert np.allclose(now.mean, curve.mean)
        assert (now.low.tolist(), now.high.tolist()) == (curve.low.tolist(), curve.high.tolist())
    whole = lake.files.read(path)
    lake.files.replace(path, whole[:-30] + b"x" + whole[-29:])
    lake.files.replace(path.replace("000000000000-", "000000000001-"), whole)
    found = Result("windows", "")
    check_summaries(lake, "hydraulic-", found)
    assert found.wrong == 2
    assert refresh(lake, "hydraulic-") == [path.replace("000000000000-", "000000000001-")]
    assert lake.files.read(path) == whole


def _in_three(lake: Lake, folder: str) -> tuple[pa.Table, str]:
    """Cut a folder's one file into three; return what the first two hold, and what `compact` makes of them."""
    [path] = lake.files.names(folder)
    file = named(path)
    assert file is not None
    rows, end = parse(lake.files.read(path))[0], lake.end_of(path)
    lake.files.remove(path)
    places = [0, *(rows["revision"][len(rows) * third // 3].as_py() for third in (1, 2)), end]
    for low, high in pairwise(places):
        part = rows.filter(pc.and_(pc.greater_equal(rows["revision"], low), pc.less(rows["revision"], high)))
        lake.put(folder, file.source, low, high, part)
    return rows.filter(pc.less(rows["revision"], places[2])), f"{folder}/{file_name(file.source, 0, places[2])}"


def test_a_curve_of_long_ago_is_found_behind_many_newer_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files are newer; only where too many hold the time itself it is cut, and that is said."""
    lake = _lake_of(tmp_path, files=9)
    monkeypatch.setattr(browse, "FILES_MAX", 3)
    history = History(lake)

    assert len(history.raw("rig-1", "PS2", 0, 2 * US_PER_S).mean) == 3
    assert history.troubles == {}
    assert history.raw("rig-1", "PS2", 0, 8 * US_PER_S).mean.tolist() == [6, 7, 8]
    assert "shorter time" in history.troubles["raw/sensor=PS2"]
    assert len(history.raw("rig-1", "PS2", 0, 2 * US_PER_S).mean) == 3
    assert history.troubles == {}


def test_what_was_replaced_is_read_anew_and_troubles_go_with_their_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remembered footer of another file fails once and unseen; a damaged file is named until it is mended or gone."""
    lake = _lake_of(tmp_path, files=2)
    monkeypatch.setattr(browse, "LISTED_S", 0.0)
    history = History(lake)
    first, second = sorted(lake.files.names("raw"))

    def shown() -> list[float]:
        return [float(value) for value in history.raw("rig-1", "PS2", 0, 9 * US_PER_S).mean]

    assert shown() == [0, 1]
    whole = lake.files.read(first)
    lake.files.replace(first, _samples(np.arange(4000) % 2, values=5.0))
    assert set(shown()) == {5.0, 1.0}
    assert history.troubles == {}
    for path in (first, second):
        lake.files.replace(path, b"PAR1 is no such thing")
    assert shown() == []
    assert set(history.troubles) == {first, second}
    lake.files.replace(first, whole)
    lake.files.remove(second)
    assert shown() == [0]
    assert history.troubles == {}


def test_small_files_are_summed_once_and_as_far_as_there_is_time(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without time a curve says how many files it lacks; two who ask sum each once; what is beyond limits is said."""
    history, span = History(Lake(plant.settings.lake_url)), (START_US, plant.end_us)
    files = len(history.lake.files.names("windows/sensor=VS1"))
    late = history.coarse("rig-0001", "VS1", *span, 0.0)
    read, paths = Browser.read, list[str]()

    def counted(browser: Browser, path: str, *more: Any) -> Any:
        paths.append(path)
        return read(browser, path, *more)

    monkeypatch.setattr(Browser, "read", counted)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(history.coarse, "rig-0001", "VS1", *span) for _ in range(2)]

    assert (len(late.mean), late.pending) == (0, files)
    assert [(len(one.result().mean), one.result().pending) for one in asked] == [(6, 0), (6, 0)]
    assert sorted(paths) == sorted(set(paths))
    assert len(paths) == files
    monkeypatch.setattr(summing, "ROWS_MAX", 0)
    assert history.coarse("rig-0001", "CE", *span).pending == 0
    assert "run `hydrodask compact`" in next(iter(history.troubles.values()))


def test_sums_stay_within_their_limit_however_often_somebody_asks(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch goes beyond it once, and no call after that; and each time it is said that the oldest are left out."""
    monkeypatch.setattr(summing, "ROWS_MAX", 3)
    monkeypatch.setattr(summing, "BATCH_ROWS", 1)
    history, span, sizes, said = (
        History(Lake(plant.settings.lake_url)),
        (START_US, plant.end_us),
        list[int](),
        set[str](),
    )
    for _ in range(4):
        sizes.append(len(history.coarse("rig-0001", "CE", *span).mean))
        said |= {history.troubles.get("windows_5m/sensor=CE", "nothing")}

    assert len(set(sizes)) == 1
    assert ["oldest are left out" in one for one in said] == [True]


def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the path of each file of which rows are read from now on."""
    read, paths = Browser._groups, list[str]()

    def counted(browser: Browser, path: str, *more: Any) -> Any:
        paths.append(path)
        return read(browser, path, *more)

    monkeypatch.setattr(Browser, "_groups", counted)
    return paths


def test_a_second_look_reads_no_rows_again_unless_a_file_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five-minute rows, usual ranges and scores of a rig are kept; and all is as it was the first time."""
    plant = made(tmp_path, rigs=3, minutes=25)
    lake, span = Lake(plant.settings.lake_url), (START_US, plant.end_us)
    Compaction(plant.settings, rows_max=1_000_000, in_place=False, grace_s=0.0).run()
    history, paths = History(lake), files_read(monkeypatch)

    def look(start_us: int) -> tuple[list[float], list[float], int]:
        bands, scores = history.bands("rig-0002", start_us, span[1]), history.scores("rig-0002", start_us, span[1])
        coarse = history.coarse("rig-0002", "CE", start_us, span[1])
        return coarse.mean.tolist(), bands["CE"].centre.tolist(), sum(map(len, scores.values()))

    first, read_first = look(START_US), len(paths)
    later, again = look(START_US + 600 * US_PER_S), look(START_US)
    [path] = lake.files.names("windows_5m/sensor=CE")
    rows = pq.read_table(pa.BufferReader(lake.files.read(path)))
    place, double = rows.column_names.index("avg_value"), pc.multiply(rows["avg_value"], 2.0)
    lake.files.replace(path, lake.encoded(path, rows.set_column(place, "avg_value", double), 0, lake.end_of(path), {}))

    assert (len(paths), again) == (read_first, first)
    assert 0 < len(later[0]) < len(first[0])
    assert look(START_US)[0][0] == 2 * first[0][0]
    assert paths[read_first:] == [path]


def test_a_week_of_large_files_is_read_once_for_all_rigs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five-minute rows and usual ranges are to six digits what is read for one rig; a file that was replaced is new."""
    plant = made(tmp_path, rigs=3, minutes=25)
    lake, span = Lake(plant.settings.lake_url), (START_US, plant.end_us)
    Compaction(plant.settings, rows_max=1_000_000, in_place=False, grace_s=0.0).run()
    monkeypatch.setattr(byrig, "BANDS_MAX", 0)
    monkeypatch.setattr(byrig, "WEEK_STEP_US", 1 << 26)
    step_us = 1 << 27

    def look(history: History, rig: str) -> tuple[Curve, dict[str, CurveBand]]:
        return history.coarse(rig, "CE", *span), history.bands(rig, *span, step_us)

    apart = {rig: look(History(lake), rig) for rig in (*plant.rigs, "nobody")}
    history = History(lake)
    assert history.week_ahead(-1.0) == 1
    assert history.week_ahead(60.0) == history.week_ahead(-1.0) == history.sum_ahead("CE", 60.0) == 0
    paths = files_read(monkeypatch)

    for rig, (curve, bands) in apart.items():
        found, usual = look(history, rig)
        assert found.at_us.tolist() == curve.at_us.tolist()
        for name in ("mean", "low", "high"):
            np.testing.assert_allclose(getattr(found, name), getattr(curve, name), rtol=1e-6)
        assert list(usual) == list(bands)
        for sensor, band in bands.items():
            for column in ("at_us", "centre", "reach"):
                assert getattr(usual[sensor], column).tolist() == getattr(band, column).tolist(), (rig, sensor)
    assert len(apart["rig-0001"][0].at_us) > 3
    assert len(apart["rig-0001"][1]["CE"].at_us) > 3
    assert paths == []
    [path] = lake.files.names("windows_5m/sensor=CE")
    lake.files.replace(path, lake.files.read(path))
    assert look(history, "rig-0003")[0].mean.tolist() == apart["rig-0003"][0].mean.tolist()
    assert paths == [path]


def test_what_is_read_ahead_fits_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than there is room for, each file once, on a disk; one that lacks a column is said, and stops nothing."""
    plant = made(tmp_path, rigs=2, minutes=25)
    lake, span = Lake(plant.settings.lake_url), (START_US, plant.end_us)
    paths = files_read(monkeypatch)
    monkeypatch.setattr(byrig, "AHEAD_BYTES_MAX", 50_000)
    small = History(lake)
    assert [small.read_ahead(60.0), small.read_ahead(60.0)] == [0, 0]
    files = [one for one in lake.files.names("") if one.startswith(("windows/", "scores/", "bands/"))]
    assert 0 < len(paths) == len(set(paths)) < len(files)
    paths.clear()
    Compaction(plant.settings, rows_max=1_000_000, in_place=False, grace_s=0.0).run()
    monkeypatch.setattr(byrig, "BANDS_MAX", 0)
    far = History(Lake("memory://ahead"))
    for folder in ("bands", "windows_5m"):
        for path in lake.files.names(folder):
            far.lake.files.put_if_absent(path, lake.files.read(path))
        assert far.week_ahead(60.0) == 0
        assert paths == []
    monkeypatch.setattr(byrig, "WEEK_BYTES_MAX", 3 * (2 * 6 * 20 + 2 * 200))  # some files: half an hour of two rigs
    few = History(lake)
    assert [few.week_ahead(60.0), few.week_ahead(60.0)] == [0, 0]
    assert 0 < len(paths) == len(set(paths)) < 6
    shown, want = few.coarse("rig-0001", "CE", *span), History(lake).coarse("rig-0001", "CE", *span)
    np.testing.assert_allclose(shown.mean, want.mean, rtol=1e-6)
    monkeypatch.setattr(byrig, "WEEK_BYTES_MAX", 1 << 30)
    path = lake.files.names("bands")[0]
    rows = pq.read_table(pa.BufferReader(lake.files.read(path))).drop_columns(["enter"])
    lake.files.replace(path, lake.encoded(path, rows, 0, lake.end_of(path), {}))
    whole = History(lake)
    assert whole.week_ahead(60.0) == 0
    assert list(whole.troubles) == [path]


def test_usual_ranges_are_thinned_to_what_is_asked_for(plant: Plant) -> None:
    """One point of a sensor each so often, and the last; those that are left are as they were."""
    history, span = History(Lake(plant.settings.lake_url)), (START_US, plant.end_us)
    whole, few = history.bands("rig-0001", *span), history.bands("rig-0001", *span, 600 * US_PER_S)

    assert set(few) == set(whole) == set(SENSORS)
    assert 3 <= len(few["CE"].at_us) < len(whole["CE"].at_us) // 3
    assert few["CE"].at_us[-1] == whole["CE"].at_us[-1]
    there = np.isin(whole["CE"].at_us, few["CE"].at_us)
    assert few["CE"].centre.tolist() == whole["CE"].centre[there].tolist()


def test_what_is_kept_has_a_limit() -> None:
    """What was not used for longest goes first; what is larger than the limit is not kept at all."""
    table = pa.table({"value": np.zeros(1_000)})
    recent: Recent[pa.Table] = Recent(3 * (table.nbytes + ENTRY_BYTES))
    for key in "abc":
        recent.put(key, 1, table)
    recent.get("a", 1)
    recent.put("d", 1, table)
    recent.put("e", 1, pa.table({"value": np.zeros(10_000)}))

    assert [key for key in "abcde" if recent.get(key, 1) is not None] == ["a", "c", "d"]
    assert recent.get("a", 2) is None


def test_files_are_looked_at_before_anybody_asks(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that who comes first waits for no footer; without time some are left, and that is said."""
    history, span = History(Lake(plant.settings.lake_url)), (START_US, plant.end_us)
    assert history.look_ahead(-1.0) == 1
    assert history.look_ahead(60.0) == 0
    monkeypatch.setattr(browse, "footer_of", None)
    history.bands("rig-0001", *span)
    history.scores("rig-0001", *span)
    history.coarse("rig-0001", "CE", *span)

    assert history.troubles == {}


def test_answers_are_compressed_for_who_takes_that(page: Console) -> None:
    """A rig's curves come as a third at most; whoever does not ask for it gets them as they are."""
    path = "/api/rig?rig=rig-0001&range=1h"
    _, plain, view = ask(page, path)
    status, headers, packed = ask(page, path, Accept_Encoding="gzip")

    assert "content-encoding" not in plain
    assert (status, headers["content-encoding"], headers["content-security-policy"]) == (200, "gzip", POLICY)
    assert int(headers["content-length"]) * 3 < int(plain["content-length"])
    assert packed["sensors"] == view["sensors"]


def test_a_page_needs_no_pandas(plant: Plant) -> None:
    """Arrow imports it for a single number: half a second, and forty megabytes, that no page has any use for."""
    code = f"""
import sys
from hydrodask.store.history import History
from hydrodask.store.lake import Lake
history = History(Lake({str(plant.settings.lake_url)!r}))
history.rigs(["CE"]), history.bands("rig-0001", 0, 1 << 60), history.scores("rig-0001", 0, 1 << 60)
history.coarse("rig-0001", "CE", 0, 1 << 60), history.windows("rig-0001", "CE", 0, 1 << 60)
print("pandas" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def _lake_of(folder: Path, files: int) -> Lake:
    """Return a lake of one rig's raw samples, one a second, in a file each; each has its number as its value."""
    lake = Lake(str(folder / "lake"))
    for number in range(files):
        path = f"raw/sensor=PS2/date=1970-01-01/hydraulic-PS2-0-{number:012d}.parquet"
        lake.files.replace(path, _samples(np.array([number]), values=float(number)))
    return lake


def _samples(at_s: Any, values: float) -> bytes:
    at = pa.array(at_s * US_PER_S, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"rig": ["rig-1"] * len(at), "timestamp": at, "value": [values] * len(at)}), sink)
    return bytes(sink.getvalue())


def test_half_a_window_says_nothing() -> None:
    """A row of less than half of its samples is no point of a curve; one of an unknown rate is."""
    at = pa.array([0, 1, 2], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    end = pa.array([60 * US_PER_S] * 3, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    rows = pa.table(
        {"window_start": at, "window_end": end, "sample_count": [29, 31, 1], "sampling_rate_hz": [1.0, 1.0, None]}
    )

    assert fiveminutes.usable(rows)["sample_count"].to_pylist() == [31, 1]


def test_a_rig_s_page_has_curves_limits_episodes_and_strips(page: Console) -> None:
    """All from files and documents: 17 curves, what was usual, the failing cooler as one episode and on its strip."""
    status, _, view = ask(page, "/api/rig?rig=rig-0002&range=1h&pixels=300")
    _, _, sensors = ask(page, "/api/sensors")

    assert status == 200
    assert [one["sensor"] for one in view["sensors"]] == list(SENSORS)
    assert all(len(one["at"]) == len(one["mean"]) > 100 for one in view["sensors"])
    cooling = next(one for one in view["sensors"] if one["sensor"] == "CE")
    assert min(value for value in cooling["mean"] if value is not None) < 23.5
    assert len(cooling["usual"]["at"]) > 5
    assert view["episodes"][-1]["name"] == "CE cooler failing" or any(
        "cooler failing" in one["name"] for one in view["episodes"]
    )
    cooler = next(one for one in view["strips"] if one["name"] == "cooler")
    assert [span["text"] for span in cooler["spans"]][:1] == ["3 %"]
    assert view["source"] == ""
    assert view["files_end"] is not None
    limits = next(one for one in sensors["sensors"] if one["sensor"] == "CE")["limits"]
    assert [(one["value"], one["severity"]) for one in limits] == [(37, "warning"), (23.5, "critical")]


def test_health_of_a_tile_has_a_level_and_a_memory(page: Console) -> None:
    """Of a rig whose cooler has failed the worst of the last hour and day, which is no better than now."""
    tiles = {one["rig"]: one for one in ask(page, "/api/fleet")[2]["rigs"]}
    failed = tiles["rig-0002"]

    assert failed["worst_day"] == failed["worst_hour"] <= failed["health"] < 85
    assert [tiles[rig]["level"] for rig in ("rig-0001", "rig-0002")] == ["", "critical"]


def test_a_component_that_is_unknown_says_so_and_why() -> None:
    """In its line the reason that its document has, and on its strip no number where an incident has none."""
    gone, cooler = {"state": None, "unknown_because": "not measured: PS2"}, TARGETS["cooler"]

    assert state_of(gone, cooler) == "not measured: PS2"
    assert state_of({"state": None, "unknown_because": None}, cooler) == "unknown"
    assert [worst_of({"worst": worst}, cooler) for worst in (None, 0, 3)] == ["unknown", "0 %", "3 %"]


def test_states_have_the_names_of_their_declaration() -> None:
    """On strips, in what is said of now, and in messages: no number that only a model knows."""
    pump = TARGETS["pump"]
    verdict = Verdict("rig", "pump", 7, START_US, 2, 0.9, "hydrodask-pump", 1)
    told = {"pump": [Stretch(START_US, START_US + US_PER_S, "fault", "critical", 2)]}
    strips = {one["name"]: one for one in strips_of([{"component": "pump", "state": 1}], [], told)}

    assert (strips["pump"]["text"], strips["pump"]["spans"][0]["text"]) == ("weak leakage", "severe leakage")
    assert worst_of({"worst": 2}, pump) == "severe leakage"
    message = incident_of(ComponentTrack(settled=2, since=clock.iso(START_US + 60 * US_PER_S)), verdict, pump, 1)[
        "message"
    ]
    assert message == "pump has severe leakage (was weak leakage), says hydrodask-pump 1"


def test_raw_samples_show_in_a_zoom_and_no_extreme_of_100_hz_is_lost(page: Console, plant: Plant) -> None:
    """Ten minutes of PS1 at 100 Hz are a few hundred points with the least and the greatest value."""
    start_s = START_US // US_PER_S + 600
    _, _, view = ask(page, f"/api/zoom?rig=rig-0002&sensor=PS1&from={start_s}&to={start_s + 600}&pixels=300")
    table = Lake(plant.settings.lake_url).table("raw/sensor=PS1").to_pandas()
    at_s = table["timestamp"].astype("int64") / 1e6 if table["timestamp"].dt.unit == "us" else None
    assert at_s is not None
    values = table["value"][(at_s >= start_s) & (at_s <= start_s + 600)]

    assert view["of"] == "raw samples"
    assert len(view["mean"]) <= 602
    assert max(view["mean"]) == pytest.approx(values.max(), rel=1e-5)
    assert min(view["mean"]) == pytest.approx(values.min(), rel=1e-5)


def test_a_zoom_goes_as_far_as_there_is_something_to_see(page: Console) -> None:
    """Files of raw samples wait for minutes: where there are windows and no raw samples of them yet, it shows those."""
    start_s = START_US // US_PER_S + 600
    _, _, view = ask(page, f"/api/zoom?rig=rig-0001&sensor=PS1&from={start_s}&to={start_s + 600}&pixels=300")

    assert view["of"] == "60 s windows: newer than the files of raw samples"
    assert start_s <= view["at"][0] <= start_s + 60
    assert start_s + 500 < view["at"][-1] <= start_s + 660


def test_every_answer_has_a_strict_policy_and_nobody_else_may_ask(page: Console) -> None:
    """Other names, pages of others, forms, large bodies and strangers are refused, each with a sentence."""
    note = {"kind": "mute", "rig": "rig-0001", "for_s": 60}
    _, headers, _ = ask(page, "/static/app.css", token="")
    cases: dict[str, tuple[int, dict[str, str], Any]] = {
        "name": ask(page, "/api/fleet", Host="evil.example"),
        "origin": ask(page, "/api/answers", note, Origin="http://evil.example"),
        "site": ask(page, "/api/answers", note, Sec_Fetch_Site="cross-site"),
        "form": ask(page, "/api/answers", note, Content_Type="application/x-www-form-urlencoded"),
        "large": ask(page, "/api/answers", {"text": "x" * 20_000}),
        "stranger": ask(page, "/api/fleet", token=""),
        "wrong": ask(page, "/api/fleet", token=GIVE[::-1]),
        "looker": ask(page, "/api/answers", note, token=LOOK),
        "page": ask(page, "/static/../access.py"),
    }

    assert headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert {name: case[0] for name, case in cases.items()} == {
        "name": 421, "origin": 403, "site": 403, "form": 415, "large": 413, "stranger": 401, "wrong": 401,
        "looker": 403, "page": 404,
    }  # fmt: skip
    assert all(case[1]["content-security-policy"] == POLICY for case in cases.values())
    assert ask(page, "/", token="")[0] == 303
    assert ask(page, "/login", token="")[0] == 200
    assert ask(page, "/api/me", token=LOOK)[2] == {
        "name": "eva", "may_answer": False, "locked": True, "zone": "UTC", "zone_labels": {"0": "UTC"}
    }  # fmt: skip


def test_who_asks_nothing_is_let_go(page: Console) -> None:
    """Connections that say nothing, or half of a request, would take the places of all others."""
    silent, odd = (socket.create_connection(("127.0.0.1", page.port), timeout=120) for _ in range(2))
    with silent, odd:
        odd.sendall(b"GET / HTTP/1.1\r\n")
        assert (silent.recv(1), odd.recv(1)) == (b"", b"")
    assert ask(page, "/api/fleet")[0] == 200


def test_who_goes_without_a_goodbye_leaves_nothing(page: Console) -> None:
    """Neither a connection nor a task, some seconds later: twelve ask for a rig's curves and more, and read none."""
    state = page._server.server_state
    words = f"Host: 127.0.0.1\r\nAuthorization: Bearer {LOOK}\r\n\r\n"
    asks = "".join(f"GET {path} HTTP/1.1\r\n{words}" for path in ("/api/rig?rig=rig-0001&range=1h", "/api/fleet"))
    answered, gone = state.total_requests, [socket.create_connection(("127.0.0.1", page.port)) for _ in range(12)]
    for one in gone:
        one.sendall(asks.encode())
    until(lambda: state.total_requests >= answered + 24, "all of them have been answered")
    assert len(state.connections) >= 12
    until(lambda: not state.connections and not state.tasks, "nothing of them is left", seconds=60)
    for one in gone:
        one.close()


def test_a_token_is_exchanged_for_a_cookie_that_scripts_do_not_see(page: Console) -> None:
    """The cookie is HttpOnly and SameSite=Strict; it lets in until one logs out."""
    status, headers, said = ask(page, "/api/login", {"token": GIVE}, token="")
    cookie = headers["set-cookie"].partition(";")[0]

    assert (status, said) == (200, {"name": "anna"})
    assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in headers["set-cookie"].split(";")}
    assert ask(page, "/api/fleet", token="", Cookie=cookie)[0] == 200
    assert ask(page, "/api/login", {"token": "nonsense"}, token="")[0] == 403
    ask(page, "/api/logout", {}, token="", Cookie=cookie)
    assert ask(page, "/api/fleet", token="", Cookie=cookie)[0] == 401


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"address": "0.0.0.0:0"}, "console.token_file"),
        ({"address": "0.0.0.0:0", "token_file": Path("tokens")}, "console.cert_file"),
        ({"token_file": Path("nowhere")}, "can't be read"),
        ({"token_file": Path("open")}, "chmod 600"),
        ({"token_file": Path("short")}, "16 characters"),
        ({"address": "here"}, "HOST:PORT"),
        ({"cert_file": Path("tokens")}, "both, or none"),
    ],
)
def test_an_open_door_is_refused_before_it_opens(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    """Beyond loopback only with tokens and TLS; and a file that others can read is no secret."""
    for name, text, mode in (
        ("tokens", f"a look {LOOK}", 0o600),
        ("open", f"a look {LOOK}", 0o644),
        ("short", "a look x", 0o600),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    chosen = ConsoleSettings(**({"address": "127.0.0.1:0"} | fields))

    with pytest.raises(ConfigError, match=re.escape(said)):
        Console(Settings(data_dir=tmp_path, console=chosen))


def test_wrong_tokens_lock_out_nobody_who_has_a_right_one() -> None:
    """However many come from whomever: they are refused, and no one else is."""
    access = Access({hashlib.sha256(GIVE.encode()).digest(): Access({}).visitor("", "")})  # type: ignore[dict-item]

    assert [access.login(f"wrong-{n}") for n in range(50)] == [None] * 50
    assert access.login(GIVE) is not None


def test_answers_are_kept_once_with_who_and_when(page: Console, plant: Plant) -> None:
    """By the API: with the token's name, on the episode, idempotent by id; what there is not can't be answered."""
    _, _, view = ask(page, "/api/rig?rig=rig-0002&range=1h")
    episode = view["episodes"][0]
    body = {"kind": "note", "incident": episode["id"], "text": HOSTILE, "by": "mallory", "id": uuid.uuid4().hex}

    assert [ask(page, "/api/answers", body)[0] for _ in range(2)] == [201, 201]
    status, _, wrong = ask(page, "/api/answers", {"kind": "ack", "incident": "rig-0002/CE/nothing"})
    unread = {"kind": "found", "incident": episode["id"], "states": "pump= cooler=20%"}
    status_unread, _, refusal = ask(page, "/api/answers", unread)
    _, _, muted = ask(page, "/api/answers", {"kind": "mute", "rig": "rig-0002", "rule": "overpressure", "for_s": 3600})
    _, _, after = ask(page, "/api/rig?rig=rig-0002&range=1h")
    given = ask(page, "/api/answers")[2]

    assert (status, "no incident" in wrong["error"]) == (400, True)
    assert (status_unread, "pump has no state ''; want one of 0, 1, 2" in refusal["error"]) == (400, True)
    notes = next(one for one in after["episodes"] if one["id"] == episode["id"])["notes"]
    assert [(one["by"], one["text"]) for one in notes] == [("anna", HOSTILE)]
    assert [one["kind"] for one in given].count("note") == 1
    assert muted["until"] > clock.iso(clock.now_us())
    fleet = ask(page, "/api/fleet")[2]
    assert [one["what"] for one in fleet["muted"]] == ["rig-0002, overpressure"]
    documents = open_documents(plant.settings)
    assert Answers(documents.find("answers", {}, limit=9)).muted("rig-0002", "PS1", "overpressure", clock.now_us())
    documents.close()


def test_schema_describes_what_the_api_takes(page: Console) -> None:
    """Every path of it answers, and an answer that it allows is taken."""
    described = ask(page, "/api/schema", token="")[2]
    answer = described["paths"]["/api/answers"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert answer["properties"]["kind"]["enum"][:2] == ["ack", "unack"]
    query = "?rig=rig-0001&range=15m&sensor=CE&from=1796011300&to=1796011400"
    assert {ask(page, f"{path}{query}")[0] for path in described["paths"]} == {200}


def test_the_live_tail_goes_on_where_files_end() -> None:
    """A window that is open yet changes until the next one comes; what is older than known changes nothing."""
    live = Live(60.0)
    live.take([("a", "CE", (100, 1.0, 0.0, 2.0))])
    live.take([("a", "CE", (100, 1.5, 0.0, 2.0)), ("b", "CE", (90, 7.0, 7.0, 7.0))])
    before = live.changed("a")
    live.take([("a", "CE", (90, 9.0, 9.0, 9.0)), ("a", "CE", (110, 2.0, 0.0, 2.0))], behind_s=0.4)

    assert live.tail("a", "CE", 99) == [(100, 1.5, 0.0, 2.0), (110, 2.0, 0.0, 2.0)]
    assert live.newest("a") == {"CE": (110, 2.0, 0.0, 2.0)}
    assert live.changed("a") > before > 0
    assert live.changed("b") < live.changed("a")


def test_a_stream_that_stalls_is_not_live() -> None:
    """For how long nothing new came of a rig is said, by the wall clock, whatever event time rows have.

    A row that was made long ago is as old when it is read; the same row again is nothing new.
    """
    live, row = Live(60.0, slide_s=10.0), (100, 1.0, 0.0, 2.0)
    with clock.replaced_by(hand := Hand()):
        live.take([("a", "CE", row), ("b", "CE", row), ("old", "CE", row)], old_s={"old": 190.0})
        assert [live.why_not(rig) for rig in ("a", "b", "old")] == ["", "", "no new rows for 3 min 10 s"]
        hand.sleep_s(29.0)
        live.take([("a", "CE", row), ("b", "CE", (110, *row[1:]))])
        hand.sleep_s(7.0)

        assert [live.why_not(rig) for rig in ("a", "b")] == ["no new rows for 35 s", ""]


class Hand(clock.SystemClock):
    """A clock that stands still until somebody moves it."""

    def __init__(self) -> None:
        self.at_s = 1_000.0

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep_s(self, seconds: float) -> None:
        self.at_s += seconds


def test_a_page_hears_that_a_stream_has_stalled(plant: Plant) -> None:
    """Although no value has changed: it is a revision of its own."""
    with clock.replaced_by(hand := Hand()):
        console = Console(plant.settings, lambda: Overview("run", plant.end_us))
        live = console._curves.sight.live
        live.take([("rig-0001", "CE", (plant.end_us + US_PER_S, 1.0, 0.0, 2.0))])
        first = ask(console, "/api/live?rig=rig-0001")[2]
        same = ask(console, f"/api/live?rig=rig-0001&after={first['revision']}")[0]
        hand.sleep_s(60.0)
        status, _, said = ask(console, f"/api/live?rig=rig-0001&after={first['revision']}")
        console.close()

    assert (first["stopped"], same) == ("", 304)
    assert (status, said["stopped"]) == (200, "no new rows for 1 min 0 s")


def test_what_is_not_ours_is_what_its_makers_published() -> None:
    """Vendored files have the hashes that npm's package has, and their licence lies beside them."""
    assert {name: hashlib.sha256((STATIC / name).read_bytes()).hexdigest() for name in VENDORED} == VENDORED
    assert "MIT License" in (STATIC / "uPlot.LICENSE").read_text()


def test_scripts_are_small_and_put_no_data_into_markup() -> None:
    """Less than 60 kB gzipped in all, no inline script or style, and no way from text to markup."""
    scripts = {path.name: path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")}
    ours = {name: text for name, text in scripts.items() if not name.startswith("uPlot")}
    pages = [path.read_text(encoding="utf-8") for path in STATIC.glob("*.html")]

    assert sum(len(gzip.compress(text.encode())) for text in scripts.values()) < 60_000
    assert [
        n for n, t in ours.items() if re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", t)
    ] == []
    assert not [one for one in pages if re.search(r"<script>|<style|\son\w+=|style=|https?://", one)]


@pytest.mark.integration
def test_answers_outlive_kill_9_replay_and_backfill(leftover: Stored, tmp_path: Path) -> None:
    """By a page that is killed at once; then documents are removed and computed anew, and `verify` finds nothing."""
    copy = leftover.copy(tmp_path)
    documents = open_documents(copy.settings)
    there = documents.find("incidents", {}, limit=1)
    documents.close()
    assert there
    command = [sys.executable, "-m", "hydrodask", "console", "--address", "127.0.0.1:0", "--set"]
    process = subprocess.Popen(
        [*command, f"data_dir={copy.settings.data_dir}"], stderr=subprocess.PIPE, text=True, env=os.environ.copy()
    )
    assert process.stderr is not None
    try:
        lines, ports = list[str](), list[str]()
        for line in islice(process.stderr, 20):  # others may say something first
            lines.append(line)
            if ports := re.findall(r"127\.0\.0\.1:(\d+)/", line):
                break
        assert ports, f"no port in {lines}"
        connection = http.client.HTTPConnection("127.0.0.1", int(ports[0]), timeout=120)
        body = {"kind": "ack", "incident": there[0]["_id"], "by": "anna", "text": "on my way", "id": "the-same-answer"}
        connection.request("POST", "/api/answers", json.dumps(body), {"Content-Type": "application/json"})
        with connection.getresponse() as answer:
            assert answer.status == 201
        connection.close()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()

    copy.sql("DELETE FROM incidents")
    restored = restore_documents(copy.settings, write=True)

    assert sum(one.restored for one in restored) > 0
    documents = open_documents(copy.settings)
    answers = documents.find("answers", {}, limit=9)
    assert [(one["_id"], one["by"], one["kind"]) for one in answers] == [("the-same-answer", "anna", "ack")]
    documents.close()
    results = copy.audit()
    assert fine(results)
    assert results["documents"].looked_at["answers"] == 1
