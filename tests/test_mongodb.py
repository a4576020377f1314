"""What is special to documents in MongoDB, on a real server with authentication."""

import os
import signal
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from hydrodask import clock
from hydrodask.errors import ConfigError, FatalError, UnreachableError
from hydrodask.records import Remove, Upsert
from hydrodask.services import MongoService
from hydrodask.settings import load, model
from hydrodask.store.documents import base, open_documents
from hydrodask.store.documents.mongo import MongoDocuments
from tests.conftest import mongo_service, quiet
from tests.delivery import until
from tests.test_documents import as_admin, put

pytestmark = pytest.mark.integration

Opener = Callable[[model.Documents], MongoDocuments]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Give what opens the store with some settings; all are closed after the test."""
    with ExitStack() as stack:

        def open_one(settings: model.Documents) -> MongoDocuments:
            documents = MongoDocuments(str(settings.url), settings)
            stack.callback(documents.close)
            return documents

        yield open_one


def administrator(mongodb: MongoService) -> MongoClient[dict[str, Any]]:
    """Return a client with all rights."""
    password = (mongodb.folder / "admin-password").read_text()
    return MongoClient(mongodb.address, directConnection=True, username="admin", password=password)


def test_platform_uses_it_with_its_settings(mongodb: MongoService, tmp_path: Path) -> None:
    """What the service says to set is all that is needed; the password comes from its file."""
    settings, _ = load(sets=[f"data_dir={tmp_path}", *mongodb.sets()], environ={})
    name = uuid.uuid4().hex
    with closing(open_documents(settings)) as documents:
        documents.write([Upsert("components", name, 1, {"a": 1})])

        assert documents.find("components", {"_id": name}, limit=1) == [{"_id": name, "a": 1, "revision": 1}]
        documents.write([Remove("components", name, 2)])  # the only database with a name that others use, too


def test_secrets_are_for_their_owner_alone(mongodb: MongoService) -> None:
    """Passwords and key have mode 0600, and are in no log and no command line."""
    files = [mongodb.folder / name for name in ("password", "admin-password", "key")]
    process = mongodb.process("mongod")
    assert process is not None
    said = Path(f"/proc/{process.pid}/cmdline").read_text() + (mongodb.folder / "mongod.log").read_text()

    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 3
    assert [path.name for path in files if path.read_text().strip() in said] == []


def test_platform_has_rights_on_its_own_database_alone(opened: Opener, mongodb: MongoService) -> None:
    """Another database is refused, for good, in one sentence that says what to do."""
    mine, _ = load(sets=mongodb.sets(), environ={})
    documents = opened(mine.documents.model_copy(update={"database": "others"}))

    with pytest.raises(FatalError, match=r"not authorized") as raised:
        documents.write([put("x", 1)])
    said = str(raised.value)
    assert len(said) < 300
    assert "documents.username" in said
    assert "lsid" not in said
    with pytest.raises(FatalError, match=r"not authorized") as raised:
        documents.find("status", {}, limit=1)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("username", [None, "hydrodask", "nobody"])
def test_wrong_password_is_fatal(opened: Opener, mongodb: MongoService, username: str | None, tmp_path: Path) -> None:
    """Nobody gets in without, and waiting does not help."""
    (tmp_path / "wrong").write_text("wrong")
    mine, _ = load(sets=mongodb.sets(), environ={})
    documents = opened(
        mine.documents.model_copy(update={"username": username, "password_file": username and tmp_path / "wrong"})
    )

    with pytest.raises(FatalError, match=r"[Aa]uthenticat"):
        documents.find("status", {}, limit=1)


def test_missing_password_file_is_said(opened: Opener, mongodb: MongoService, tmp_path: Path) -> None:
    """Before the service was started there is none."""
    mine, _ = load(sets=mongodb.sets(), environ={})

    with pytest.raises(ConfigError, match=r"documents\.password_file"):
        opened(mine.documents.model_copy(update={"password_file": tmp_path / "none"}))


def test_indexes_are_made_and_used(opened: Opener, mongodb: MongoService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest anomalies come from the index; removals expire after a week, documents never; a later flow's too."""
    monkeypatch.setattr(base, "_declared", {})
    chosen = as_admin(mongodb, f"test-{uuid.uuid4().hex}")
    documents = opened(chosen)
    documents.write([put(f"{i}", i, window_start=f"{i:03d}") for i in range(50)])
    base.declare(["later"])
    documents.write([put("x", 1, "later")])
    with administrator(mongodb) as client:
        anomalies = client[chosen.database]["anomalies"]
        assert "expire_removed_at" in client[chosen.database]["later"].index_information()
        indexes = anomalies.index_information()
        plan = anomalies.find({}).sort([("window_start", -1), ("_id", 1)]).limit(5).explain()

    assert indexes["expire_removed_at"]["expireAfterSeconds"] == 7 * 86400
    assert "expire_written_at" not in indexes
    assert plan["executionStats"]["totalKeysExamined"] == 5


