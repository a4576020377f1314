"""What flows from outside have stored: a chain of files a partition and folder, with what snapshots say of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hydrodask.audit.chain import arrange
from hydrodask.audit.finding import Result
from hydrodask.audit.links import inspect
from hydrodask.audit.mending import DERIVED, RECORDS, Mend
from hydrodask.audit.part import Part, known_logs
from hydrodask.audit.rerun import Rerun
from hydrodask.audit.snapshots import load_snapshots
from hydrodask.audit.strangers import partitions_of
from hydrodask.flow import Flow
from hydrodask.protocol.incarnation import Incarnation
from hydrodask.records import PartitionId
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.store.listing import named


@dataclass(frozen=True, slots=True)
class Owned:
    """A flow's chains on one partition, by folder, and the logs that it has read there.

    Each is a part of its own: a flow that has got another folder later has begun that one later.
    """

    flow: Flow
    source: PartitionId
    chains: dict[str, Part]
    known: list[Incarnation]

    @property
    def begin(self) -> int:
        """Where the flow began, as far as anything says it."""
        return min(part.begin for part in self.chains.values())


def owned(
    settings: Settings, flow: Flow, result: Result, mend: Callable[[PartitionId], Mend] | None = None
) -> list[Owned]:
    """Return what a flow has in its folders; what is wrong with a file is said, and what may `mend` it."""
    if not flow.folders:
        return []
    lake, files = Lake.of(settings), Files(settings.of_flow(flow.name, start=flow.start).snapshots_url)
    listed = (named(path) for folder in flow.folders for path in lake.files.names(folder))
    arranged = arrange([one for one in listed if one is not None], result)
    topics = {settings.topic(name) for name in flow.topics}
    there = arranged.keys() | {source for _, source in partitions_of(files) if source is not None}
    found = []
    for source in sorted(one for one in there if one[0] in topics):
        anew = mend(source) if mend is not None else DERIVED
        taken = load_snapshots(files, source, Result("", ""), lake.keyring)
        known, chains = known_logs(files, source, taken, None), {}
        for folder in flow.folders:
            links = [inspect(lake, one, None, result, anew) for one in arranged.get(source, {}).get(folder, [])]
            its = [
                replace(one, state=one.state | {"files": {k: v for k, v in one.state["files"].items() if k == folder}})
                for one in taken
            ]
            part = Part(settings, source, lake, {folder: links}, its, known=known)
            part.bounds = (part.known[0].base if known else 0, 0)
            chains[folder] = part
        found.append(Owned(flow, source, chains, known))
    return found


def mend_of(settings: Settings, flow: Flow, source: PartitionId) -> Mend:
    """Return what puts files of a flow back: from raw/, or from the log, by what its graph takes."""
    try:
        return DERIVED if Rerun(flow, settings, source, []).refed else RECORDS
    except Exception:  # a stranger's, whatever it is: `backfill` says it
        return RECORDS
