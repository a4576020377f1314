"""One battery for every document store, SQLite and a real MongoDB; then what is special to SQLite."""

import multiprocessing
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrodask.errors import ConfigError, FatalError, RetryableError, UnreachableError
from hydrodask.records import Change, Remove, Upsert
from hydrodask.services import MongoService
from hydrodask.settings import Settings, Url, model
from hydrodask.store.documents import COLLECTIONS, Correction, Documents, Mendable, base, open_documents
from hydrodask.store.documents.mongo import MongoDocuments
from hydrodask.store.documents.sqlite import SqliteDocuments

Opener = Callable[[], Mendable]
"""Opens the same store again at each call, as another process would."""


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.integration)])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Give what opens an empty store; a new kind of store is one more parameter."""
    opened: list[Mendable] = []
    own = f"test-{uuid.uuid4().hex}"

    def open_one() -> Mendable:
        if request.param == "sqlite":
            opened.append(SqliteDocuments(tmp_path / "a" / "documents.sqlite", timeout_s=10.0))
        else:
            chosen = as_admin(request.getfixturevalue("mongodb"), own)
            opened.append(MongoDocuments(str(chosen.url), chosen))
        return opened[-1]

    yield open_one
    for documents in opened:
        documents.close()


def as_admin(mongodb: MongoService, database: str) -> model.Documents:
    """Return settings with all rights, for a database of a test's own."""
    return model.Documents(
        url=f"mongodb://{mongodb.address}/?replicaSet=rs0",
        database=database,
        username="admin",
        password_file=mongodb.folder / "admin-password",
        timeout=30.0,
    )


def put(name: str, revision: int, collection: str = "anomalies", **body: object) -> Upsert:
    """Return an upsert."""
    return Upsert(collection, name, revision, body)


def everything(documents: Documents) -> dict[str, list[dict[str, object]]]:
    """Return all that is stored."""
    return {c: documents.find(c, {}, limit=1000) for c in ("anomalies", "incidents")}


def test_nothing_is_found_before_the_first_write(opener: Opener) -> None:
    """An empty store is empty, not an error."""
    assert opener().find("incidents", {}, limit=10) == []


def test_what_is_wrong_is_put_right_against_its_revision(opener: Opener) -> None:
    """If it is what was seen: changed, removed or lost documents become what they should be, and nothing else."""
    documents = opener()
    documents.write([put(name, 50, a="$wrong") for name in ("changed", "invented", "moved", "moved on")])
    documents.write([Remove("anomalies", "lost", 60), put("fine", 7, a=7)])
    corrections = [
        Correction("anomalies", "changed", 50, put("changed", 5, a="$right")),
        Correction("anomalies", "invented", 50, None),
        Correction("anomalies", "moved", 49, put("moved", 5)),
        Correction("anomalies", "moved on", 49, None),
        Correction("anomalies", "lost", None, put("lost", 6, a=6)),
        Correction("anomalies", "never there", None, put("never there", 6, a=6)),
        Correction("anomalies", "fine", None, put("fine", 70, a=70)),
        Correction("incidents", "gone", 3, put("gone", 3)),
    ]

    count, again = documents.mend(corrections), documents.mend(corrections)
    documents.write([put("invented", 2), put("changed", 4)])

    assert (count, again) == (4, 0)
    assert {one["_id"]: (one["revision"], one.get("a")) for one in everything(opener())["anomalies"]} == {
        "changed": (5, "$right"),
        "fine": (7, 7),
        "invented": (2, None),
        "lost": (6, 6),
        "moved": (50, "$wrong"),
        "moved on": (50, "$wrong"),
        "never there": (6, 6),
    }
    assert everything(documents)["incidents"] == []


def test_what_was_written_is_found(opener: Opener) -> None:
    """A document comes back with id, revision and all its fields, from another connection too."""
    body: dict[str, object] = {
        "a": 1,
        "b": 2.5,
        "c": None,
        "d": [1, "ü$"],
        "e": {"$x": True},
        "f": "$rig",
    }
    opener().write([Upsert("status", "one", 7, body)])

    assert opener().find("status", {}, limit=10) == [{"_id": "one", **body, "revision": 7}]


