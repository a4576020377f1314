"""The contract of a document store, and what its implementations share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hydrodask.errors import FatalError
from hydrodask.records import Change, Upsert

COLLECTIONS = ("anomalies", "incidents", "components", "component_changes", "status", "answers", "messages")
"""Every collection there is. `answers` is people's, `messages` what they are told: no record implies one, so no replay
writes or removes one."""

_declared: dict[str, None] = {}
"""Those of flows from outside, in the order in which they were declared in this process."""

NEWEST = {"anomalies": "window_start", "incidents": "opened_at", "component_changes": "at", "answers": "at"}
"""The field that says how new a document is; it has an index."""

KEPT = ("anomalies", "incidents", "component_changes")
"""The collections that `documents.keep` is for: an answer may mute for longer."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Correction:
    """A document that is not what it should be: `seen` is its revision, `want` what it should be.

    `seen` None: it is not there; `want` None: it should not be.
    """

    collection: str
    id: str
    seen: int | None
    want: Upsert | None


class Documents(Protocol):
    """Documents by collection and `_id`, each with the revision that wrote it.

    May be used from several threads, and by several processes at once. Bodies hold JSON values with
    finite numbers.
    """

    def write(self, changes: Sequence[Change]) -> None:
        """Apply `changes` in order; all of them are durable when this returns. Blocks.

        A change counts only if nothing is stored under its id, or something with a smaller
        revision. So the same changes may be written again, and then change nothing. A removal is
        remembered with its revision for `documents.keep_removed`: an older upsert that comes late,
        from a replay or a worker that was given up, does not bring the document back. When it
        raises, some may have been applied: repeat all. Raises RetryableError or UnreachableError
        when the store may recover, FatalError when it will not.
        """

    def find(
        self,
        collection: str,
        where: Mapping[str, object],
        *,
        limit: int,
        newest_first: str | None = None,
    ) -> list[Document]:
        """Return at most `limit` documents, each with `_id` and `revision`.

        Their top-level fields equal those of `where`. In descending order of the field
        `newest_first`, then by `_id`; by `_id` alone without it. Raises as `write`.
        """

    def close(self) -> None:
        """Let go of files and connections. May be called twice; is not guaranteed to be called."""


class Mendable(Documents, Protocol):
    """A store whose documents can be put right against their revisions."""

    def mend(self, corrections: Sequence[Correction]) -> int:
        """Put documents right whatever their revisions, and return how many.

        One that has another revision by now than the one that was seen stays as it is: somebody has written it since.
        Removals that are remembered do not count as there, and what is taken away here is not remembered. Raises as
        `write`.
        """


def by_collection(changes: Iterable[Change]) -> dict[str, list[Change]]:
    """Return `changes` by collection; of those of one id only the newest.

    Raises FatalError for a collection that there is not.
    """
    newest: dict[tuple[str, str], Change] = {}
    for change in changes:
        check_collection(change.collection)
        key = (change.collection, change.id)
        if key not in newest or newest[key].revision < change.revision:
            newest[key] = change
    grouped: dict[str, list[Change]] = {}
    for (collection, _), change in newest.items():
        grouped.setdefault(collection, []).append(change)
    return grouped


def declare(collections: Iterable[str]) -> None:
    """Let there be collections of a flow from outside, in this process from now on."""
    _declared.update(dict.fromkeys(collections))


def every_collection() -> tuple[str, ...]:
    """Return the platform's own collections, and those that were declared."""
    return *COLLECTIONS, *_declared


def check_collection(name: str) -> None:
    """Raise FatalError unless there is such a collection."""
    if name not in COLLECTIONS and name not in _declared:
        known = ", ".join(every_collection())
        raise FatalError(f"there is no collection {name!r} of documents; known: {known}; a flow declares its own")
