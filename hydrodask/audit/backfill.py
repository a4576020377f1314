"""Compute windows, cycle profiles and late samples anew from raw/, compare with the stored ones, and put them right.

One call a partition, with nothing shared between two, so that Dask can run them anywhere.
"""

from hydrodask.audit.chain import arrange, usable_part
from hydrodask.audit.finding import Result
from hydrodask.audit.links import inspect
from hydrodask.audit.part import Part, known_logs
from hydrodask.audit.repair import Mender, Report
from hydrodask.audit.replay import Operators, crossing, raw_samples
from hydrodask.audit.snapshots import load_snapshots
from hydrodask.protocol.incarnation import Seam
from hydrodask.records import PartitionId
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.store.listing import named
from hydrodask.store.schemas import FLAT, FOLDERS

COMPUTED = ("windows", "cycles", "late")


def backfill(settings: Settings, source: PartitionId, write: bool) -> Report:
    """Compare one partition's derived files with what raw/ gives; with `write` put recomputed ones in place.

    A file is replaced in one step. Rows past the end of raw/ are not looked at. Nothing is written unless raw/ is
    whole, for then the recomputed rows would be wrong. Raises RetryableError when the file system refuses.
    """
    report, doubts = Report(source), Result("raw", "")
    part = _part(settings, source, doubts)
    links = part.chains.get("raw", [])
    usable = usable_part(links)
    if len(usable) < len(links) or (usable and usable[0].first > part.begin):
        report.left.append(
            "raw/ has a gap or a damaged file, so nothing can be computed from it; see `hydrodask verify`"
        )
        return report
    menders = [Mender(part, folder, report, write=write) for folder in COMPUTED]
    operators = Operators(source, part.sensor, part.geometries, part.history)
    end = part.begin
    for samples in crossing(raw_samples(part.lake, usable, part.sensor), part.seams if usable else []):
        if isinstance(samples, Seam):
            parts = operators.cross(samples)
        else:
            report.samples += len(samples)
            parts = operators.consume(samples)
        end = usable[-1].end or end
        for done in parts:
            tables = operators.tables(done)
            for mender in menders:
                mender.expect(tables[mender.folder])
    for mender in menders:
        mender.finish(end if usable else part.begin)
    return report


def sources_of(settings: Settings) -> list[PartitionId]:
    """Return the partitions of sensors' topics that have raw files."""
    files = (named(path) for path in Lake.of(settings).files.names("raw"))
    prefix = settings.topics.prefix
    return sorted({file.source for file in files if file is not None and file.topic.startswith(prefix)})


def _part(settings: Settings, source: PartitionId, doubts: Result) -> Part:
    lake = Lake.of(settings)
    snapshots = Files(settings.snapshots_url)
    part = Part(settings, source, lake, {}, load_snapshots(snapshots, source, doubts, lake.keyring))
    part.known = known_logs(snapshots, source, part.snapshots, None)
    below_sensor = [f"{folder}/sensor={part.sensor}" for folder in FOLDERS if folder not in FLAT]
    found = (named(path) for folder in below_sensor for path in lake.files.names(folder))
    arranged = arrange([file for file in found if file is not None and file.source == source], doubts)
    for folder, files in arranged.get(source, {}).items():
        part.chains[folder] = [inspect(lake, file, part.sensor, doubts) for file in files]
    return part