def test_body_is_replaced_whole(opener: Opener) -> None:
    """Fields of the older document do not linger."""
    documents = opener()
    documents.write([put("x", 1, a=1)])
    documents.write([put("x", 2, b=2)])

    assert documents.find("anomalies", {}, limit=10) == [{"_id": "x", "b": 2, "revision": 2}]


@pytest.mark.parametrize("revision", [4, 5])
def test_older_or_equal_revision_changes_nothing(opener: Opener, revision: int) -> None:
    """The guard holds for upserts and removals."""
    documents = opener()
    documents.write([put("x", 5, a="kept")])
    documents.write([put("x", revision, a="stale")])
    documents.write([Remove("anomalies", "x", revision)])

    assert documents.find("anomalies", {}, limit=10) == [{"_id": "x", "a": "kept", "revision": 5}]


def test_revision_zero_is_a_revision(opener: Opener) -> None:
    """The first record of a partition writes, and is overwritten."""
    documents = opener()
    documents.write([put("x", 0, a=0)])
    documents.write([put("x", 1, a=1)])

    assert documents.find("anomalies", {}, limit=1)[0]["a"] == 1


def test_newer_removal_removes(opener: Opener) -> None:
    """And removing what is not there is no error."""
    documents = opener()
    documents.write([put("x", 5)])
    documents.write([Remove("anomalies", "x", 6), Remove("anomalies", "y", 6)])

    assert documents.find("anomalies", {}, limit=10) == []


def test_removed_document_is_not_brought_back(opener: Opener) -> None:
    """An upsert that is older than the removal, from a replay or a zombie, changes nothing; a newer one does."""
    documents = opener()
    documents.write([put("x", 5, a=5)])
    documents.write([Remove("anomalies", "x", 7)])
    opener().write([put("x", 6, a=6)])
    assert documents.find("anomalies", {}, limit=10) == []
    opener().write([put("x", 7, a=7)])
    assert documents.find("anomalies", {"_id": "x"}, limit=10) == []

    opener().write([put("x", 8, a=8)])
    assert documents.find("anomalies", {}, limit=10) == [{"_id": "x", "a": 8, "revision": 8}]


def test_removal_may_come_first(opener: Opener) -> None:
    """The zombie's upsert comes after the removal of what was never there."""
    documents = opener()
    documents.write([Remove("incidents", "x", 7)])
    documents.write([put("x", 6, "incidents"), put("y", 6, "incidents")])

    assert [one["_id"] for one in documents.find("incidents", {}, limit=10)] == ["y"]


def test_what_is_removed_is_not_in_the_way(opener: Opener) -> None:
    """A limit counts documents that are there, in whatever order."""
    documents = opener()
    documents.write([put(f"{i}", i, window_start=f"{i}") for i in range(6)])
    documents.write([Remove("anomalies", f"{i}", 10) for i in range(1, 6, 2)])

    newest = documents.find("anomalies", {}, limit=2, newest_first="window_start")
    assert [one["_id"] for one in newest] == ["4", "2"]
    assert [one["_id"] for one in documents.find("anomalies", {}, limit=9)] == ["0", "2", "4"]


def test_last_change_of_a_batch_counts(opener: Opener) -> None:
    """Several changes of one id in one batch end as if written one by one."""
    documents = opener()
    documents.write([put("x", 1, a=1), put("x", 2, a=2), put("y", 3), Remove("anomalies", "y", 4)])

    assert documents.find("anomalies", {}, limit=10) == [{"_id": "x", "a": 2, "revision": 2}]


def test_same_id_in_two_collections_is_two_documents(opener: Opener) -> None:
    """Ids are per collection."""
    documents = opener()
    documents.write([put("x", 1, "anomalies", a=1), put("x", 1, "incidents", a=2)])

    assert documents.find("incidents", {}, limit=10)[0]["a"] == 2


