"""Audit a platform: gather what there is, run every check, and return the results.

Reads only. While the platform runs, the audit is of what was committed when it began; files and topics are looked at
after the commits were read, so whatever was committed has to be there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hydrodask.audit import documents as docs
from hydrodask.audit.bands import NOT_THERE
from hydrodask.audit.chain import arrange, check_beginnings, check_chain
from hydrodask.audit.comparing import Comparing
from hydrodask.audit.components import Components
from hydrodask.audit.derived import check_computed
from hydrodask.audit.doubles import check_doubles
from hydrodask.audit.finding import Results
from hydrodask.audit.fromlake import replay_lake
from hydrodask.audit.guests import check_guests
from hydrodask.audit.joined import check_joined
from hydrodask.audit.kept import check_records
from hydrodask.audit.labels import check_labels
from hydrodask.audit.ledger import Ledger
from hydrodask.audit.links import Link, inspect
from hydrodask.audit.log import BrokerLog
from hydrodask.audit.mending import aside, misplaced
from hydrodask.audit.outputs import Refused, Topic, check_dead, check_outputs
from hydrodask.audit.part import Part, known_logs
from hydrodask.audit.scores import Scores
from hydrodask.audit.snapshots import load_snapshots
from hydrodask.audit.states import check_snapshots
from hydrodask.audit.strangers import check_beside, partitions_of, strange, topics_of
from hydrodask.audit.summaries import check_summaries
from hydrodask.audit.sums import check_sums
from hydrodask.audit.totals import check_totals
from hydrodask.audit.unusual import Unusual
from hydrodask.flow import READ_BY
from hydrodask.ingest.commits import Commit
from hydrodask.ingest.mark import Mark
from hydrodask.protocol.incarnation import SPAN, same
from hydrodask.records import PartitionId
from hydrodask.settings import Settings
from hydrodask.store import small
from hydrodask.store.documents import Correction, Mendable, open_documents
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.store.listing import LakeFile, named
from hydrodask.store.merge import IMPORTED
from hydrodask.store.schemas import FOLDERS

Say = Callable[[str], None]


@dataclass(slots=True)
class Audit:
    """One audit: `parts` by flow, what they had committed at the beginning, and the results so far."""

    settings: Settings
    log: BrokerLog | None
    say: Say
    results: Results = field(default_factory=Results)
    parts: dict[str, list[Part]] = field(default_factory=dict)

    def run(self) -> Results:
        """Run every check. Raises RetryableError when broker, lake or store do not answer."""
        self.gather()
        monitored, labelled = (self.parts[flow] for flow in ("monitor", "labels"))
        wanted = {name: Ledger() for name in ("analytics", "profiles")} if self.log is not None else {}
        dead = Ledger()
        everyone = self.everyone
        for place, part in enumerate(everyone):
            self.say(f"{part.name}: records, windows, cycles" if part in monitored else part.name)
            if part in monitored:
                check_records(part, self.results, dead, place)
                check_computed(part, self.results, wanted, place)
            elif part in labelled:
                check_labels(part, self.results, dead, place)
        self.say("cycles: doubles")
        check_doubles(Lake.of(self.settings), self.results["doubles"])
        check_summaries(Lake.of(self.settings), self.settings.topics.prefix, self.results["windows"])
        check_joined(Lake.of(self.settings), self.parts["score"], monitored, self.results["snapshots"])
        self._outputs(everyone, wanted, dead)
        self._documents()
        self._snapshots()
        check_guests(self.settings, self.results["flows"], self.say)
        if self.log is None:
            self.results.without_log()
        return self.results

    @property
    def everyone(self) -> list[Part]:
        """All partitions that flows read, those of sensors first."""
        return [part for parts in self.parts.values() for part in parts]

    def gather(self) -> None:
        """Read commits first, then snapshots, then files: each may only be ahead of the one before it."""
        topics = {self.settings.topic(name): flow for name, flow in READ_BY.items()}
        sources = self.log.sources(topics) if self.log is not None else []
        commits = self.log.commits(sources) if self.log is not None else {}
        snapshots = Files(self.settings.snapshots_url)
        for path in small.damaged(snapshots):
            what = "it says which log, windows or rules are in use, and is damaged"
            self.results["snapshots"].found(path, what, mend=aside(path))
        lake = Lake.of(self.settings)
        check_beside(self.settings, snapshots, topics, self.results["snapshots"])
        found = {source for _, source in partitions_of(snapshots) if source is not None and source[0] in topics}
        there = set(sources) | found
        said, keys = self.results["snapshots"], lake.keyring
        states = {source: load_snapshots(snapshots, source, said, keys) for source in sorted(there)}
        logs = {source: known_logs(snapshots, source, states[source], _mark(commits, source)) for source in states}
        for source, known in logs.items():
            if known and self.log is not None:
                self.log.know(source, known[-1])
        committed = self.log.counted(commits) if self.log is not None else {}
        there_now = self.log.identities.of({topic for topic, _ in sources}) if self.log is not None else {}
        arranged = arrange(self._listed(lake, set(topics), topics_of(snapshots)), self.results["files"])
        self.parts = {flow: [] for flow in READ_BY.values()}
        for source in sorted(there | arranged.keys(), key=lambda s: (list(topics).index(s[0]), s[1])):
            self.say(f"{source[0]}-{source[1]}: files")
            part = Part(self.settings, source, lake, {}, states.get(source, []), known=logs.get(source, []))
            part.chains = {f: self._links(part, files) for f, files in arranged.get(source, {}).items()}
            check_beginnings(source, part.chains, self.results["chain"])
            check_sums(part, self.results)
            newest = part.snapshots[-1].offset if part.snapshots else None
            part.committed = committed.get(source, newest)
            there_yet = not part.known or same(part.known[-1].log, there_now.get(source[0], ""))
            if self.log is not None and source in sources and there_yet:
                part.log, part.bounds = self.log, self.log.bounds(source)
            self.parts[topics[source[0]]].append(part)

    def _listed(self, lake: Lake, topics: set[str], others: set[str]) -> list[LakeFile]:
        """Return the files of our topics; whatever else a reader would take for rows is said."""
        found = []
        for path in (path for folder in FOLDERS for path in lake.files.names(folder)):
            name = named(path)
            if name is None:
                what = "its name is not that of a file of ours, and readers take it for one"
                self.results["files"].found(path, what, mend=aside(path))
            elif why := strange(name, topics, self.settings.topics.prefix, others):
                self.results["files"].found(path, why, mend=misplaced(path))
            elif name.topic.startswith(IMPORTED):
                inspect(lake, name, name.parts.get("sensor"), self.results["files"])
            elif name.topic not in topics:
                self.results["files"].skip(f"files of topic {name.topic}, which is none of this platform")
            else:
                found.append(name)
        return found

    def _links(self, part: Part, files: list[LakeFile]) -> list[Link]:
        links = [inspect(part.lake, file, part.sensor, self.results["files"]) for file in files]
        check_chain(links, self.results["chain"])
        return links

    def _committed(self, sources: list[PartitionId]) -> dict[PartitionId, int]:
        """Return what the group has committed by now; without a broker what it was at the beginning."""
        if self.log is not None:
            return self.log.committed(sources)
        parts = [part for parts in self.parts.values() for part in parts]
        return {part.source: part.committed for part in parts if part.committed is not None}

    def _moved(self, parts: list[Part]) -> bool:
        """Say whether one of the partitions has committed more since the audit began."""
        now = self._committed([part.source for part in parts])
        # A log that was made anew has no commit yet, and what the newest snapshot says stands.
        return any(now.get(part.source, part.committed) != part.committed for part in parts)

    def _outputs(self, everyone: list[Part], wanted: dict[str, Ledger], dead: Ledger) -> None:
        """Check the topics of ours."""
        if self.log is None:
            for check in ("analytics", "profiles", "dead"):
                self.results[check].skip("there are no topics any more: an embedded broker forgets all when it stops")
            return
        topics = {
            check: self.settings.topic(name) for check, name in (("analytics", "analytics"), ("profiles", "cycles"))
        }
        for check, topic in topics.items():
            self.say(f"{topic}: rows")
            sources = self.log.sources([topic])
            topic_of = Topic(self.log, sources, self.parts["monitor"], wanted[check])
            check_outputs(topic_of, self.results[check], Refused(everyone, dead))
        letters = self.settings.topic("dead-letter")
        self.say(f"{letters}: letters")
        check_dead(Topic(self.log, self.log.sources([letters]), everyone, dead), self.results["dead"])

    def _documents(self) -> None:
        """Compare the documents, where that can be done."""
        result = self.results["documents"]
        if self.forgotten:
            result.skip("the embedded broker was started more than once, and forgot rows that nobody had judged yet")
            return
        store = open_documents(self.settings)
        try:
            self.compare(store)
        finally:
            store.close()

    def _snapshots(self) -> None:
        """Check what snapshots say, and that none is ahead of what has been committed by now."""
        parts = [(flow, part) for flow, parts in self.parts.items() for part in parts]
        later = self._committed([part.source for _, part in parts])
        for flow, part in parts:
            check_snapshots(part, later.get(part.source), self.results)
            check_totals(part, flow, self.results["snapshots"])

    @property
    def forgotten(self) -> bool:
        """Say whether rows may be gone that nobody has judged."""
        return self.log is None and any(part.reach >= SPAN for part in self.parts["monitor"])

    def compare(self, store: Mendable) -> list[Correction]:
        """Compare the documents with those that the window rows imply; return what puts right what differs."""
        implied, judging = docs.Implied(), self.parts["alert"]
        self.imply(implied, self.parts["monitor"], judging)
        expire = self.settings.documents.keep is not None
        scored = self._scored(implied, keep=not expire)
        comparing = Comparing(implied, self.results["documents"], lambda: self._moved(judging), expire, *scored)
        comparing.run(store)
        return comparing.corrections

    def _scored(self, implied: docs.Implied, *, keep: bool) -> tuple[Components, Unusual]:
        """Return who looks at documents of components and of cycles, with what the newest snapshots know of them."""
        scoring, scores = self.parts["score"], Scores(self.results["scores"])
        for part in scoring:
            scores.take(part)
        result = self.results["documents"]
        components = Components(implied.rigs, result, scores=scores, keep=keep, unheard=implied.unheard)
        unusual = Unusual(implied.rigs, result, scores=scores, unheard=implied.unheard)
        moved = self.log is not None and self._moved(scoring)
        for part in scoring:
            if part.newest is not None:
                ended = part.newest.state.get("ended") if self.log is None else part.newest.offset == part.committed
                last = bool(ended) and not moved
                components.learn(part.newest, last=last)
                unusual.learn(part.newest, last=last)
        return components, unusual

    def imply(self, implied: docs.Implied, monitored: list[Part], judging: list[Part]) -> None:
        """Replay the detector, over the topic if it is all there, else over the lake."""
        self.say("documents: replaying the detector")
        if judging and all(part.log is not None and part.bounds[0] == 0 for part in judging):
            for part in judging:
                docs.replay_topic(part, implied, self.results)
            implied.replayed = True
            docs.learn_editions(judging, implied)
            return
        what = "revisions and provisional documents: the window rows are not on their topic any more"
        self.results["documents"].skip(what)
        self.results["bands"].skip(NOT_THERE)
        replay_lake(monitored, judging, self.settings, implied, self.results)
        docs.learn_editions(judging, implied)


def verify(settings: Settings, *, say: Say = lambda _said: None) -> Results:
    """Audit what the platform with these settings has stored; `say` tells how far it is."""
    if settings.kafka.embedded:
        return Audit(settings, None, say).run()
    log = BrokerLog(settings.kafka)
    try:
        return Audit(settings, log, say).run()
    finally:
        log.close()


def _mark(commits: Mapping[PartitionId, Commit], source: PartitionId) -> Mark | None:
    return commits[source].mark if source in commits else None
