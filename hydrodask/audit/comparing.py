"""Compare the documents that are stored with those that the window rows imply."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hydrodask.answers import ANSWERS
from hydrodask.audit.components import Components
from hydrodask.audit.documents import COLLECTIONS, DOCUMENTS_MAX, Body, Id, Implied
from hydrodask.audit.finding import Result
from hydrodask.audit.mending import ANSWERED, DOCUMENTS, RUNS
from hydrodask.audit.plausible import COMPONENT, odd, odd_answer, odd_run
from hydrodask.audit.unusual import Unusual
from hydrodask.channels import SENSORS
from hydrodask.detect.usual.telling import NAME as CYCLE
from hydrodask.learn.targets import TARGETS
from hydrodask.records import Upsert
from hydrodask.reports import STANDING, UNUSUAL_CYCLES, WHOLE_RIG
from hydrodask.store.documents import Correction, Documents


@dataclass(slots=True)
class Comparing:
    """Compares stored documents with the implied ones; provisional ones of windows that are open yet are left out.

    `moving` says whether the group has committed more since the audit began: then documents of later rows are fine.
    `expire` says that documents go with time, so that one that is missing means nothing.
    """

    implied: Implied
    result: Result
    moving: Callable[[], bool]
    expire: bool
    components: Components
    unusual: Unusual
    corrections: list[Correction] = field(default_factory=list)
    """What puts right what was found."""
    _left: dict[Id, tuple[int, Body]] = field(default_factory=dict)
    _unjudged: dict[str, int] = field(default_factory=dict)
    """Documents that can't be judged, by the digest of their rules."""
    _lone: int = 0

    def run(self, store: Documents) -> None:
        """Look at every document, and then for those that are missing."""
        kept = (one for one in self.implied.documents.items() if self.implied.replayed or not one[1][1]["provisional"])
        told = ((name, one) for name, one in kept if self.implied.told(one[1]))
        self._left = {name: one for name, one in told if self.implied.judgeable(one[1])}
        for collection in COLLECTIONS:
            self._all(collection, store)
        self._others(store)
        if self._unjudged:
            count, digests = sum(self._unjudged.values()), ", ".join(sorted(self._unjudged))
            self.result.skip(f"{count:,} documents by rules that are not known here, or not any more ({digests})")
        if self._lone:
            self.result.skip(
                f"{self._lone:,} documents of sensors that were away for limits.rig_silence, or came on several "
                "partitions: only the topic tells what was known of them"
            )
        if self.expire:
            self.result.skip(f"{len(self._left):,} documents that are not there: documents.keep lets them go with time")
            return
        for (collection, name), (revision, body) in self._left.items():
            said = f"want revision {revision}, {_said(body)}"
            self._found((collection, name), None, (revision, body), "the document is missing", said)

    def _all(self, collection: str, store: Documents) -> None:
        """Look at a collection: at all of it, or where that is too much sensor by sensor."""
        everything = store.find(collection, {}, limit=DOCUMENTS_MAX)
        if len(everything) < DOCUMENTS_MAX:
            for body in everything:
                self._one(collection, body)
            return
        del everything
        self.result.skip(f"{collection} of sensors that there are not: there are more than {DOCUMENTS_MAX:,}")
        for sensor in (*SENSORS, WHOLE_RIG, *TARGETS):
            found = store.find(collection, {"sensor": sensor}, limit=DOCUMENTS_MAX)
            for body in found:
                self._one(collection, body)
            if len(found) == DOCUMENTS_MAX:
                self._forget(collection, sensor)

    def _others(self, store: Documents) -> None:
        """Look at components, runs and what people have answered, which no window implies."""
        for body in store.find("components", {}, limit=DOCUMENTS_MAX):
            (self.unusual if body.get("component") == CYCLE else self.components).take(body)
        for body in store.find("component_changes", {}, limit=DOCUMENTS_MAX):
            self.components.take_change(body)
        self.components.conclude()
        self.unusual.conclude()
        for body in store.find("status", {}, limit=DOCUMENTS_MAX):
            if why := odd_run(body):
                self.result.found(f"status {body['_id']}", "it is not from us", why, mend=RUNS)
        for body in store.find(ANSWERS, {}, limit=DOCUMENTS_MAX):
            self.result.count(answers=1)
            if why := odd_answer(body):
                self.result.found(f"answer {body['_id']}", "it is not from us", why, mend=ANSWERED)

    def _one(self, collection: str, body: Body) -> None:
        """Look at one stored document: whether it is one of ours at all, and then what it says."""
        if collection == "incidents" and body.get("rule") == COMPONENT:
            self.components.take_incident(body)
        elif collection == "incidents" and body.get("rule") == UNUSUAL_CYCLES:
            self.unusual.take_incident(body)
        elif why := odd(collection, body) or self._of_nobody(body):
            seen = body.get("revision")
            self._found((collection, str(body["_id"])), seen, None, "it is not from us", why)
        else:
            self._compare(collection, body)

    def _of_nobody(self, body: Body) -> str:
        """Return why nobody can have written a document: its rig has sent nothing, its revision is of no record."""
        unheard = self.implied.unheard and body["revision"] >= self.implied.judged_end
        if body["rig"] not in self.implied.rigs and not unheard and not self.moving():
            return f"there is no rig {body['rig']!r}"
        if body["revision"] >= self.implied.revisions_end and not self.moving():
            return f"its revision is {body['revision']}, and no record of that number can be there yet"
        if body.get("rules") not in self.implied.digests and self.implied.sure:
            return f"its rules are of digest {body.get('rules')!r}, which have never judged here"
        return ""

    def _compare(self, collection: str, body: Body) -> None:
        """Compare one stored document with what is implied under its id."""
        if not self.implied.judgeable(body):
            # Whatever the rules: its window has said more since.
            if body.get("provisional") and self.implied.over(body):
                id_, revision = (collection, str(body["_id"])), int(body.get("revision", -1))
                self._found(id_, revision, None, "it is provisional, and its window is final", _said(body))
                return
            digest = str(body.get("rules", "no digest"))
            self._unjudged[digest] = self._unjudged.get(digest, 0) + 1
            return
        if not self.implied.told(body):
            self._lone += 1
            return
        self.result.count(documents=1)
        name, revision = str(body.pop("_id")), int(body.pop("revision", -1))
        want = self._left.pop((collection, name), None)
        committed = self.implied.committed.get(str(body.get("rig")))
        standing = committed is None and body.get("rule") in STANDING
        if revision >= committed if committed is not None else standing or self.implied.newer(body):
            self._ahead((collection, name), revision, body, want, known=committed is not None)
        elif want is None:
            if not body.get("provisional") or self.implied.over(body) or self.implied.replayed:
                self._found((collection, name), revision, None, "no final window implies this document", _said(body))
        elif differing := [key for key in sorted(want[1].keys() | body.keys()) if want[1].get(key) != body.get(key)]:
            first = f"{differing[0]} is {body.get(differing[0])!r}, want {want[1].get(differing[0])!r}"
            self._found((collection, name), revision, want, "the document differs", first)
        elif committed is None and revision >= self.implied.judged_end:
            first = f"revision is {revision}, and what it tells of had been judged at {self.implied.judged_end}"
            self._found((collection, name), revision, want, "the document differs", first)
        elif committed is not None and revision != want[0]:
            first = f"revision is {revision}, want {want[0]}"
            self._found((collection, name), revision, want, "the document differs", first)

    def _ahead(self, id_: Id, revision: int, body: Body, want: tuple[int, Body] | None, *, known: bool) -> None:
        """Take a document that was written before the commit of the rows that it follows from."""
        self.result.count(ahead=1)
        coming = self.implied.coming.get(id_, {}).get(revision)
        if not known and (why := self.implied.contradicted(revision, id_[0], body)):
            self._found(id_, revision, want, "no window implies this document", why)
        elif known and coming != body and not self.moving():
            self._found(id_, revision, want, f"no row of the topic implies this document of revision {revision}", "")

    def _forget(self, collection: str, sensor: str) -> None:
        """Expect no more of what was not looked at."""
        self.result.skip(f"{collection} of {sensor} beyond the first {DOCUMENTS_MAX:,}")
        self._left = {n: one for n, one in self._left.items() if n[0] != collection or one[1]["sensor"] != sensor}

    def _found(self, id_: Id, seen: int | None, want: tuple[int, Body] | None, what: str, first: str) -> None:
        """Say what is wrong with a document, and take note of what puts it right."""
        (collection, name), upsert = id_, None if want is None else Upsert(*id_, *want)
        self.corrections.append(Correction(collection, name, seen, upsert))
        self.result.found(f"{collection} {name}", what, first, mend=DOCUMENTS)


def _said(body: Body) -> str:
    return ", ".join(f"{key} {body[key]!r}" for key in ("severity", "value", "worst", "status") if key in body)
