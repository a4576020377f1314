"""Documents in one SQLite file: the embedded default, and the only module that imports sqlite3.

One table a collection: id, revision, body as JSON. Write-ahead log, so that readers in other
processes work while `run` writes; `synchronous=FULL`, so that a commit survives a power cut.
"""

import json
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydrodask.clock import monotonic_s, sleep_s
from hydrodask.errors import FatalError, HydrodaskError, RetryableError, UnreachableError
from hydrodask.records import Change, Upsert
from hydrodask.store.documents.contract import (
    COLLECTIONS,
    NEWEST,
    Document,
    by_collection,
    check_collection,
)

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_ENVIRONMENT = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
)


class SqliteDocuments:
    """Documents in the file `path`, made at the first write; until then `find` is empty.

    `timeout_s` limits the wait for another process that writes. One connection, guarded by a lock.
    """

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def write(self, changes: Sequence[Change]) -> None:
        grouped = by_collection(changes)
        if not grouped:
            return
        with self._lock, self._translated(f"write {len(changes)} changes to"):
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                for collection, group in grouped.items():
                    _apply(connection, collection, group)
                connection.execute("COMMIT")
            finally:
                # A failed COMMIT may leave the transaction open or have closed it.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def find(
        self,
        collection: str,
        where: Mapping[str, object],
        *,
        limit: int,
        newest_first: str | None = None,
    ) -> list[Document]:
        check_collection(collection)
        conditions = " AND ".join(f"{_column(name)} IS ?" for name in where) or "1"
        order = f"{_column(newest_first)} DESC, id" if newest_first else "id"
        query = (
            f"SELECT id, revision, body FROM {collection}"  # noqa: S608 - names are checked
            f" WHERE {conditions} ORDER BY {order} LIMIT ?"
        )
        with self._lock, self._translated(f"read {collection} from"):
            if self._connection is None and not self._path.exists():
                return []
            rows = self._connected().execute(query, (*where.values(), limit)).fetchall()
        return [{"_id": name, **json.loads(body), "revision": rev} for name, rev, body in rows]

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path,
                timeout=self._timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                _prepare(connection, timeout_s=self._timeout_s)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _translate(error, f"could not {what} the documents in {self._path}") from error
        except OSError as error:
            raise UnreachableError(f"could not {what} the documents in {self._path}: {error}") from error
        except (TypeError, ValueError) as error:
            raise FatalError(f"could not {what} the documents in {self._path}: {error}") from error


def _prepare(connection: sqlite3.Connection, *, timeout_s: float) -> None:
    connection.execute("PRAGMA synchronous=FULL")
    _use_wal(connection, deadline_s=monotonic_s() + timeout_s)
    found = connection.execute("SELECT count(*) FROM sqlite_master WHERE type='table'").fetchone()
    if found[0] >= len(COLLECTIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for name in COLLECTIONS:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {name}"
            " (id TEXT PRIMARY KEY, revision INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID"
        )
    for name, field in NEWEST.items():
        connection.execute(f"CREATE INDEX IF NOT EXISTS {name}_newest ON {name} ({_column(field)} DESC, id)")
    connection.execute("COMMIT")


def _use_wal(connection: sqlite3.Connection, *, deadline_s: float) -> None:
    """Switch to the write-ahead log; SQLite itself would not wait for another that does it."""
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY or monotonic_s() > deadline_s:
                raise
            sleep_s(0.01)


def _apply(connection: sqlite3.Connection, collection: str, changes: Sequence[Change]) -> None:
    upserts = [
        (c.id, c.revision, json.dumps(c.body, ensure_ascii=False, allow_nan=False))
        for c in changes
        if isinstance(c, Upsert)
    ]
    removes = [(c.id, c.revision) for c in changes if not isinstance(c, Upsert)]
    connection.executemany(
        f"INSERT INTO {collection} VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE"  # noqa: S608 - checked
        " SET revision = excluded.revision, body = excluded.body"
        f" WHERE excluded.revision > {collection}.revision",
        upserts,
    )
    connection.executemany(
        f"DELETE FROM {collection} WHERE id = ? AND revision < ?",  # noqa: S608 - checked
        removes,
    )


def _column(name: str) -> str:
    """Return the expression for a field, spelled as in the index, or SQLite would not use that."""
    if name in ("_id", "revision"):
        return name.removeprefix("_")
    if not _FIELD.fullmatch(name):
        raise FatalError(f"could not look for documents by field {name!r}: want a plain name")
    return f"json_extract(body, '$.{name}')"


def _translate(error: sqlite3.Error, message: str) -> HydrodaskError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return RetryableError(f"{message}: another process holds it ({error})")
    if code in _ENVIRONMENT:
        return UnreachableError(f"{message}: {error}; check disk space, folder and rights")
    return FatalError(f"{message}: {error}; if the file is damaged, move it away and run again")
