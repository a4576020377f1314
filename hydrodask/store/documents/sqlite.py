"""Documents in one SQLite file: the embedded default, and the only module that imports sqlite3.

One table a collection: id, revision, body as JSON, when it was written (seconds since the epoch),
and whether it was removed. Write-ahead log, so that readers in other processes work while `run`
writes; `synchronous=FULL`, so that a commit survives a power cut.
"""

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from hydrodask.clock import monotonic_s, now_us, sleep_s
from hydrodask.errors import FatalError, HydrodaskError, RetryableError, UnreachableError
from hydrodask.records import Change, Upsert
from hydrodask.store.documents.base import (
    KEPT,
    NEWEST,
    Correction,
    Document,
    by_collection,
    check_collection,
    every_collection,
)

_LAYOUT = 3
"""Version of the tables, which the file knows."""
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NO_RIGHTS = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_ENVIRONMENT = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
)


CLEAN_EVERY_S = 600.0
"""How often what is too old is looked for, and deleted, before a write."""


class SqliteDocuments:
    """Documents in the file `path`, made at the first write; until then `find` is empty.

    `timeout_s` limits the wait for another process that writes. One connection, guarded by a lock.
    `keep_s` and `keep_removed_s` see `documents.keep` and `keep_removed`; `now_s` is the system time.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout_s: float,
        keep_s: float | None = None,
        keep_removed_s: float = 7 * 86400.0,
        now_s: Callable[[], float] = lambda: now_us() / 1e6,
    ) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._keep_removed_s = keep_removed_s
        self._now_s = now_s
        self._cleaned_s = float("-inf")
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._made: tuple[str, ...] = ()

    def write(self, changes: Sequence[Change]) -> None:
        grouped = by_collection(changes)
        if not grouped:
            return
        with self._lock, self._translated(f"write {len(changes)} changes to"), self._transaction() as connection:
            self._clean(connection)
            for collection, group in grouped.items():
                _apply(connection, collection, group, now_s=self._now_s())

    def find(
        self,
        collection: str,
        where: Mapping[str, object],
        *,
        limit: int,
        newest_first: str | None = None,
    ) -> list[Document]:
        check_collection(collection)
        conditions = " AND ".join(["NOT removed", *(f"{_column(name)} IS ?" for name in where)])
        order = f"{_column(newest_first)} DESC, id" if newest_first else "id"
        query = (
            f'SELECT id, revision, body FROM "{collection}"'  # noqa: S608 - names are checked
            f" WHERE {conditions} ORDER BY {order} LIMIT ?"
        )
        with self._lock, self._translated(f"read {collection} from"):
            if self._connection is None and not self._path.exists():
                return []
            rows = self._rows(query, (*where.values(), limit))
        return [{"_id": name, **json.loads(body), "revision": rev} for name, rev, body in rows]

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[str, int, str]]:
        try:
            return self._connected().execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _NO_RIGHTS:
                raise
        with closing(self._looked_at()) as connection:
            return connection.execute(query, values).fetchall()

    def mend(self, corrections: Sequence[Correction]) -> int:
        for one in corrections:
            check_collection(one.collection)
        if not corrections:
            return 0
        with self._lock, self._translated(f"put {len(corrections)} right in"), self._transaction() as connection:
            return sum(_mend(connection, one, now_s=self._now_s()) for one in corrections)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            # A failed COMMIT may leave the transaction open or have closed it.
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _clean(self, connection: sqlite3.Connection) -> None:
        """Delete what is older than it is to be kept, now and then."""
        now_s = self._now_s()
        if now_s - self._cleaned_s < CLEAN_EVERY_S:
            return
        for name in self._made:
            limit_s = now_s - self._keep_removed_s
            connection.execute(f'DELETE FROM "{name}" WHERE removed AND written < ?', (limit_s,))  # noqa: S608 - ours
        for name in KEPT if self._keep_s is not None else ():
            limit_s = now_s - (self._keep_s or 0)
            connection.execute(f'DELETE FROM "{name}" WHERE NOT removed AND written < ?', (limit_s,))  # noqa: S608 - ours
        self._cleaned_s = now_s

    def _connected(self) -> sqlite3.Connection:
        """Return the connection; whatever collections there are now have their tables, those of a later flow too."""
        wanted = every_collection()
        if self._connection is not None and self._made == wanted:
            return self._connection
        connection, self._connection = self._connection or self._connect(), None
        try:
            _prepare(connection, wanted, timeout_s=self._timeout_s, now_s=self._now_s())
        except sqlite3.Error:
            connection.close()
            raise
        self._connection, self._made = connection, wanted
        return connection

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(self._path, timeout=self._timeout_s, isolation_level=None, check_same_thread=False)

    def _looked_at(self) -> sqlite3.Connection:
        """Return a connection for who may not write here; SQLite would write beside the file even to read it.

        What another process has written and not yet moved into the file is read, too. Without such a log nobody has the
        file open, and it does not change.
        """
        still = "" if self._path.with_name(f"{self._path.name}-wal").exists() else "&immutable=1"
        return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro{still}", timeout=self._timeout_s, uri=True)

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


def _prepare(connection: sqlite3.Connection, collections: Sequence[str], *, timeout_s: float, now_s: float) -> None:
    connection.execute("PRAGMA synchronous=FULL")
    _use_wal(connection, deadline_s=monotonic_s() + timeout_s)
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if connection.execute("PRAGMA user_version").fetchone()[0] == _LAYOUT and there.issuperset(collections):
        return
    connection.execute("BEGIN IMMEDIATE")
    for name in collections:
        connection.execute(
            f'CREATE TABLE IF NOT EXISTS "{name}"'
            " (id TEXT PRIMARY KEY, revision INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID"
        )
        found = {column[1] for column in connection.execute(f'PRAGMA table_info("{name}")')}
        for column in ("written", "removed"):  # a file of an older version has no such columns
            if column not in found:
                connection.execute(f'ALTER TABLE "{name}" ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0')
        connection.execute(f'CREATE INDEX IF NOT EXISTS "{name}_written" ON "{name}" (removed, written)')
        # What an older version wrote counts from now on.
        connection.execute(f'UPDATE "{name}" SET written = ? WHERE written = 0', (round(now_s),))  # noqa: S608 - ours
    for name, field in NEWEST.items():
        connection.execute(f'CREATE INDEX IF NOT EXISTS "{name}_newest" ON "{name}" ({_column(field)} DESC, id)')
    connection.execute(f"PRAGMA user_version = {_LAYOUT}")
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


def _mend(connection: sqlite3.Connection, one: Correction, *, now_s: float) -> int:
    """Put one document right, if it is what was seen; return how many that were."""
    name, want = one.collection, one.want
    if want is None:
        query = f'DELETE FROM "{name}" WHERE id = ? AND revision = ? AND NOT removed'  # noqa: S608 - checked
        return connection.execute(query, (one.id, one.seen)).rowcount
    values = (want.revision, json.dumps(want.body, ensure_ascii=False, allow_nan=False), round(now_s))
    if one.seen is not None:
        query = f'UPDATE "{name}" SET revision = ?, body = ?, written = ? WHERE id = ? AND revision = ? AND NOT removed'  # noqa: S608 - checked
        return connection.execute(query, (*values, one.id, one.seen)).rowcount
    query = (
        f'INSERT INTO "{name}" (id, revision, body, written, removed) VALUES (?, ?, ?, ?, 0)'  # noqa: S608 - checked
        " ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, body = excluded.body,"
        f' written = excluded.written, removed = 0 WHERE "{name}".removed'
    )
    return connection.execute(query, (one.id, *values)).rowcount


def _apply(connection: sqlite3.Connection, collection: str, changes: Sequence[Change], *, now_s: float) -> None:
    """Write each change, unless what is there is as new; a removal is a row of its own, without a body."""
    written = round(now_s)
    rows = [
        (c.id, c.revision, json.dumps(c.body, ensure_ascii=False, allow_nan=False), written, 0)
        if isinstance(c, Upsert)
        else (c.id, c.revision, "{}", written, 1)
        for c in changes
    ]
    connection.executemany(
        f'INSERT INTO "{collection}" (id, revision, body, written, removed) VALUES (?, ?, ?, ?, ?)'  # noqa: S608 - checked
        " ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, body = excluded.body,"
        " written = excluded.written, removed = excluded.removed"
        f' WHERE excluded.revision > "{collection}".revision',
        rows,
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
