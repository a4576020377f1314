"""A thousand rigs in one topic: every rig's windows are its own, and right."""

import duckdb
import numpy as np
import pandas as pd

from hydrodask.blobs import Blobs
from hydrodask.decode import Decoder
from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.encode import encode
from hydrodask.records import Messages, Samples
from hydrodask.rigs import RIGS
from hydrodask.window import OpenCycles, OpenWindows

START_US = 1_767_225_600_000_000
RIGS_COUNT, SECONDS = 1000, 150


def topic() -> list[bytes | None]:
    """Return what a thousand rigs publish of sensor TS1 in 150 s, each with its own phase, in order of event time."""
    random = np.random.default_rng(1)
    index = np.arange(SECONDS)
    published = []
    for rig in range(RIGS_COUNT):
        place = index + int(random.integers(60))
        time_us = START_US + index * 1_000_000 + int(random.integers(1_000_000))
        value = np.round(random.normal(40, 5, SECONDS), 3)
        chunk = Chunk(f"rig-{rig}", "TS1", place // 60, place % 60, value, time_us, time_us, 1, {})
        published += list(zip(time_us.tolist(), encode(chunk), strict=True))
    return [v if isinstance(v, bytes) else v.encode() for _, v in sorted(published)]


def samples_of(values: list[bytes | None]) -> Samples:
    """Return the decoded samples; none is rejected."""
    offsets, stamps_ms = np.arange(len(values)), np.full(len(values), 1_800_000_000_000)
    messages = Messages("hydraulic-TS1", 0, Blobs.of(values), Blobs.of([None] * len(values)), offsets, stamps_ms)
    decoder = Decoder("TS1", default_rig="rig-1", future_us_max=60_000_000, record_bytes_max=65_536, rig_bytes_max=128)
    samples, rejects = decoder.decode(messages)
    assert not rejects
    return samples


def test_windows_of_a_thousand_rigs_equal_those_of_a_database() -> None:
    """Final windows per rig equal DuckDB's: counts, least and largest exactly, means to 1e-12."""
    samples = samples_of(topic())
    windows = OpenWindows("TS1", length_us=60_000_000, slide_us=10_000_000, lateness_us=10_000_000)
    final, late = windows.consume(samples)
    database = duckdb.connect()
    database.register("rows", pd.DataFrame({"rig": samples.rig, "time_us": samples.time_us, "value": samples.value}))

    wanted = database.sql(
        """with newest as (select rig, max(time_us) - 10000000 as watermark from rows group by rig),
           starts as (select distinct rig, time_us // 10000000 * 10000000 - k * 10000000 as start_us
                      from rows, range(6) t(k))
           select s.rig, s.start_us, count(*) as n, min(value) as low, max(value) as high, avg(value) as mean
           from starts s join newest using (rig)
           join rows r on r.rig = s.rig and r.time_us >= s.start_us and r.time_us < s.start_us + 60000000
           where s.start_us + 60000000 <= watermark group by 1, 2 order by 1, 2"""
    ).fetchnumpy()

    order = np.lexsort((final.start_us, final.rig))
    assert len(windows) == RIGS_COUNT
    assert len(late.samples) == 0
    assert len(final) == len(wanted["n"]) > 10 * RIGS_COUNT
    for mine, theirs in ((final.rig, "rig"), (final.start_us, "start_us"), (final.count, "n")):
        assert (mine[order] == wanted[theirs]).all()
    assert (final.low[order] == wanted["low"]).all()
    assert (final.high[order] == wanted["high"]).all()
    assert np.allclose(final.mean[order], wanted["mean"], rtol=1e-12, atol=0)


def test_profiles_of_a_thousand_rigs_are_their_own() -> None:
    """Each rig's second cycle has sixty segments with its own values."""
    samples = samples_of(topic())

    done = OpenCycles("TS1", lateness_us=10_000_000).consume(samples)

    whole = np.flatnonzero(done.complete & (done.cycle == 1))
    assert len(whole) == RIGS_COUNT
    for i in whole[:: len(whole) // 20]:
        mine = (samples.rig == done.rig[i]) & (samples.cycle == 1)
        assert RIGS.name(int(done.rig[i])).startswith("rig-")
        assert (done.mean[i] == samples.value[mine][np.argsort(samples.sample_idx[mine])]).all()
