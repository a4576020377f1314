"""Score a folder of cycles, or the lake, with the champions: a batch on Dask."""

import errno
import tempfile
from pathlib import Path
from typing import Any

import dask
import numpy as np

from hydrodask.channels import SENSORS
from hydrodask.errors import FatalError, UsageError
from hydrodask.learn.archive import CYCLES_PER_FILE, Archive, Place
from hydrodask.learn.cluster import training_cluster
from hydrodask.learn.features import HIGH, LOW, MEAN, SEGMENTS, Cycles
from hydrodask.learn.registry import Registry
from hydrodask.learn.scoring import Model, score
from hydrodask.records import Float64, Int64
from hydrodask.settings import Settings
from hydrodask.store.profiles import write_table

START_US = 1_767_225_600_000_000
"""Event time of cycle 0; no feature depends on it."""

Downloaded = dict[str, tuple[bytes, str, int]]
"""The ONNX form, the name and the version of each target's model."""


def champions(registry: Registry) -> dict[str, Model]:
    """Return every champion, loaded. Raises UsageError when there is none, FatalError when one can't be loaded."""
    return _loaded(_downloaded(registry))


def score_folder(settings: Settings, folder: Path, output: Path) -> dict[str, Any]:
    """Write `output`, Parquet with `cycle` and for each target its class and the probability of each class.

    Returns how many cycles, the version of each target's model, and the output. Raises UsageError when `output` can't
    be written, which is looked at first, and ConfigError when `folder` is none of the two layouts.
    """
    check_output(output)
    archive = Archive(folder)
    onnx = _downloaded(Registry(settings))  # once: who is the champion may change at any time
    models = _loaded(onnx)
    curves = archive_curves(archive)
    parts = [slice(at, at + CYCLES_PER_FILE) for at in range(0, len(archive), CYCLES_PER_FILE)]
    work = dask.delayed(_score_part, pure=False)
    with training_cluster(settings):
        done = dask.compute(*[work(onnx, archive.cycle[part], curves[part]) for part in parts])
    columns: dict[str, Any] = {"cycle": archive.cycle}
    for name in done[0]:
        columns[name] = np.concatenate([part[name] for part in done])
    write_table(output, columns)
    return {
        "cycles": len(archive),
        "models": {t: m.version for t, m in models.items()},
        "output": str(output),
        "doubts": archive.doubts(),
    }


def check_output(output: Path) -> None:
    """Raise UsageError when no file can be written there: better now than after the work."""
    try:
        if output.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder; name a file")
        with tempfile.TemporaryFile(dir=output.parent):
            pass
        if output.exists():
            output.open("ab").close()
    except OSError as error:
        raise UsageError(
            f"--output has value {str(output)!r}, where no file can be written: {error.strerror}"
        ) from error


def archive_curves(archive: Archive) -> Float64:
    """Return shape (n, 17, 3, 60) of a folder's cycles."""
    curves = np.full((len(archive), len(SENSORS), 3, SEGMENTS), np.nan)
    for number, sensor in enumerate(SENSORS):
        at = 0
        for profiles in archive.profiles(sensor, Place("batch", START_US)):
            here = slice(at, at + len(profiles))
            curves[here, number, MEAN] = profiles.mean
            curves[here, number, LOW], curves[here, number, HIGH] = profiles.low, profiles.high
            at += len(profiles)
    return curves


def _downloaded(registry: Registry) -> Downloaded:
    versions = registry.champions()
    if not versions:
        raise UsageError(f"there is no champion in {registry.uri}; `hydrodask train` makes them")
    return {t: (registry.onnx(v), v.name, v.version) for t, v in versions.items()}


def _loaded(onnx: Downloaded) -> dict[str, Model]:
    return {t: Model.tried(data, name=name, version=version) for t, (data, name, version) in onnx.items()}


def _score_part(onnx: Downloaded, cycle: Int64, curves: Float64) -> dict[str, Any]:
    """Return the output's columns of some cycles. One task of a batch."""
    models = _loaded(onnx)
    nobody = np.full(len(cycle), "batch", object)
    columns: dict[str, Any] = {}
    for target, said in score(models, Cycles(nobody, cycle, cycle * 0, curves)).items():
        if said.error:
            raise FatalError(f"{target}: {said.error}")
        columns[f"{target}_class"] = np.ma.masked_array(said.label, ~said.usable)
        for place, name in enumerate(said.model.classes.tolist()):
            columns[f"{target}_p_{name}"] = said.probability[:, place]
    return columns
