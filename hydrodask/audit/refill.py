"""Take raw rows, labels and bands from the log again, where files are missing, damaged or not what the log says."""

from collections.abc import Callable, Iterator

import pyarrow as pa

from hydrodask.audit.chain import end_of
from hydrodask.audit.differences import below
from hydrodask.audit.documents import arrivals_of, editions_of
from hydrodask.audit.labels import expected
from hydrodask.audit.log import BrokerLog
from hydrodask.audit.part import Part
from hydrodask.audit.rebuild import rebuild_from_log
from hydrodask.audit.repair import Mender, Report
from hydrodask.audit.verify import Audit
from hydrodask.errors import ConfigError
from hydrodask.nodes import editions
from hydrodask.settings import Settings
from hydrodask.store.schemas import bands_table, samples_table

Say = Callable[[str], None]

FROM_LOG = (("monitor", "raw"), ("labels", "labels"), ("alert", "bands"))
"""The flows, and those of their folders, whose rows follow from the records that they read, and from nothing else."""


def refill(settings: Settings, *, write: bool, say: Say = lambda _said: None) -> list[Report]:
    """Compare raw/, labels/ and bands/ with the log; with `write` put files of its rows in place, as `backfill` does.

    So are files of flows from outside whose records only the log has. Rows that no file holds yet are not looked at.
    Raises ConfigError with an embedded broker, RetryableError when broker or file system refuse.
    """
    if settings.kafka.embedded:
        raise ConfigError("kafka.embedded has value True: the embedded broker's records are gone when its run ends")
    log = BrokerLog(settings.kafka)
    try:
        audit = Audit(settings, log, say)
        audit.gather()
        reports = []
        for flow, folder in FROM_LOG:
            for part in audit.parts[flow]:
                say(f"{part.name}: {folder}/")
                reports.append(_refill(part, folder, write=write))
        return [*reports, *rebuild_from_log(settings, log, write=write, say=say)]
    finally:
        log.close()


def _refill(part: Part, folder: str, *, write: bool) -> Report:
    """Compare one partition's files with its log."""
    report = Report(part.source)
    if part.log is None:
        report.left.append(f"{folder}/: the log of its rows is not there any more")
        return report
    low, high = part.bounds
    if folder == "bands" and low > 0:
        report.left.append("bands/: the log has lost its beginning (retention), and they follow from all of it")
        return report
    start, end = max(low, part.begin), min(high, max(part.committed or 0, end_of(part.chains.get(folder, []))))
    mender = Mender(part, folder, report, write=write, since=start)
    for table in _rows(part, folder, start, end):
        report.samples += table.num_rows if folder == "raw" else 0
        mender.expect(table)
    mender.finish(end)
    return report


def _rows(part: Part, folder: str, start: int, end: int) -> Iterator[pa.Table]:
    """Yield what the log says that a folder holds."""
    assert part.log is not None  # noqa: S101 - the caller has looked
    intake = part.intake(start) if folder == "raw" else None
    judging = editions.Judging(editions_of(part)) if folder == "bands" else None
    # What a baseline says follows from all rows before.
    for messages in part.log.messages(part.source, part.bounds[0] if judging else start, end):
        if judging is not None:
            bands = [band for one in arrivals_of(messages) if judging.take(one) is not None for band in judging.bands]
            yield bands_table(bands, partition=part.source[1])
            continue
        if intake is None:
            yield expected(part, messages)[0]
            continue
        for samples, _rejects in intake.decode(messages):
            yield below(samples_table(samples), "offset", end)
