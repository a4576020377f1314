"""Put back what documents and topics of ours lack, each exactly once: what an audit misses is made anew from the lake.

Works beside a running platform. Documents are guarded by their revisions. Rows are published in transactions of a slot
of its own, and only those of before the commits that the audit has begun with: the platform never publishes them again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from hydrodask.audit import documents as docs
from hydrodask.audit.derived import check_computed
from hydrodask.audit.finding import Results
from hydrodask.audit.kept import check_records
from hydrodask.audit.labels import check_labels
from hydrodask.audit.ledger import Ledger
from hydrodask.audit.log import BrokerLog, quiet
from hydrodask.audit.mending import TOPICS_OF
from hydrodask.audit.outputs import Refused, Topic, check_dead, check_outputs
from hydrodask.audit.verify import Audit
from hydrodask.errors import ConfigError, FatalError
from hydrodask.protocol import spread
from hydrodask.records import Outgoing
from hydrodask.settings import Settings
from hydrodask.store.documents import Correction, Mendable, open_documents
from hydrodask.store.files import Files
from hydrodask.store.transactions import Transactions

Say = Callable[[str], None]

BATCH = 5_000
"""Rows in one transaction, and documents in one write."""


@dataclass(slots=True)
class Restored:
    """What a topic or collection lacked, and how much was put right; `left` says what can't be.

    `wrong` counts documents that differ, or that nothing implies.
    """

    name: str
    missing: int = 0
    wrong: int = 0
    restored: int = 0
    left: list[str] = field(default_factory=list)


class _Lacking(Ledger):
    """Takes wanted rows, and hands on those that are missing."""

    def __init__(self, lacking: set[int], publish: Callable[[Outgoing], None]) -> None:
        super().__init__()
        self._lacking, self._publish = lacking, publish

    def want(self, row: tuple[int, ...], record: Callable[[], Outgoing]) -> None:
        if row[0] in self._lacking:
            self._lacking.discard(row[0])
            self._publish(record())


class _RowSender:
    """Publishes rows in transactions. Made before the topics are read, it ends what another of its kind has begun."""

    def __init__(self, settings: Settings) -> None:
        kept = spread.load(settings, Files(settings.snapshots_url))
        self._transactions = Transactions(settings.kafka, "backfill", spread=kept)
        self._consumer = quiet(settings.kafka)
        self._waiting: list[Outgoing] = []
        self.counts: dict[str, int] = {}

    def publish(self, record: Outgoing) -> None:
        """Take a row; every so many are a transaction."""
        self._waiting.append(record)
        if len(self._waiting) >= BATCH:
            self.finish()

    def finish(self) -> None:
        """Commit what waits. Raises FencedError when another backfill has begun."""
        if self._waiting:
            self._transactions.commit(self._waiting, [], self._consumer)
        for record in self._waiting:
            self.counts[record.topic] = self.counts.get(record.topic, 0) + 1
        self._waiting = []

    def close(self) -> None:
        """Let go of the connections."""
        self._transactions.close()
        self._consumer.close()


def restore_topics(settings: Settings, *, write: bool, say: Say = lambda _said: None) -> list[Restored]:
    """Publish the final rows, profiles and dead letters that their topics lack; without `write` only count them.

    Raises ConfigError with an embedded broker, FatalError when a topic is not there.
    """
    if settings.kafka.embedded:
        raise ConfigError("kafka.embedded has value True: the embedded broker's topics are gone when its run ends")
    sender = _RowSender(settings) if write else None
    log = BrokerLog(settings.kafka)
    try:
        audit = Audit(settings, log, say)
        audit.gather()
        ledgers = {check: Ledger() for check in TOPICS_OF}
        _want(audit, ledgers)
        lacking = {check: _missing(audit, log, check, one, ledgers["dead"]) for check, one in ledgers.items()}
        found = {check: Restored(settings.topic(name), len(lacking[check])) for check, name in TOPICS_OF.items()}
        if sender is not None and any(lacking.values()):
            say("publishing what is missing")
            left: dict[str, Ledger] = {check: _Lacking(rows, sender.publish) for check, rows in lacking.items()}
            _want(audit, left)
            for check in ("analytics", "profiles") if lacking["dead"] else ():  # of records on topics of ours
                _missing(audit, log, check, Ledger(), left["dead"])
            sender.finish()
            for one in found.values():
                one.restored = sender.counts.get(one.name, 0)
    finally:
        log.close()
        if sender is not None:
            sender.close()
    return list(found.values())


def _want(audit: Audit, ledgers: dict[str, Ledger]) -> None:
    """Compute the rows that have to be on the topics, in the order of each partition's records."""
    aside = Results()
    for place, part in enumerate([*audit.parts["monitor"], *audit.parts["labels"]]):
        audit.say(f"{part.name}: computing its rows")
        if part in audit.parts["labels"]:
            check_labels(part, aside, ledgers["dead"], place)
            continue
        check_records(part, aside, ledgers["dead"], place)
        check_computed(part, aside, ledgers, place)


def _missing(audit: Audit, log: BrokerLog, check: str, ledger: Ledger, dead: Ledger) -> set[int]:
    name = audit.settings.topic(TOPICS_OF[check])
    sources = log.sources([name])
    if not sources:
        raise FatalError(f"topic {name} is not there; `hydrodask topics create` makes it")
    audit.say(f"{name}: rows")
    if check == "dead":
        return check_dead(Topic(log, sources, audit.everyone, ledger), audit.results[check])
    topic = Topic(log, sources, audit.parts["monitor"], ledger)
    return check_outputs(topic, audit.results[check], Refused(audit.everyone, dead))


def restore_documents(settings: Settings, *, write: bool, say: Say = lambda _said: None) -> list[Restored]:
    """Make anomalies and incidents what the window rows imply: store, put right, remove; without `write` count them.

    Components are not among them: they come back with the next cycle of each rig.
    """
    log = None if settings.kafka.embedded else BrokerLog(settings.kafka)
    store = open_documents(settings)
    try:
        audit = Audit(settings, log, say)
        audit.gather()
        corrections = audit.compare(store)
        found = [_restore(store, audit, name, corrections, write=write) for name in docs.COLLECTIONS]
    finally:
        store.close()
        if log is not None:
            log.close()
    return found


def _restore(store: Mendable, audit: Audit, collection: str, corrections: list[Correction], *, write: bool) -> Restored:
    """Put one collection right."""
    ours = [one for one in corrections if one.collection == collection]
    missing = [one for one in ours if one.seen is None]
    result = Restored(collection, len(missing), wrong=len(ours) - len(missing))
    if result.wrong and audit.forgotten:
        result.left.append(
            f"{result.wrong:,} {collection} that differ: the embedded broker forgot what they follow from"
        )
        ours, result.wrong = missing, 0
    for start in range(0, len(ours) if write else 0, BATCH):
        result.restored += store.mend(ours[start : start + BATCH])
    return result
