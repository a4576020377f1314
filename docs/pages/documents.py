"""The page of documents: the collections, and the fields that the code itself gives to a document of each."""

from collections.abc import Mapping
from typing import Any

from docs.pages.markdown import code, page, table
from docs.pages.meanings import DOCUMENTS
from hydrodask.answers import Answer
from hydrodask.clock import iso
from hydrodask.detect import load_rules
from hydrodask.detect.detector import Detector
from hydrodask.learn.score.verdicts import ComponentStates, Verdict
from hydrodask.notify.cause import Cause, ChannelNotice
from hydrodask.observe.example import LINKS, NOW_US, PLACES, example_overview
from hydrodask.observe.status import status_document
from hydrodask.records import Change, Upsert, WindowRecord
from hydrodask.settings import CONF, Settings
from hydrodask.store.documents.base import COLLECTIONS

_INTRO = """Documents are what is true now, and what was: in SQLite (`hydrodask-data/documents.sqlite`) or MongoDB
(`documents.url`). Each has an `_id` that follows from what it is about, and a `revision` that only
grows: an older write never replaces a newer one. Times are ISO 8601, UTC, and event time but for
`status`, `answers` and `messages`. A *provisional* document is about a window that is still open: it is
confirmed, or removed, when the window is final."""

_IDS = {
    "anomalies": "`rig/sensor/<window start>/rule`",
    "incidents": "`rig/sensor/rule/<first window start>`",
    "components": "`rig/component`",
    "component_changes": "`rig/component/<since when>`",
    "status": "the run's id",
    "answers": "the time, and some random digits",
    "messages": "of its first episode",
}

WARM_US = 60_000_000


def page_of_documents() -> str:
    """Return the page."""
    parts: list[str] = []
    for name, body in examples().items():
        parts += [f"## {name}", f"{DOCUMENTS.get(name, {}).get('', '')} `_id`: {_IDS.get(name, 'its own')}."]
        rows = [(code(field), _short(value), DOCUMENTS.get(name, {}).get(field, "")) for field, value in body.items()]
        parts.append(table(("field", "example", "what it is"), rows))
    return page("Documents", _INTRO, *parts)


def examples() -> dict[str, Mapping[str, Any]]:
    """Return a document of each collection, made by the code that makes them in a run."""
    settings = Settings()
    rules = load_rules(CONF / "rules.yaml")
    detector = Detector(rules, baseline=settings.detect.baseline, coverage_min=0.9, window_s=60.0)
    changes = detector.update(_window(), 4711)
    said = Verdict("rig-1", "cooler", 12, NOW_US, 3, 0.998, "hydrodask-cooler", 4)
    status = status_document(example_overview(), now_us=NOW_US, links=LINKS, places=PLACES)
    answer = Answer.made({"kind": "note", "incident": "…", "text": "the fan is replaced"}, by="Kim", now_us=NOW_US)
    changed = ComponentStates(confirm=1).update(said, 815)
    found = {**_bodies(changed), **_bodies([*changes, answer.change()]), "status": status, "messages": _cause()}
    return {name: found[name] for name in COLLECTIONS if name in found}


def _cause() -> Mapping[str, Any]:
    """Return what is kept of a cause that one channel was told of."""
    told = {"desk": ChannelNotice("critical", ["rig-1"], NOW_US)}
    return Cause("…", NOW_US, NOW_US, NOW_US, told=told).body()


def _window() -> WindowRecord:
    """Return a final window of a cooler that fails."""
    start, end = iso(NOW_US), iso(NOW_US + WARM_US)
    return WindowRecord("rig-1", "CE", start, end, 30.1, 47.0, 20.9, 3.2, 26.1, 60, True, 4711, 1.0)


def _bodies(changes: list[Change]) -> dict[str, Mapping[str, Any]]:
    return {one.collection: one.body for one in changes if isinstance(one, Upsert)}


def _short(value: object) -> str:
    """Return an example's value, or what kind it is when that is shorter."""
    if value is None or isinstance(value, bool):
        return code({True: "true", False: "false", None: "null"}[value])
    text = "" if isinstance(value, dict | list) else str(value)
    return code(text) if 0 < len(text) <= 60 else "list" if isinstance(value, list) else "…"