def test_find_filters_orders_and_limits(opener: Opener) -> None:
    """Equality on fields, newest first, ties by id."""
    documents = opener()
    documents.write(
        [
            put("a", 1, rig="r1", window_start="2026-01-01T00:00:00Z", provisional=True),
            put("b", 2, rig="r1", window_start="2026-01-01T00:00:10Z", provisional=False),
            put("d", 3, rig="r1", window_start="2026-01-01T00:00:20Z", provisional=False),
            put("c", 4, rig="r1", window_start="2026-01-01T00:00:20Z", provisional=False),
            put("e", 5, rig="r2", window_start="2026-01-01T00:00:30Z", provisional=None),
        ]
    )

    def ids(limit: int = 10, **where: object) -> list[str]:
        found = documents.find("anomalies", where, limit=limit, newest_first="window_start")
        return [one["_id"] for one in found]

    assert ids(rig="r1") == ["c", "d", "b", "a"]
    assert ids(limit=2) == ["e", "c"]
    assert ids(rig="r1", provisional=True) == ["a"]
    assert ids(rig="r3") == []
    assert ids(_id="b") == ["b"]
    assert ids(limit=0) == []


def test_writers_of_one_document_end_with_the_newest(opener: Opener) -> None:
    """Four connections write revisions of the same ten new documents at once; the highest revisions are there."""
    batches = [[put(f"{i}", 4 * n + writer, n=n) for i in range(10) for n in range(5)] for writer in range(4)]
    stores = [opener() for _ in batches]
    stores[0].write([put("warm", 0)])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_write_again, stores, batches))

    found = stores[0].find("anomalies", {}, limit=100)
    assert {one["revision"] for one in found if one["_id"] != "warm"} == {19}


def _write_again(documents: Documents, batch: list[Upsert]) -> None:
    """Write as the platform does: what is refused is tried again."""
    for attempt in range(20):
        try:
            documents.write(batch)
        except RetryableError:
            assert attempt < 19
        else:
            return


def test_unknown_collection_is_refused(opener: Opener) -> None:
    """A misspelled collection is a mistake in the program."""
    documents = opener()

    with pytest.raises(FatalError, match="nowhere"):
        documents.write([put("x", 1, "nowhere")])
    with pytest.raises(FatalError, match="nowhere"):
        documents.find("nowhere", {}, limit=1)


