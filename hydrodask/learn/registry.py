"""Registered models in MLflow: SQLite and a folder in the data directory, or a server.

With `recorder` the only importer of it.

A model is registered as `hydrodask-TARGET`; the alias `champion` names the version that scores, `challenger` the
runner-up. What decides about a promotion is on the version itself, as tags.
"""

import errno
import logging
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Nobody's server is told what is trained here, and no lookup of packages may need the network.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
from mlflow.exceptions import MlflowException

from hydrodask.doors.trust import trust
from hydrodask.errors import FatalError, UnreachableError, UsageError, sentence
from hydrodask.learn.digests import Digests
from hydrodask.learn.rest import CERT_PATH
from hydrodask.learn.shelf import CHALLENGER, CHAMPION, ONNX, PLAIN, PREFIX, Version, file_of, version_of
from hydrodask.learn.targets import TARGETS
from hydrodask.settings import Settings, Url
from hydrodask.settings.hidden import with_password

__all__ = [
    "CHALLENGER", "CHAMPION", "HONEST", "ONNX", "PLAIN", "PREFIX", "Registry", "Version", "folder", "judged",
    "reachable", "shortfall",
]  # fmt: skip
HONEST = {"grouped": "unseen combinations", "leave-cooler": "a level of the cooler that it has not seen"}
"""The splits that say something about cycles nobody has seen, and what each is about."""
_VERSIONS_MAX = 1000


class Registry:
    """Where runs and models are recorded. Methods raise UnreachableError when the server does not answer."""

    def __init__(self, settings: Settings) -> None:
        self.uri = with_password(settings.mlflow_uri, settings.learn.password_file, "learn.password_file")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        if settings.learn.ca_file is not None:
            trust(settings.learn.ca_file, "learn.ca_file")  # MLflow would say that there are too many retries
            os.environ[CERT_PATH] = str(settings.learn.ca_file)
        if settings.learn.mlflow is None:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            _check_rights(settings.data_dir, self.uri)
        self.digests = Digests(settings)
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        with reachable(self.uri):
            self.client = mlflow.MlflowClient(self.uri.plain())

    def versions(self) -> list[Version]:
        """Return all versions of all of our models, newest first in each."""
        with reachable(self.uri):
            found = []
            for model in self.models():
                some = self.client.search_model_versions(f"name='{model.name}'", max_results=_VERSIONS_MAX)
                found += [self.version(v, model.aliases) for v in some]
        order = list(TARGETS)
        return sorted(found, key=lambda v: (order.index(v.target), -v.version))

    def champions(self) -> dict[str, Version]:
        """Return the champion of each target that has one."""
        with reachable(self.uri):
            found = {}
            for model in self.models():
                if CHAMPION in model.aliases:
                    version = self.client.get_model_version(model.name, str(model.aliases[CHAMPION]))
                    found[model.name.removeprefix(PREFIX)] = self.version(version, model.aliases)
        return found

    def stored(self, version: Version) -> bytes:
        """Return a version's stored form, as it was registered. Raises FatalError or IntegrityError, see `Digests`."""
        stored = self._download(version)
        self.digests.check(version.name, version.run_id, version.version, stored)
        return stored

    def _download(self, version: Version) -> bytes:
        with reachable(self.uri), folder() as here:
            path = self.client.download_artifacts(version.run_id, version.stored, str(here))
            return Path(path).read_bytes()

    def promote(self, target: str, number: int, *, reason: str | None = None) -> Version:
        """Make a version the champion; one that was registered by somebody else is taken as it is now.

        Raises FatalError, unless a `reason` is given, which is kept with the version, when it is worse on one of the
        honest splits than the one that is, or was not judged on them; UsageError when there is no such version.
        """
        reason = (reason or "").strip()
        chosen = next((v for v in self.versions() if v.target == target and v.version == number), None)
        if chosen is None:
            raise UsageError(f"there is no version {number} of {target}; see `hydrodask models`")
        before = self.champions().get(target)
        again = before is not None and before.version == number  # its bytes are taken as they are now
        if not reason and not again and (why := worse(chosen, before)):
            which = "" if before is None else f" (version {before.version})"
            raise FatalError(
                f"refused to promote {target} version {number}: {why}{which}; give --force with a reason to do it all "
                "the same"
            )
        self.make_champion(chosen, reason=reason)
        return chosen

    def make_champion(self, chosen: Version, *, reason: str | None = None) -> None:
        """Make a version the champion, whatever it is worth."""
        number = str(chosen.version)
        self.digests.keep(chosen.name, chosen.run_id, self._download(chosen))
        with reachable(self.uri):
            self.client.set_registered_model_alias(chosen.name, CHAMPION, number)
            if CHALLENGER in chosen.aliases:
                self.client.delete_registered_model_alias(chosen.name, CHALLENGER)
            if reason:
                self.client.set_model_version_tag(chosen.name, number, "promoted_because", reason)

    def make_challenger(self, version: Version) -> None:
        """Give a version the alias of the runner-up."""
        with reachable(self.uri):
            self.client.set_registered_model_alias(version.name, CHALLENGER, str(version.version))

    def models(self) -> list[Any]:
        """Return our registered models as MLflow has them."""
        found = self.client.search_registered_models(f"name LIKE '{PREFIX}%'", max_results=_VERSIONS_MAX)
        return [model for model in found if model.name.removeprefix(PREFIX) in TARGETS]

    def version(self, found: Any, aliases: Mapping[str, str] | None = None) -> Version:
        """Return what MLflow says of a version."""
        row = {"name": found.name, "version": found.version, "run_id": found.run_id, "tags": dict(found.tags)}
        return version_of(row | {"aliases": aliases or {}, "created_ms": found.creation_timestamp})


