"""The champions as a registry has them, read without MLflow: by its REST interface, or from its SQLite file.

What a worker needs of a registry is three questions and a file. MLflow's own client would answer them, after two
seconds of importing and at a hundred megabytes of memory in each worker; it is for who trains.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from hydrodask import extras
from hydrodask.errors import FatalError, UnreachableError, sentence
from hydrodask.learn.digests import Digests
from hydrodask.learn.rest import Rest
from hydrodask.learn.targets import TARGETS
from hydrodask.settings import Settings, Url
from hydrodask.settings.hidden import with_password
from hydrodask.store.files import Files

CHAMPION, CHALLENGER = "champion", "challenger"
PREFIX = "hydrodask-"
ONNX, PLAIN = "onnx/model.onnx", "plain/model.npz"
"""What a model is stored as: ONNX, or plain arrays."""
_SQLITE = "sqlite:///"
_WAIT_S = 5.0
"""How long another process may keep the SQLite file for itself."""


def file_of(uri: Url) -> Path | None:
    """Return the file of an embedded registry, which need not be there; None: a server has it.

    >>> file_of(Url("sqlite:////data/mlflow.db")), file_of(Url("http://127.0.0.1:5000"))
    (PosixPath('/data/mlflow.db'), None)
    """
    text = uri.plain()
    return Path(text.removeprefix(_SQLITE)) if text.startswith(_SQLITE) else None


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version of a model."""

    target: str
    name: str
    version: int
    kind: str
    run_id: str
    aliases: tuple[str, ...]
    created_us: int
    figures: dict[str, float]
    reason: str
    stored: str = ONNX
    judged_on: str = ""
    """A fingerprint of the cycles and labels that its figures are of."""


class Registered(Protocol):
    """Where registered models are. Methods raise UnreachableError when it does not answer, FatalError if it refuses."""

    uri: Url

    def champions(self) -> dict[str, Version]:
        """Return the champion of each target that has one."""

    def stored(self, version: Version) -> bytes:
        """Return a version's stored form, as it was registered. Raises FatalError or IntegrityError, see `Digests`."""


class Backend(Protocol):
    """A registry as one of the two ways gives it."""

    def champions(self) -> list[Mapping[str, Any]]:
        """Return name, version, created (ms), run, `tags` and `aliases` (by name, the version) of each champion."""

    def artifacts(self, run_id: str) -> str:
        """Return the URI of the folder with a run's artefacts."""

    def fetch(self, uri: str) -> bytes | None:
        """Return an artefact that the registry itself hands out, None if that is not how it is stored."""


def shelf(settings: Settings) -> Registered:
    """Return what the settings' registry is read through: MLflow itself only if it is neither a server nor SQLite."""
    uri = with_password(settings.mlflow_uri, settings.learn.password_file, "learn.password_file")
    if (file := file_of(uri)) is not None:
        return Shelf(settings, uri, Database(file))
    if uri.plain().startswith(("http://", "https://")):
        return Shelf(settings, uri, Rest(uri, settings.learn.ca_file))
    with extras.needed():
        from hydrodask.learn.registry import Registry  # noqa: PLC0415 - MLflow, which a worker need not have

    return Registry(settings)


class Shelf:
    """Registered models, to be read."""

    def __init__(self, settings: Settings, uri: Url, source: Backend) -> None:
        self.uri, self._source = uri, source
        self.digests = Digests(settings)

    def champions(self) -> dict[str, Version]:
        """Return the champion of each target that has one."""
        with _reachable(self.uri):
            found = [version_of(row) for row in self._source.champions()]
        return {version.target: version for version in found if version.target in TARGETS}

    def stored(self, version: Version) -> bytes:
        """Return a version's stored form, as it was registered. Raises FatalError or IntegrityError, see `Digests`."""
        with _reachable(self.uri):
            where = self._source.artifacts(version.run_id).rstrip("/")
            stored = self._source.fetch(f"{where}/{version.stored}")
            stored = _read(where, version.stored) if stored is None else stored
        self.digests.check(version.name, version.run_id, version.version, stored)
        return stored


class Database:
    """A registry in a SQLite file of this machine, as MLflow writes it; nothing is written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def champions(self) -> list[Mapping[str, Any]]:
        """Return what the registry says of each champion."""
        with closing(self._connect()) as database:
            wanted = "SELECT name, version FROM registered_model_aliases WHERE alias = ? AND name LIKE ?"
            chosen = database.execute(wanted, (CHAMPION, f"{PREFIX}%")).fetchall()
            return [self._row(database, name, int(version)) for name, version in chosen]

    def artifacts(self, run_id: str) -> str:
        """Return the URI of the folder with a run's artefacts."""
        with closing(self._connect()) as database:
            found = database.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()
        if found is None:
            raise FatalError(f"there is no run {run_id}")
        return str(found[0])

    def fetch(self, uri: str) -> bytes | None:  # noqa: ARG002 - a file hands nothing out
        """Return nothing: artefacts are files."""
        return None

    def _row(self, database: sqlite3.Connection, name: str, version: int) -> Mapping[str, Any]:
        which, of_it = "FROM model_versions WHERE name = ? AND version = ?", (name, version)
        created, run = database.execute(f"SELECT creation_time, run_id {which}", of_it).fetchone()
        tags = database.execute("SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?", of_it)
        aliases = database.execute("SELECT alias, version FROM registered_model_aliases WHERE name = ?", (name,))
        found = {"name": name, "version": version, "created_ms": created, "run_id": run}
        return found | {"tags": dict(tags.fetchall()), "aliases": dict(aliases.fetchall())}

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)


def version_of(row: Mapping[str, Any]) -> Version:
    """Return what a registry says of a version."""
    tags, name, number = row["tags"], str(row["name"]), int(row["version"])
    return Version(
        name.removeprefix(PREFIX),
        name,
        number,
        str(tags.get("kind", "")),
        str(row["run_id"]),
        tuple(sorted(alias for alias, version in row["aliases"].items() if int(version) == number)),
        int(row["created_ms"]) * 1000,
        json.loads(tags.get("figures", "{}")),
        str(tags.get("promoted_because", "")),
        PLAIN if tags.get("stored") == PLAIN else ONNX,
        str(tags.get("judged_on", "")),
    )


def _read(where: str, name: str) -> bytes:
    """Return an artefact from a folder of them that is in a file system."""
    try:
        if where.startswith("file:"):
            return (Path(unquote(urlsplit(where).path)) / name).read_bytes()
        return Files(where).read(name)
    except FileNotFoundError as error:
        raise FatalError(f"there is no {name} in {Url(where)}") from error


@contextmanager
def _reachable(uri: Url) -> Iterator[None]:
    """Turn what goes wrong into errors that say what was tried."""
    try:
        yield
    except UnreachableError as error:
        raise UnreachableError(f"could not reach MLflow at {uri} (learn.mlflow): {error}") from error
    except FatalError as error:
        raise FatalError(f"MLflow at {uri} refused: {error}") from error
    except sqlite3.Error as error:
        raise FatalError(f"MLflow at {uri} can't be read: {sentence(error)}") from error
    except OSError as error:
        raise FatalError(f"could not read or write artefacts of MLflow at {uri}: {sentence(error)}") from error
