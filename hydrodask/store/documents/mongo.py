"""Documents in MongoDB: the only module that imports pymongo.

The revision guard is part of the update itself, a pipeline that keeps what is there unless it is
older: a stale change is no error and changes nothing. A removal is a document of its own without a
body, which the server deletes after `documents.keep_removed`. Writes are acknowledged by a majority,
from the journal.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo import ASCENDING, DESCENDING, DeleteOne, MongoClient, UpdateOne, WriteConcern
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)

from hydrodask.errors import (
    ConfigError,
    FatalError,
    HydrodaskError,
    RetryableError,
    UnreachableError,
    sentence,
)
from hydrodask.records import Change, Upsert
from hydrodask.settings import model
from hydrodask.store.documents.base import (
    KEPT,
    NEWEST,
    Correction,
    Document,
    by_collection,
    check_collection,
    every_collection,
)

_WRITTEN = "_written_at"
"""When the server wrote a document: what `documents.keep` counts from."""
_REMOVED = "_removed_at"
"""Set instead in what is left of a removed document."""
_DUPLICATE_KEY = 11000  # two writers inserted the same id at once: the guard decides at the next attempt
_PERMANENT = (
    13,
    18,
    8000,
    10334,
    17280,
    121,
)
_REFUSED = (13, 18, 8000)  # rights, password (and Atlas')
_RIGHTS = "; check documents.username, its password, and that it may read and write this database"


class MongoDocuments:
    """Documents in the database that the settings name."""

    def __init__(self, url: str, settings: model.Documents) -> None:
        if "@" in url.partition("?")[0]:
            raise ConfigError(
                "documents.url holds a user or a password, which may stand in no URL; set documents.username, and "
                "HYDRODASK_DOCUMENTS__PASSWORD in the environment or documents.password_file"
            )
        password = settings.secret()
        try:
            self._client: MongoClient[Document] = MongoClient(
                url,
                appname="hydrodask",
                timeoutMS=round(settings.timeout * 1000),
                serverSelectionTimeoutMS=round(settings.timeout * 1000),
                retryWrites=True,
                username=settings.username,
                password=password,
            )
        except (ConfigurationError, InvalidURI, ValueError) as error:
            raise ConfigError(f"documents.url can't be used: {sentence(error)}") from error
        self._database = self._client.get_database(settings.database, write_concern=WriteConcern(w="majority", j=True))
        self._keep_s = settings.keep
        self._keep_removed_s = settings.keep_removed
        self._indexed: tuple[str, ...] = ()

    def write(self, changes: Sequence[Change]) -> None:
        grouped = by_collection(changes)
        if not grouped:
            return
        with self._translated(f"write {len(changes)} changes"):
            self._index_once()
            for collection, group in grouped.items():
                self._database[collection].bulk_write([_operation(c) for c in group], ordered=False)

    def find(
        self,
        collection: str,
        where: Mapping[str, object],
        *,
        limit: int,
        newest_first: str | None = None,
    ) -> list[Document]:
        check_collection(collection)
        order = [(newest_first, DESCENDING)] if newest_first else []
        equal = {name: {"$eq": value} for name, value in where.items()} | {_REMOVED: {"$exists": False}}
        with self._translated(f"read {collection}"):
            found = self._database[collection].find(equal, {_WRITTEN: False}).sort([*order, ("_id", ASCENDING)])
            return list(found.limit(limit)) if limit > 0 else []

    def mend(self, corrections: Sequence[Correction]) -> int:
        count = 0
        with self._translated(f"put {len(corrections)} right"):
            for name in sorted({one.collection for one in corrections}):
                check_collection(name)
                operations = [_correction(one) for one in corrections if one.collection == name]
                done = self._database[name].bulk_write(operations, ordered=False)
                count += done.modified_count + done.upserted_count + done.deleted_count
        return count

    def close(self) -> None:
        self._client.close()

    def _index_once(self) -> None:
        """Make the indexes that are missing, once for what collections there are."""
        wanted = every_collection()
        if self._indexed == wanted:
            return
        for collection, field in NEWEST.items():
            self._database[collection].create_index([(field, DESCENDING), ("_id", ASCENDING)])
        for collection in wanted:
            self._expire(collection, _REMOVED, self._keep_removed_s)
            self._expire(collection, _WRITTEN, self._keep_s if collection in KEPT else None)
        self._indexed = wanted

    def _expire(self, collection: str, field: str, after_s: float | None) -> None:
        """Let the server delete documents this long after the time in `field`; None: never."""
        name = f"expire{field}"
        indexes = self._database[collection].index_information()
        wanted = None if after_s is None else max(1, round(after_s))
        if name in indexes and indexes[name].get("expireAfterSeconds") != wanted:
            self._database[collection].drop_index(name)
        if wanted is not None:
            self._database[collection].create_index([(field, ASCENDING)], name=name, expireAfterSeconds=wanted)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        message = f"could not {what} in MongoDB database {self._database.name!r}"
        try:
            yield
        except PyMongoError as error:
            raise _translate(error, message) from error
        except BSONError as error:
            raise FatalError(f"{message}: {sentence(error)}") from error


def _operation(change: Change) -> UpdateOne:
    """Return the write of a change, which keeps what is there unless it is older."""
    older: Document = {"$lt": [{"$ifNull": ["$revision", -(2**63)]}, change.revision]}
    return _replaced(change, older)


def _correction(one: Correction) -> UpdateOne | DeleteOne:
    """Return the write of a correction, which keeps what is there unless it is what was seen."""
    if one.want is None:
        return DeleteOne({"_id": one.id, "revision": one.seen, _REMOVED: {"$exists": False}})
    gone: Document = {"$ne": [{"$type": f"${_REMOVED}"}, "missing"]}
    if one.seen is None:
        return _replaced(one.want, {"$or": [gone, {"$eq": [{"$type": "$revision"}, "missing"]}]})
    return _replaced(one.want, {"$and": [{"$not": [gone]}, {"$eq": ["$revision", one.seen]}]}, upsert=False)


def _replaced(change: Change, when: Document, *, upsert: bool = True) -> UpdateOne:
    """Return the write of a document under a condition on what is there."""
    document: Document = {"_id": change.id, "revision": change.revision}
    stamp = {_REMOVED: "$$NOW"}
    if isinstance(change, Upsert):
        document = change.body | document
        stamp = {_WRITTEN: "$$NOW"}
    # $literal, because a text in the body may begin with a dollar sign.
    stamped = {"$mergeObjects": [{"$literal": document}, stamp]}
    return UpdateOne({"_id": change.id}, [{"$replaceWith": {"$cond": [when, stamped, "$$ROOT"]}}], upsert=upsert)


def _translate(error: PyMongoError, message: str) -> HydrodaskError:
    if isinstance(error, ConnectionFailure) or error.timeout:
        return UnreachableError(f"{message}: {sentence(error)}; is the server running and documents.url right?")
    if isinstance(error, BulkWriteError):
        codes = {problem["code"] for problem in error.details.get("writeErrors", ())}
        kind = FatalError if codes.intersection(_PERMANENT) else RetryableError
        return kind(f"{message}: {_first_problem(error)}")
    if isinstance(error, OperationFailure) and error.code not in _PERMANENT:
        return RetryableError(f"{message}: {sentence(error)}")
    return FatalError(f"{message}: {sentence(error)}{_RIGHTS if error_code(error) in _REFUSED else ''}")


def error_code(error: PyMongoError) -> object:
    """Return the server's number for an error, None when it has none."""
    return getattr(error, "code", None)


def _first_problem(error: BulkWriteError) -> str:
    """Return what the server says of the first write that failed, and how many did."""
    details = error.details
    problems = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    first = sentence(ValueError(str(problems[0].get("errmsg", "")))) if problems else sentence(error)
    return first if len(problems) <= 1 else f"{first} (and {len(problems) - 1} more)"