class Updates(CommandListener):
    """Keeps the write concern of each update that a client sends."""

    def __init__(self) -> None:
        self.concerns: list[object] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "update":
            self.concerns.append(event.command.get("writeConcern"))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Take no notice."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Take no notice."""


def test_writes_are_journalled_by_a_majority(
    opened: Opener, mongodb: MongoService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are sent, and not as we meant them."""
    updates = Updates()
    monkeypatch.setattr(monitoring, "_LISTENERS", monitoring._LISTENERS._replace(command_listeners=[updates]))
    documents = opened(as_admin(mongodb, f"test-{uuid.uuid4().hex}"))
    documents.write([put("x", 2), put("y", 1), Remove("incidents", "z", 3)])

    assert updates.concerns == [{"w": "majority", "j": True}] * 2


def test_old_documents_and_removals_expire(opened: Opener, mongodb: MongoService) -> None:
    """The server deletes them by itself, after the times that are configured; a changed time is taken over."""
    chosen = as_admin(mongodb, f"test-{uuid.uuid4().hex}")
    first = opened(chosen)
    first.write([put("old", 1), Remove("anomalies", "gone", 7), put("run", 1, "status")])
    short = opened(chosen.model_copy(update={"keep": 1.0, "keep_removed": 1.0}))
    with administrator(mongodb) as client:
        short.write([put("other", 1, "incidents")])
        stored = client[chosen.database]["anomalies"]
        until(lambda: stored.count_documents({}) == 0, "the server has deleted them")

    assert short.find("status", {}, limit=9) != []


def test_server_down_and_back(opened: Opener, tmp_path: Path) -> None:
    """Kill -9: refused within the timeout, as unreachable; after the restart what was written is there, and more."""
    service = mongo_service(tmp_path)
    service.start(quiet)
    try:
        chosen = as_admin(service, "hydrodask").model_copy(update={"timeout": 2.0})
        documents = opened(chosen)
        patient = as_admin(service, "hydrodask")
        # Closed while the server is there: a client looks half a minute for one that is gone.
        with closing(MongoDocuments(str(patient.url), patient)) as all_of_them:
            all_of_them.write([put(f"{i}", i) for i in range(1000)])

        def written() -> bool:
            """Say whether the same client can write; as the platform does, it tries again where the limit is over."""
            with suppress(UnreachableError):
                documents.write([put("x", 1)])
                return True
            return False

        until(written, "it has found the server")
        process = service.process("mongod")
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        assert process._ended(60.0)
        started_s = clock.monotonic_s()
        with pytest.raises(UnreachableError, match="is the server running"):
            documents.write([put("x", 1)])
        assert clock.monotonic_s() - started_s < 25.0  # a driver left alone waits for 30
        service.start(quiet)
        until(written, "it has found the server again")

        with closing(MongoDocuments(str(patient.url), patient)) as all_of_them:
            assert len(all_of_them.find("anomalies", {}, limit=2000)) == 1001
    finally:
        service.stop()


def test_port_and_password_may_change(tmp_path: Path, free_port: int) -> None:
    """The replica set takes its new address over, the user the password that a start makes when there is none."""
    service = mongo_service(tmp_path)
    service.start(quiet)
    settings, _ = load(sets=service.sets(), environ={})
    with closing(open_documents(settings)) as documents:
        documents.write([put("x", 1)])
    service.stop()
    old = service.password_file.read_text()
    service.password_file.unlink()
    moved = MongoService(tmp_path, port=free_port, with_parent=True)
    moved.start(quiet)
    try:
        settings, _ = load(sets=moved.sets(), environ={})
        assert settings.documents.secret() not in (None, old)
        with closing(open_documents(settings)) as documents:
            assert [one["_id"] for one in documents.find("anomalies", {}, limit=9)] == ["x"]
    finally:
        moved.stop()
