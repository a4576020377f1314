"""Hold the log against raw/ and the dead letters: every record is kept or dead, once; the log alone may have gaps."""

from hydrodask.audit.chain import end_of
from hydrodask.audit.differences import Comparison, below, from_on, nonempty
from hydrodask.audit.finding import Results
from hydrodask.audit.ledger import Ledger, digest
from hydrodask.audit.mending import LOST, RECORDS
from hydrodask.audit.part import Part
from hydrodask.audit.replay import KEYS
from hydrodask.nodes.outgoing import dead_letter
from hydrodask.records import Outgoing, Reject
from hydrodask.store.schemas import samples_table


def check_records(part: Part, results: Results, dead: Ledger, place: int) -> None:
    """Decode what the log still has of a sensor's partition, and compare; rejects go to `dead` as what is wanted."""
    result = results["records"]
    if part.log is None:
        result.skip("no topics to compare raw/ with: the log is gone, or the broker was an embedded one")
        return
    low, high = part.bounds
    begin, filed = part.begin, end_of(part.chains.get("raw", []))
    start, end = max(low, begin), min(high, max(part.committed or 0, filed))
    due = max(filed, part.base)
    if low > due and (part.committed or 0) > due:
        what = f"offsets {due} to {low} are in no raw file, and the log has lost them (retention)"
        result.found(part.name, what, mend=LOST)
    for seam in part.seams:
        if seam.hole:
            result.skip(f"{part.name} from offset {seam.stored} on: gone with an earlier log, and not all of it stored")
    if low > begin:
        why = "they are of an earlier log" if begin < part.base else "the log does not have them any more (retention)"
        result.skip(f"{part.name} below offset {low}: {why}")
    stored = ((path, from_on(rows, "offset", start)) for path, rows in part.stored("raw", max(end, start)))
    comparison = Comparison(nonempty(stored), KEYS["raw"], filed)
    intake = part.intake(start)
    for messages in part.log.messages(part.source, start, end):
        result.count(records=messages.values.full)
        for samples, rejects in intake.decode(messages):
            comparison.expect(below(samples_table(samples), "offset", end))
            result.count(dead=len(rejects))
            for reject in rejects:
                want_dead(part, reject, dead, place)
    found = comparison.finish()
    result.count(kept=found.equal, waiting=found.waiting)
    if found.wrong:
        part.sound = found.at
        for check in ("analytics", "profiles"):
            results[check].skip(
                f"what follows from {part.name} from offset {found.at} on: raw/ is not what the log says"
            )
        result.found(part.name, f"raw/ is not what the log says: {found.what}", found.first, mend=RECORDS)


def want_dead(part: Part, reject: Reject, dead: Ledger, place: int, *, older: str = "") -> None:
    """Take note that a committed record has to be among the dead letters, with its bytes and its reason.

    `older` is what an older release gave as the reason, if it was another.
    """
    if reject.offset >= (part.committed or 0):
        return
    outgoing = dead_letter(part.settings, reject)
    letter = letter_of(outgoing)
    which = digest(reject.topic.encode(), b"%d" % reject.partition, b"%d" % reject.offset)
    other = digest(*letter[:2], (older or reject.reason).encode())
    dead.want((which, digest(*letter), place, reject.offset, other), lambda: outgoing)


def letter_of(outgoing: Outgoing) -> tuple[bytes | None, bytes | None, bytes]:
    """Return key, bytes and reason of a letter; of a reason that was cut inside a character as readers see it."""
    reason = next(value for name, value in outgoing.headers if name == "reason")
    text = reason.decode("utf-8", errors="replace") if isinstance(reason, bytes) else reason or ""
    return outgoing.key, outgoing.value, text.encode()