def test_collections_are_declared_while_the_store_is_open(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a flow that comes later, for who writes and who reads; words of SQL are names like others."""
    monkeypatch.setattr(base, "_declared", {})
    writer, reader = opener(), opener()
    writer.write([put("old", 1)])
    assert reader.find("anomalies", {}, limit=1)
    for name in ("check", "order"):
        base.declare([name])
        assert reader.find(name, {}, limit=9, newest_first="a") == []
        writer.write([put("new", 2, name, a=1), put("gone", 2, name), Remove(name, "gone", 3)])
        writer.mend(
            [Correction(name, "new", 2, put("new", 1, name, a=2)), Correction(name, "x", None, put("x", 5, name))]
        )
        assert reader.find(name, {"a": 2}, limit=9) == [{"_id": "new", "a": 2, "revision": 1}]
        assert writer.mend([Correction(name, "new", 1, None)]) == 1


def test_closing_twice_is_fine(opener: Opener) -> None:
    """And a closed store opens again when it is used."""
    documents = opener()
    documents.write([])
    documents.write([put("x", 1)])
    documents.close()
    documents.close()


changes = st.lists(
    st.tuples(st.sampled_from(["anomalies", "incidents"]), st.sampled_from("abc"), st.booleans()),
    max_size=20,
).map(
    lambda picked: [
        put(name, revision, collection, value=revision) if upsert else Remove(collection, name, revision)
        for revision, (collection, name, upsert) in enumerate(picked)
    ]
)


@settings(max_examples=25, deadline=None)
@given(batch=changes, cuts=st.lists(st.integers(0, 20), max_size=4), back=st.integers(0, 20))
def test_batching_and_repeats_do_not_matter(batch: list[Change], cuts: list[int], back: int) -> None:
    """Cut anywhere, and with the tail written again: what counts is the order of revisions."""
    edges = sorted({0, len(batch), *(cut for cut in cuts if cut < len(batch))})
    found = []
    for groups in (
        [[one] for one in batch],
        [batch[a:b] for a, b in pairwise(edges)] + [batch[back:]],
    ):
        with tempfile.TemporaryDirectory() as folder:
            documents = SqliteDocuments(Path(folder) / "d.sqlite", timeout_s=1.0)
            for group in groups:
                documents.write(group)
            found.append(everything(documents))
            documents.close()

    assert found[0] == found[1]


def _write_many(path: str, first: int) -> None:
    documents = SqliteDocuments(Path(path), timeout_s=30.0)
    for i in range(first, first + 20):
        documents.write([put(f"{i:03d}", i)])
    documents.close()


def test_processes_write_and_read_at_once(tmp_path: Path) -> None:
    """Three writers and a reader on one file: nothing is lost and nobody fails."""
    path = tmp_path / "documents.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(str(path), 20 * i)) for i in range(3)]
    for writer in writers:
        writer.start()
    reader = SqliteDocuments(path, timeout_s=30.0)
    while any(writer.is_alive() for writer in writers):
        reader.find("anomalies", {}, limit=100)
        writers[0].join(0.01)
    found = reader.find("anomalies", {}, limit=100)
    reader.close()

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(found) == 60


def test_removals_are_forgotten_after_a_time(tmp_path: Path) -> None:
    """Until then an older upsert changes nothing; after that it would, so the time is longer than any replay."""
    now_s = [1_000_000.0]
    documents = SqliteDocuments(tmp_path / "d.sqlite", timeout_s=1.0, keep_removed_s=3600.0, now_s=lambda: now_s[0])
    documents.write([Remove("anomalies", "x", 7), Remove("status", "x", 7)])
    now_s[0] += 3500.0
    documents.write([put("x", 6), put("x", 6, "status")])
    assert documents.find("anomalies", {}, limit=1) == documents.find("status", {}, limit=1) == []
    now_s[0] += 700.0
    documents.write([put("x", 6), put("x", 6, "status")])

    assert [one["_id"] for one in documents.find("anomalies", {}, limit=9)] == ["x"]
    assert [one["_id"] for one in documents.find("status", {}, limit=9)] == ["x"]
    documents.close()


def test_old_documents_go_when_told_so(tmp_path: Path) -> None:
    """`documents.keep` counts from the last change, and is for anomalies and incidents."""
    now_s = [1_000_000.0]
    documents = SqliteDocuments(tmp_path / "d.sqlite", timeout_s=1.0, keep_s=7200.0, now_s=lambda: now_s[0])
    documents.write([put("old", 1), put("changed", 2), put("run", 3, "status")])
    now_s[0] += 7000.0
    documents.write([put("changed", 4)])
    now_s[0] += 700.0
    documents.write([put("new", 5)])

    assert [one["_id"] for one in documents.find("anomalies", {}, limit=9)] == ["changed", "new"]
    assert [one["_id"] for one in documents.find("status", {}, limit=9)] == ["run"]
    documents.close()


def test_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    """Its tables get the new columns; its documents stay, and their age counts from now."""
    path = tmp_path / "d.sqlite"
    old = sqlite3.connect(path)
    for name in COLLECTIONS:
        old.execute(f"CREATE TABLE {name} (id TEXT PRIMARY KEY, revision INTEGER NOT NULL, body TEXT NOT NULL)")
    old.execute("INSERT INTO anomalies VALUES ('x', 5, '{\"a\": 1}')")
    old.commit()
    old.close()
    documents = SqliteDocuments(path, timeout_s=1.0, keep_s=3600.0)
    documents.write([put("x", 4, a=2), put("y", 1)])

    assert documents.find("anomalies", {"a": 1}, limit=9) == [{"_id": "x", "a": 1, "revision": 5}]
    documents.close()


def test_locked_file_is_retryable(tmp_path: Path) -> None:
    """Another writer that does not let go is worth another attempt."""
    path = tmp_path / "documents.sqlite"
    documents = SqliteDocuments(path, timeout_s=0.05)
    documents.write([put("x", 1)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(RetryableError, match=r"documents\.sqlite"):
        documents.write([put("x", 2)])
    assert documents.find("anomalies", {}, limit=1)[0]["revision"] == 1

    other.close()
    documents.write([put("x", 2)])
    documents.close()


def test_folder_in_the_way_is_unreachable(tmp_path: Path) -> None:
    """A path that can't be opened says so and may heal."""
    documents = SqliteDocuments(tmp_path, timeout_s=0.05)

    with pytest.raises(UnreachableError):
        documents.write([put("x", 1)])


def test_damaged_file_is_fatal(tmp_path: Path) -> None:
    """A file that is no database does not become one by waiting."""
    path = tmp_path / "documents.sqlite"
    path.write_bytes(b"no database at all " * 100)

    with pytest.raises(FatalError, match="move it away"):
        SqliteDocuments(path, timeout_s=0.05).find("anomalies", {}, limit=1)


def test_impossible_body_is_fatal_and_changes_nothing(tmp_path: Path) -> None:
    """NaN is no JSON; the batch it is in is rolled back whole."""
    documents = SqliteDocuments(tmp_path / "d.sqlite", timeout_s=1.0)
    with pytest.raises(FatalError):
        documents.write([put("x", 1), put("y", 1, "incidents", a=float("nan"))])
    found = everything(documents)
    documents.close()

    assert found == {"anomalies": [], "incidents": []}


def test_newest_first_uses_the_index(tmp_path: Path) -> None:
    """Listing the newest anomalies of a large store does not sort all of them."""
    path = tmp_path / "d.sqlite"
    documents = SqliteDocuments(path, timeout_s=1.0)
    documents.write([put("x", 1)])
    documents.close()
    connection = sqlite3.connect(path)
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT id FROM anomalies ORDER BY json_extract(body, '$.window_start') DESC, id LIMIT 5"
    ).fetchall()
    connection.close()

    assert "anomalies_newest" in str(plan)