def judged(version: Version) -> bool:
    """Say whether it is known how a version does on cycles that it has not seen; of a model of one's own it is not."""
    known = [version.figures[key] for split in HONEST if (key := f"{split}.macro_f1") in version.figures]
    return bool(known) and all(map(math.isfinite, known))


def worse(chosen: Version, champion: Version | None) -> str:
    """Say why a version may not take the champion's place without a reason; nothing when it may.

    Figures of other cycles can't be compared: a training judges both on the same. One that was judged may replace one
    that was not.
    """
    if not judged(chosen):
        return "nobody knows how it does on combinations of faults that it has not seen"
    if champion is None or not judged(champion):
        return ""
    if short := shortfall(chosen.figures, champion.figures):
        return f"its macro-F1 on {short}"
    if chosen.judged_on != champion.judged_on:
        return (
            f"it was judged on other cycles than the champion ({chosen.judged_on or 'unknown'}, not "
            f"{champion.judged_on or 'unknown'}), and `hydrodask train` judges both on the same"
        )
    return ""


def shortfall(figures: Mapping[str, float], champion: Mapping[str, float], *, within: float = 0.0) -> str:
    """Say on which honest split a model is worse than the champion, or was not judged; nothing when on none.

    With unknown counted as wrong, too, where both may say unknown. Less by up to `within` is not worse; what is no
    number is.

    >>> shortfall({"grouped.macro_f1": 0.9, "leave-cooler.macro_f1": 0.4}, {"leave-cooler.macro_f1": 0.8})
    "a level of the cooler that it has not seen is 0.400, the champion's 0.800"
    """
    found = []
    for split, what in HONEST.items():
        theirs, ours = champion.get(f"{split}.macro_f1"), figures.get(f"{split}.macro_f1")
        if theirs is not None and (ours is None or not ours >= theirs - within):
            found.append(f"{what} is {'not known' if ours is None else f'{ours:.3f}'}, the champion's {theirs:.3f}")
        strict = f"{split}.macro_f1_unknown_wrong"
        if strict in champion and strict in figures and not figures[strict] >= champion[strict] - within:
            ours, theirs = figures[strict], champion[strict]
            found.append(f"{what}, with unknown counted as wrong, is {ours:.3f}, the champion's {theirs:.3f}")
    return "; on ".join(found)


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _check_rights(data_dir: Path, uri: Url) -> None:
    """Raise UnreachableError when a registry can't be made: MLflow would try for two minutes."""
    file = file_of(uri)
    if file is not None and not file.exists() and not os.access(data_dir, os.W_OK):
        error = PermissionError(errno.EACCES, "no right to write there")
        raise UnreachableError(f"could not make the registry of models {file} (data_dir): {error.strerror}") from error


@contextmanager
def reachable(uri: Url) -> Iterator[None]:
    """Turn what MLflow raises into errors that say what was tried."""
    try:
        yield
    except MlflowException as error:
        text = sentence(error)
        if "CERTIFICATE_VERIFY_FAILED" in str(error):  # behind a great many words
            text = "CERTIFICATE_VERIFY_FAILED, its authority is not known here: see learn.ca_file"
        if "Max retries" in str(error) or "Connection" in str(error):
            raise UnreachableError(f"could not reach MLflow at {uri} (learn.mlflow): {text}") from error
        raise FatalError(f"MLflow at {uri} refused: {text}") from error
    except OSError as error:
        raise FatalError(f"could not read or write artefacts of MLflow at {uri}: {sentence(error)}") from error
