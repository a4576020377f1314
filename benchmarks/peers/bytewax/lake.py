"""A sink that writes each epoch's records of a sensor as one Parquet file, exactly once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from benchmarks.peers.bytewax.panes import Readings


class Lake(FixedPartitionedSink[Readings, int]):
    """A folder a sensor."""

    def __init__(self, folder: Path, sensors: list[str]) -> None:
        self._folder = folder
        self._sensors = sensors

    def list_parts(self) -> list[str]:
        """Return the sensors."""
        return self._sensors

    def part_fn(self, item_key: str) -> int:
        """Return the place of a sensor's part among all, which Bytewax has sorted."""
        return sorted(self._sensors).index(item_key)

    def build_part(self, _step_id: str, for_part: str, resume_state: int | None) -> "Files":
        """Go on after the last epoch that is in the recovery store."""
        return Files(self._folder / f"sensor={for_part}", resume_state or 0)


class Files(StatefulSinkPartition[Readings, int]):
    """Files of one sensor, named by their first and last offsets.

    Those from `then` on are of an epoch that did not end: its records come again, and make files of their own.
    """

    def __init__(self, folder: Path, then: int) -> None:
        self._folder = folder
        self._then = then
        self._waiting: list[Readings] = []
        folder.mkdir(exist_ok=True)
        for file in folder.glob("*.parquet"):
            if int(file.stem.partition("-")[0]) >= then:
                file.unlink()

    def write_batch(self, values: list[Readings]) -> None:
        """Keep the records until the epoch ends."""
        self._waiting += values

    def snapshot(self) -> int:
        """Write what the epoch has brought, and return the offset of what comes next."""
        if self._waiting:
            first, self._then = self._waiting[0].offset, self._waiting[-1].then
            name = f"{first:012}-{self._then - 1:012}.parquet"
            unfinished = self._folder / f"_{name}"
            pq.write_table(pa.concat_tables([_table(one) for one in self._waiting]), unfinished, compression="zstd")
            unfinished.rename(self._folder / name)
            self._waiting = []
        return self._then


def _table(readings: Readings) -> pa.Table:
    return pa.table(
        {
            "cycle": readings.cycle,
            "sample_idx": readings.sample_idx,
            "value": readings.value,
            "timestamp": readings.time_us.view("datetime64[us]"),
        }
    )
