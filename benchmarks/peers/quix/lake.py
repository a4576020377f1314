"""A sink that writes what a checkpoint has of a topic as one Parquet file, named by its first and last offsets."""

from collections.abc import Mapping
from pathlib import Path

from quixstreams.sinks import BatchingSink, SinkBatch
from quixstreams.sinks.community.file.formats import ParquetFormat


class Lake(BatchingSink):
    """A folder a sensor. Quix Streams' own file sink allows no `=` and no `-` in paths."""

    def __init__(self, folder: Path, sensors: Mapping[str, str]) -> None:
        super().__init__()
        self._folder = folder
        self._sensors = {topic: sensor for sensor, topic in sensors.items()}
        self._format = ParquetFormat(compression="zstd")

    def write(self, batch: SinkBatch) -> None:
        """Write a file, instead of one of a checkpoint that did not end: that began with the same record."""
        folder = self._folder / f"sensor={self._sensors[batch.topic]}"
        folder.mkdir(exist_ok=True)
        for file in folder.glob(f"{batch.start_offset:012}-*.parquet"):
            file.unlink()
        *_, last = batch
        name = f"{batch.start_offset:012}-{last.offset:012}.parquet"
        unfinished = folder / f"_{name}"
        unfinished.write_bytes(self._format.serialize(batch))
        unfinished.rename(folder / name)
