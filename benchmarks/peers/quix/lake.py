"""A sink that writes what a checkpoint has of a topic as one Parquet file, named by its first and last offsets."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from quixstreams.sinks import BatchingSink, SinkBatch

COLUMNS = ("cycle", "sample_idx", "value", "timestamp")


class Lake(BatchingSink):
    """A folder a sensor. Quix Streams' own file sink allows no `=` in paths, and its files are there half written."""

    def __init__(self, folder: Path, inputs: Mapping[str, str]) -> None:
        super().__init__()
        self._folder = folder
        self._sensors = {topic: sensor for sensor, topic in inputs.items()}

    def write(self, batch: SinkBatch) -> None:
        """Write a file, instead of one of a checkpoint that did not end: that began with the same record."""
        folder = self._folder / f"sensor={self._sensors[batch.topic]}"
        folder.mkdir(exist_ok=True)
        items = list(batch)
        first, last = (f"{item.offset:012}" for item in (items[0], items[-1]))
        for file in folder.glob(f"{first}-*.parquet"):
            file.unlink()
        unfinished = folder / f"_{first}-{last}.parquet"
        table = pa.table({name: [item.value[name] for item in items] for name in COLUMNS})
        pq.write_table(table, unfinished, compression="zstd")
        unfinished.rename(folder / f"{first}-{last}.parquet")