def test_url_decides(tmp_path: Path) -> None:
    """SQLite by default, MongoDB by URL, and nothing else; no file appears by opening."""
    given_url = Settings(data_dir=tmp_path / "data")
    mongo = given_url.model_copy(
        update={"documents": given_url.documents.model_copy(update={"url": Url("mongodb://h:1/")})}
    )
    other = given_url.model_copy(
        update={"documents": given_url.documents.model_copy(update={"url": Url("redis://h:1/")})}
    )
    client = open_documents(mongo)

    assert isinstance(open_documents(given_url), SqliteDocuments)
    assert isinstance(client, MongoDocuments)
    assert not (tmp_path / "data").exists()
    with pytest.raises(ConfigError, match="redis"):
        open_documents(other)
    client.close()


def test_secret_in_a_url_is_refused() -> None:
    """It would show in every process list; it is not repeated, and what to do instead is said."""
    chosen = model.Documents(url="mongodb://me:hush@h:1/?appName=a@b")
    with pytest.raises(ConfigError, match=r"documents\.username.*HYDRODASK_DOCUMENTS__PASSWORD") as caught:
        open_documents(Settings(documents=chosen))

    assert "hush" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"redis://\*\*\*@h:1"):
        open_documents(Settings(documents=model.Documents(url="redis://me:hush@h:1/")))


def test_the_write_ahead_log_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has the new file when we switch it: SQLite does not wait for that, we do."""
    path = tmp_path / "d.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE t (x)")
    other.execute("BEGIN IMMEDIATE")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if other.in_transaction:
            other.execute("ROLLBACK")

    monkeypatch.setattr("hydrodask.store.documents.sqlite.sleep_s", sleep)
    documents = SqliteDocuments(path, timeout_s=5.0)
    documents.write([put("a", 1)])

    assert waits
    assert [one["_id"] for one in documents.find("anomalies", {}, limit=9)] == ["a"]
    documents.close()
    other.close()
