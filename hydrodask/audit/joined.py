"""Check which cycles the scorer's snapshots say were judged last: each is a cycle of which profiles are there."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hydrodask.audit.finding import Result
from hydrodask.audit.links import read_bytes
from hydrodask.audit.mending import aside
from hydrodask.audit.part import Part
from hydrodask.clock import iso
from hydrodask.learn.score.joining import SAME_CYCLE_US
from hydrodask.records import Int64
from hydrodask.store.lake import Lake, unpack
from hydrodask.store.listing import readable


def check_joined(lake: Lake, scoring: list[Part], parts: list[Part], result: Result) -> None:
    """Say which snapshot names a cycle that no sensor has had; what is newer than all profiles may be to come yet."""
    named: dict[str, dict[int, str]] = {}
    for part in scoring:
        for taken in part.snapshots:
            for rig, start_us in taken.state.get("nodes", {}).get("joiner", {}).get("closed", {}).items():
                named.setdefault(rig, {})[start_us] = taken.path
    newest: dict[str, int] = {}
    for table in _cycles(lake, parts) if named else ():
        for rig, starts_us in _by_rig(table):
            newest[rig] = max(int(starts_us[-1]), newest.get(rig, int(starts_us[-1])))
            for start_us in list(named.get(rig, ())):
                place = int(np.searchsorted(starts_us, start_us - SAME_CYCLE_US, side="right"))
                if place < len(starts_us) and starts_us[place] < start_us + SAME_CYCLE_US:
                    del named[rig][start_us]
    for rig, cycles in sorted(named.items()):
        for start_us, path in sorted(cycles.items()):
            if start_us <= newest.get(rig, -1):
                what = f"its state of the joiner names a cycle of rig {rig!r} from {iso(start_us)}: there is no profile"
                result.found(path, what, mend=aside(path))


def _by_rig(table: pa.Table) -> Iterator[tuple[str, Int64]]:
    """Give each rig of a table, and the starts of its cycles in order."""
    rigs = table["rig"].combine_chunks().dictionary_encode()
    codes, starts_us = rigs.indices.to_numpy(), table["cycle_start"].cast(pa.int64()).to_numpy()
    for code, rig in enumerate(rigs.dictionary.to_pylist()):
        yield rig, np.unique(starts_us[codes == code])


def _cycles(lake: Lake, parts: list[Part]) -> Iterator[pa.Table]:
    """Yield rigs and starts of cycles, file by file, and of those that wait in snapshots."""
    for file in readable(lake.files.names("cycles")):
        try:
            yield pq.ParquetFile(pa.BufferReader(read_bytes(lake, file.path))).read(["rig", "cycle_start"])
        except (pa.ArrowException, OSError, ValueError, KeyError):
            continue  # other checks have said so
    for part in parts:
        for taken in part.snapshots:
            if waiting := taken.state.get("files", {}).get("cycles", {}).get("waiting"):
                yield unpack(waiting).select(["rig", "cycle_start"])
