"""Where a partition is opened: in which log, from which commit and snapshot, and what people should know of that.

An offset counts only in its log, and a commit only with our mark. What hydrodask goes on from is its own newest commit
or snapshot, whichever is further; what anybody else has committed for the group is told, and put right.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hydrodask.errors import FatalError, RetryableError
from hydrodask.flow import READ_BY
from hydrodask.ingest.commits import Commit, Settle
from hydrodask.ingest.identity import EMBEDDED, Ids, same_cluster
from hydrodask.ingest.identity import named as has_id
from hydrodask.ingest.reader import Reader
from hydrodask.logs import spot
from hydrodask.nodes.context import Context
from hydrodask.protocol import incarnation, snapshot
from hydrodask.protocol.incarnation import SPAN, Incarnation, Start, same
from hydrodask.records import PartitionId
from hydrodask.settings import Settings, Url
from hydrodask.store.files import Files
from hydrodask.store.keyring import Keyring
from hydrodask.store.listing import named

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Evidence:
    """What is known of a partition before it is opened."""

    source: PartitionId
    log: str
    low: int
    high: int
    found: tuple[int, dict[str, Any], list[str]]
    mine: Commit | None
    shown: Commit | None
    known: list[Incarnation]
    number: int
    notes: list[str]

    @property
    def snapshot(self) -> int | None:
        return self.found[0] if self.found[1] else None

    @property
    def ended(self) -> bool:
        return bool(self.found[1].get("ended"))

    def committed_in(self, one: Incarnation) -> int | None:
        """Return our own commit in a log. Marks that name no log are of the time when there was one."""
        if self.mine is None or self.mine.mark is None:
            return None
        mark = self.mine.mark
        mine = one.base == 0 if mark.log is None else (same(mark.log, one.log) and mark.base == one.base)
        return self.mine.offset + one.base if mine else None


class Opening:
    """Looks where partitions begin, for one host."""

    def __init__(
        self, settings: Settings, files: Callable[[Url], Files], reader: Reader, identities: Ids, settle: Settle
    ) -> None:
        self.settings, self._files = settings, files(settings.snapshots_url)
        ours = settings.snapshots_of("")
        self._ours = None if ours == settings.snapshots_url else files(ours)
        """Where the platform's own flows have what they know of logs, if this is a flow from outside."""
        self.reader, self.identities = reader, identities
        self._settle = settle
        self._nameless = False

    def start(self, ctx: Context) -> Start | None:
        """Return where to begin; None while there is no such topic, or our own flows have not opened it first.

        Puts a new log on record.

        Raises RetryableError when the topic changes meanwhile, and FatalError for a new log if `kafka.on_data_loss` is
        fail.
        """
        seen = self._look(ctx.source)
        if seen is None:
            return None
        seen.known = incarnation.joined(
            seen.known, [incarnation.of_text(seen.found[1].get("log", "")), _named_by(seen.mine)]
        )
        if not seen.known:
            self._adopt(seen, ctx)
        known = seen.known
        if not known or not same(known[-1].log, seen.log):
            one = self._as_ours(self._anew(seen, ctx), seen)
            if one is None:
                return None
            known = [*known, one]
        if known != seen.known or seen.number < len(known):
            self._record(seen, known[-1])
        if seen.snapshot is not None and seen.snapshot < known[0].base:
            known = [self._unknown(), *known]  # a state of before there were records
        return self._start(seen, known)

    def _look(self, source: PartitionId) -> _Evidence | None:
        """Ask everybody. The id is asked first and last: what is asked by name in between is then of one log."""
        known, number, notes = incarnation.read(self._files, source)
        topic = source[0]
        id_ = self.identities.of([topic]).get(topic)
        if id_ is None:
            return None
        found = snapshot.newest(self._files, source, at_most=None, keyring=Keyring.of(self.settings))
        low, high = self.reader.bounds(source)
        mine, shown = (None, None) if self.settings.kafka.embedded else self.reader.commits.of(source, self._settle)
        if self.identities.of([topic]).get(topic) != id_:
            raise RetryableError(f"topic {topic} was deleted or made anew while {topic}-{source[1]} was opened")
        if not has_id(id_) and not self._nameless:
            self._nameless = True
            notes.append("the broker gives topics no ids (before Kafka 2.8): one that is made anew is not noticed")
        return _Evidence(source, id_, low, high, found, mine, shown, known, number, notes)

    def _adopt(self, seen: _Evidence, ctx: Context) -> None:
        """Find out what an installation has read that is older than records, or has lost them."""
        end, logs = _stored(ctx)
        seen.known = incarnation.joined([], logs)
        if not ctx.files and (self._ours is not None or not self.settings.kafka.embedded):
            end = 0  # files are of other topics or flows, and say nothing of how far this one goes
        top = max(end, seen.snapshot or 0, seen.mine.offset if seen.mine else 0)
        if seen.known or not top:
            return
        if self.settings.kafka.embedded or top > seen.high:  # whatever it was, it was another log
            seen.known = [self._unknown()]
        else:
            seen.known = [Incarnation(log=seen.log)]

    def _unknown(self) -> Incarnation:
        """Return the log of an installation that kept no record of it."""
        return Incarnation(log=f"/{EMBEDDED}" if self.settings.kafka.embedded else "unknown/")

    def _anew(self, seen: _Evidence, ctx: Context) -> Incarnation:
        """Return the log that begins. Raises RetryableError for an answer that is out of date."""
        embedded = self.settings.kafka.embedded
        if not seen.known:
            return Incarnation(log=seen.log)
        before = seen.known[-1]
        earlier = [last for one, last in incarnation.ends(seen.known) if same(one.log, seen.log)]
        if earlier and same_cluster(before.log, seen.log):
            raise RetryableError(f"a broker still knows topic {seen.source[0]} as it was; it will hear of the new one")
        committed, at = seen.committed_in(before), seen.snapshot or 0
        if seen.mine is not None and seen.mine.mark is not None and same(seen.mine.mark.log or "", seen.log):
            earlier.append(seen.mine.offset)
        end = max(at, committed or 0)
        top = max(end, _stored(ctx)[0], before.base)
        return Incarnation(
            log=seen.log,
            base=max(incarnation.base_above(top), before.base + SPAN),
            end=end,
            stored=_stored_to(seen, ctx, end),
            whole=seen.snapshot is not None and (seen.ended or (committed is not None and at >= committed)),
            first=0 if embedded else max([seen.low, *earlier]),
        )

    def _as_ours(self, one: Incarnation, seen: _Evidence) -> Incarnation | None:
        """Return the log that begins, with the base that it has for our own flows; None while they have not opened it.

        So the offsets of a flow from outside are those of raw/, also when it was not there while other logs were. From
        raw/ it takes what it has missed of an embedded broker's.
        """
        if self._ours is None or seen.source[0].removeprefix(self.settings.topics.prefix) not in READ_BY:
            return one
        bases = [its.base for its in incarnation.read(self._ours, seen.source)[0] if same(its.log, seen.log)]
        if not bases:
            return None
        return one.at(bases[-1]) if not seen.known or bases[-1] > seen.known[-1].base else one

    def _record(self, seen: _Evidence, one: Incarnation) -> None:
        """Put a log on record. Raises FatalError for one that takes the place of another, if that is what is wanted."""
        name = f"{seen.source[0]}-{seen.source[1]}"
        if seen.known and not same(seen.known[-1].log, one.log) and not self.settings.kafka.embedded:
            what = (
                f"{name} is another log than before: its topic was deleted and made anew, or this is another broker; "
                "what had not been read of the earlier one is gone"
            )
            if self.settings.kafka.on_data_loss == "fail":
                raise FatalError(
                    f"{what}; kafka.on_data_loss is fail. To go on with the new one, run once with "
                    "--set kafka.on_data_loss=continue"
                )
            unknown = "" if one.whole else "; what was not stored of it can't be read again"
            seen.notes.append(
                f"{what}. It is read from offset {one.first}, here {one.base + one.first}; the earlier one was taken "
                f"up to {one.end}{unknown}"
            )
            log.warning("%s", seen.notes[-1], extra=spot(seen.source, one.base + one.first))
        if not incarnation.put(self._files, seen.source, seen.number, one):
            raise RetryableError(f"somebody else has opened {name}; looking again", backoff_s=0.1)

    def _start(self, seen: _Evidence, known: list[Incarnation]) -> Start:
        one, at = known[-1], seen.snapshot
        begin = one.base + (0 if self.settings.kafka.embedded else max(seen.low, one.first))
        floor = one.base + one.first
        start = Start(one, len(known), one.base + seen.low, one.base + seen.high, begin, floor, seen.found)
        start.committed = seen.committed_in(one)
        if start.committed is not None and seen.mine is not None and seen.mine.mark is not None:
            start.emitted = seen.mine.mark.emitted
        start.notes = seen.notes
        _tell_others(seen, start)
        if at is None:
            if self._ours is not None and self.settings.kafka.embedded and one.base:
                start.notes.append(
                    "this flow begins where the broker of this run does: what earlier runs had is in the lake, and it "
                    "has taken nothing of that"
                )
            return start
        start.seams = incarnation.seams(known, at)
        if at < one.base:
            start.published = start.committed is not None or not seen.ended
        else:
            start.published = start.committed is not None and start.committed >= at
        if start.committed is not None and at > start.committed:
            if not seen.ended:
                start.notes.append(
                    f"the commit at {start.committed} is behind our own snapshot at {at}: going on from there"
                )
            start.committed = start.emitted = at
        return start


