"""A registered model is loaded only if its bytes are those that were registered, whatever the registry gives."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hydrodask.audit.aside import set_aside
from hydrodask.errors import FatalError, IntegrityError
from hydrodask.learn.digests import Digests
from hydrodask.learn.registry import Registry
from hydrodask.learn.score import batch
from hydrodask.learn.score.champions import Champions
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from tests.learned import Trained


@pytest.fixture
def digests(tmp_path: Path) -> Digests:
    """Return digests of nothing yet."""
    return Digests(Settings(data_dir=tmp_path))


def test_what_was_registered_passes(digests: Digests) -> None:
    """Also when it is kept again."""
    digests.keep("hydrodask-valve", "ab12", b"model")
    digests.keep("hydrodask-valve", "ab12", b"model")

    digests.check("hydrodask-valve", "ab12", 3, b"model")


def test_other_bytes_are_refused(digests: Digests) -> None:
    """The sentence says what they are not, and what to do; nor can they be kept in place of the first ones."""
    digests.keep("hydrodask-valve", "ab12", b"model")

    with pytest.raises(
        IntegrityError, match=r"refused hydrodask-valve version 3: .*not those that were registered.*promote"
    ):
        digests.check("hydrodask-valve", "ab12", 3, b"another")
    with pytest.raises(IntegrityError, match=r"refused hydrodask-valve of run ab12"):
        digests.keep("hydrodask-valve", "ab12", b"another")
    digests.check("hydrodask-valve", "ab12", 3, b"model")


@pytest.mark.parametrize("text", [b'{"sha256": "ab12"}\nsha256 0\n', b"", b"[]", b"{}"])
def test_a_damaged_digest_is_no_changed_model(digests: Digests, tmp_path: Path, text: bytes) -> None:
    """What is damaged is said, and where; once it is out of the way, a person may take the model again."""
    digests.keep("hydrodask-valve", "ab12", b"model")
    kept = tmp_path / "snapshots" / "models" / "hydrodask-valve-ab12"
    kept.write_bytes(text)

    said = r"models/hydrodask-valve-ab12 in .*damaged.*`hydrodask aside models/"
    with pytest.raises(IntegrityError, match=said):
        digests.check("hydrodask-valve", "ab12", 3, b"model")
    with pytest.raises(IntegrityError, match=said):
        digests.keep("hydrodask-valve", "ab12", b"model")
    set_aside(Settings(data_dir=tmp_path), ["models/hydrodask-valve-ab12"])
    digests.keep("hydrodask-valve", "ab12", b"model")
    digests.check("hydrodask-valve", "ab12", 3, b"model")


def test_what_nobody_here_has_registered_is_refused(digests: Digests) -> None:
    """The sentence names the command with which a person takes it."""
    with pytest.raises(FatalError, match=r"no digest of it is kept in .*models.*`hydrodask promote valve 3`"):
        digests.check("hydrodask-valve", "ab12", 3, b"model")


@pytest.mark.parametrize("run", ["../../lake/x", "", "a/b", "x" * 65, "a\nb", "$ne"])
def test_a_run_is_no_path(digests: Digests, run: str) -> None:
    """A registry that gives such an id is not ours."""
    with pytest.raises(FatalError, match="none of MLflow's"):
        digests.keep("hydrodask-valve", run, b"model")


@contextmanager
def changed(path: Path, data: bytes) -> Iterator[None]:
    """Let a file hold something else."""
    held = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(held)


def test_a_changed_champion_scores_nothing(trained: Trained) -> None:
    """Neither in the stream nor in a batch: the sentence comes before anything is loaded; the others score."""
    version = Registry(trained.settings).champions()["valve"]
    artefact = next((trained.settings.data_dir / "mlflow-artifacts").glob(f"**/{version.run_id}/**/{version.stored}"))
    fresh = Champions(trained.settings)

    with changed(artefact, b"no model at all"):
        fresh.refresh()
        with pytest.raises(IntegrityError, match="not those that were registered"):
            batch.champions(Registry(trained.settings))
        with pytest.raises(IntegrityError, match="not those that were registered"):
            Registry(trained.settings).promote("valve", version.version)
    assert "valve" not in fresh.models
    assert len(fresh.models) == 4
    assert fresh.problems["valve"].startswith(f"refused hydrodask-valve version {version.version}: its bytes are not")
    fresh.refresh()
    assert len(fresh.models) == 5


def test_a_champion_that_somebody_else_registered_is_refused_until_a_person_takes_it(trained: Trained) -> None:
    """Whoever can write to the registry makes no scorer load what he likes."""
    version, files = Registry(trained.settings).champions()["pump"], Files(trained.settings.snapshots_url)
    path = f"models/{version.name}-{version.run_id}"
    kept = files.read(path)
    files.remove(path)
    try:
        fresh = Champions(trained.settings)
        fresh.refresh()
        assert fresh.problems["pump"].startswith(f"refused hydrodask-pump version {version.version}: no digest")
        Registry(trained.settings).promote("pump", version.version)
        fresh.refresh()
        assert fresh.problems == {}
        assert files.read(path) == kept
    finally:
        files.put_if_absent(path, kept)
