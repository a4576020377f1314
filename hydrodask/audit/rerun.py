"""Run the graph of a flow from outside once more, over what raw/ or the log has: the files that come of it.

What a node stores follows from the records in their order alone, so the graph gives the rows once more, and its own
outputs say below which folder and with what metadata. Nothing leaves it: files are handed out, all else is dropped.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hydrodask.flow import Flow
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Inlet
from hydrodask.protocol.declared import Declared
from hydrodask.protocol.incarnation import Incarnation, Seam
from hydrodask.protocol.snapshot import folder_of
from hydrodask.records import Messages, PartitionId, Samples
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake, Written

_NOBODY = 1 << 62
"""No record has this offset or one above."""


@dataclass(frozen=True, slots=True)
class Rolled:
    """A file as an output would have written it: its folder, below the lake's, its rows, and what it says besides."""

    below: str
    rows: pa.Table
    says: Mapping[bytes, bytes]


class Rerun:
    """A flow's graph on one partition, from nothing on. Takes records in the order of their offsets.

    What the flow's code raises goes to the caller. `known` are the logs that the flow has read.
    """

    def __init__(self, flow: Flow, settings: Settings, source: PartitionId, known: list[Incarnation]) -> None:
        aside = f"memory://{uuid.uuid4().hex}"
        own = settings.of_flow(flow.name, start=flow.start)
        self._lake = _MemoryLake(f"{aside}/lake")
        self._ctx = Context(own, flow.name, *source, self._lake)
        self._inlet = Inlet[Messages](self._ctx)
        Declared(flow)(self._inlet, self._ctx)
        beside = _copied(Files(own.snapshots_url), source, Files(f"{aside}/snapshots"))
        for node in self._ctx.nodes:
            node.open(beside, _NOBODY)
        self._known = known

    @property
    def refed(self) -> bool:
        """Whether raw/ has all that it takes; else only the log does."""
        return self._inlet.refed

    @property
    def folders(self) -> list[str]:
        """The folders that it stores in."""
        return list(self._ctx.files)

    def take(self, records: Samples | Messages) -> None:
        """Run records through the graph: samples of raw/, or messages of the log."""
        if isinstance(records, Messages):
            self._inlet.emit(records)
        else:
            for step in self._ctx.refeeding:
                step.again(records)
        self._drop()

    def cross(self, seam: Seam) -> None:
        """Go over into another log, as the flow did."""
        if not seam.keeps:
            for step in self._ctx.crossing:
                step.cross(seam.base, seam.whole)
        self._drop()

    def roll(self, folder: str, end: int) -> Rolled | None:
        """Return the file of what has come for a folder since the last time, None for nothing; it ends at `end`."""
        output = self._ctx.files[folder]
        output.log = next((one.text for one in reversed(self._known) if one.base < end), "")
        output.roll(end)
        return self._lake.take()

    def _drop(self) -> None:
        """Drop what waits for a commit: it is out already."""
        self._ctx.outbox.clear()
        self._ctx.changes.clear()
        self._ctx.notes.clear()


class _MemoryLake(Lake):
    """A lake that hands out what is put into it."""

    _put: Rolled | None = None

    def put(self, folder: str, *place: Any, **says: Any) -> Written:
        """Keep a file until it is taken. Of the place only the rows and where it ends count: `Lake.put` has all."""
        *_, end, rows = place
        self._put = Rolled(folder, rows.combine_chunks(), says["metadata"])
        return Written(end, 0, ours=True)

    def take(self) -> Rolled | None:
        """Return the file that was put."""
        put, self._put = self._put, None
        return put


def _copied(files: Files, source: PartitionId, copy: Files) -> Files:
    """Return a copy of the small files beside a partition's snapshots, which nodes may look at, and write."""
    for path in files.names(folder_of(source)):
        if not path.endswith(".snapshot"):
            copy.put_if_absent(path, files.read(path))
    return copy