def _tell_others(seen: _Evidence, start: Start) -> None:
    """Say what others have committed for the group, which is not obeyed."""
    mine, shown = seen.mine, seen.shown
    start.unsaid = shown is not None and (mine is None or mine is shown or mine.offset != shown.offset)
    if shown is None or shown.mark is not None or (mine is not None and mine.offset == shown.offset):
        return
    at = seen.snapshot if start.committed is None else start.committed
    ours = "there is none of ours: it begins where the log does" if at is None else f"going on from {at}"
    start.notes.append(
        f"the group's offset {start.incarnation.base + shown.offset} was not committed by hydrodask and is not obeyed; "
        f"{ours}"
    )


def _named_by(mine: Commit | None) -> Incarnation | None:
    if mine is None or mine.mark is None or mine.mark.log is None:
        return None
    return Incarnation(log=mine.mark.log, base=mine.mark.base)


def _stored_to(seen: _Evidence, ctx: Context, end: int) -> int:
    """Return up to where rows are in files, or wait in the snapshot."""
    states = seen.found[1].get("files", {})
    filed = [
        max(ctx.lake.end(output.folder, ctx.source), states.get(name, {}).get("position", 0))
        for name, output in ctx.files.items()
        if not output.keep
    ]
    return int(min([end, seen.snapshot or 0, *filed]))


def _stored(ctx: Context) -> tuple[int, list[Incarnation | None]]:
    """Return up to where the lake's files go, and which logs the newest of them name.

    Of a topic of ours that has no files: where any go. Its offsets are no larger, each start of a broker begun by all.
    """
    if ctx.files:
        newest = [ctx.lake.newest(output.folder, ctx.source) for output in ctx.files.values()]
        return max(one.end for one in newest), [incarnation.of_text(one.log) for one in newest]
    firsts = [file.first for file in map(named, ctx.lake.files.names("")) if file is not None]
    return max(firsts, default=0), []
