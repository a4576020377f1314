"""Score a folder of cycles, or the lake, with the champions: a large one as a batch on Dask, a small one here."""

import errno
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np

from hydrodask.channels import SENSORS
from hydrodask.errors import FatalError, UsageError
from hydrodask.learn.compute import training_cluster
from hydrodask.learn.data.archive import CYCLES_PER_FILE, Archive, Place
from hydrodask.learn.features import HIGH, LOW, MEAN, MEASURED_MIN, SEGMENTS, Cycles
from hydrodask.learn.score.asking import score, tried
from hydrodask.learn.shelf import Registered, shelf
from hydrodask.records import Float64, Int64
from hydrodask.settings import Settings
from hydrodask.store.profiles import LABELS, write_table

if TYPE_CHECKING:
    from hydrodask.learn.score.committee import Committee
    from hydrodask.learn.score.inference import Model

START_US = 1_767_225_600_000_000
"""Event time of cycle 0; no feature depends on it."""

ALONE_MAX = 2_500
"""Cycles that are scored here: it takes less time than to start a cluster."""

Downloaded = dict[str, tuple[bytes, str, int]]
"""The stored form, the name and the version of each target's model."""

NONE = -1
"""The class of a cycle that is unknown."""


def champions(registry: Registered) -> "dict[str, Committee | Model]":
    """Return every champion, loaded. Raises UsageError when there is none, FatalError when one can't be loaded."""
    return _loaded(_downloaded(registry))


def score_folder(
    settings: Settings, folder: Path, output: Path, *, say: Callable[[str], None] = lambda _said: None
) -> dict[str, Any]:
    """Write `output`, Parquet with `cycle` and for each target its class, why there is none, and probabilities.

    The class is null where it is unknown; probabilities are there all the same, as they are. Returns how many cycles,
    the version of each target's model, the output, and of a folder with labels the figures. Raises UsageError when
    `output` can't be written, which is looked at first, and ConfigError when `folder` is none of the two layouts.
    """
    check_output(output)
    say(f"looking at {folder}")
    archive = Archive(folder)
    say("asking for the champions")
    stored = _downloaded(shelf(settings))  # once: who is the champion may change at any time
    models = _loaded(stored)
    say(f"reading {len(archive):,} cycles")
    curves = archive_curves(archive)
    say(f"scoring {len(archive):,} cycles{'' if len(archive) <= ALONE_MAX else ' on Dask'}")
    if len(archive) <= ALONE_MAX:
        columns = _score_part(stored, archive.cycle, curves)
    else:
        columns = _on_cluster(settings, stored, archive.cycle, curves)
    write_table(output, {"cycle": archive.cycle} | columns)
    return {
        "cycles": len(archive),
        "models": {t: m.version for t, m in models.items()},
        "output": str(output),
        "doubts": archive.doubts(),
        "figures": figures(columns, archive.labels),
    }


def figures(columns: Mapping[str, Any], labels: Float64 | None) -> dict[str, dict[str, float]]:
    """Return for each target the share of answered cycles, macro-F1 over these, and macro-F1 with unknown as wrong.

    Of the cycles that have a label of it, if any has.
    """
    found = {}
    for place, target in enumerate(LABELS) if labels is not None else ():
        said = columns.get(f"{target}_class")
        there = np.zeros(0, np.int64) if labels is None else np.flatnonzero(np.isfinite(labels[:, place]))
        if said is None or labels is None or not len(there):
            continue
        truth, known = labels[there, place].astype(np.int64), ~np.ma.getmaskarray(said)[there]
        answers = np.where(known, np.ma.getdata(said)[there], NONE)
        found[target] = {
            "answered": float(known.mean()),
            "macro_f1_answered": _macro_f1(truth[known], answers[known]),
            "macro_f1_unknown_wrong": _macro_f1(truth, answers),
        }
    return found


def _macro_f1(truth: Int64, said: Int64) -> float:
    """Return the mean F1 of all classes that are true of a cycle, or said of one."""
    each = []
    for label in np.union1d(truth, said[said != NONE]):
        right = ((truth == label) & (said == label)).sum()
        each.append(2.0 * right / max(int((truth == label).sum() + (said == label).sum()), 1))
    return float(np.mean(each)) if each else 0.0


def _on_cluster(settings: Settings, stored: Downloaded, cycle: Int64, curves: Float64) -> dict[str, Any]:
    parts = [slice(at, at + CYCLES_PER_FILE) for at in range(0, len(cycle), CYCLES_PER_FILE)]
    work = dask.delayed(_score_part, pure=False)
    with training_cluster(settings):
        done = dask.compute(*[work(stored, cycle[part], curves[part]) for part in parts])
    joined = {}
    for name in done[0]:
        some = [part[name] for part in done]
        join: Any = np.ma.concatenate if name.endswith("_class") else np.concatenate
        joined[name] = join(some)
    return joined


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
        for profiles in archive.profiles(sensor, Place("batch", START_US)):
            here = np.searchsorted(archive.cycle, profiles.cycle)
            thin = profiles.count < MEASURED_MIN * profiles.rate_hz[:, None]
            for place, values in ((MEAN, profiles.mean), (LOW, profiles.low), (HIGH, profiles.high)):
                curves[here, number, place] = np.where(thin, np.nan, values)
    return curves


def _downloaded(registry: Registered) -> Downloaded:
    versions = registry.champions()
    if not versions:
        raise UsageError(f"there is no champion in {registry.uri}; `hydrodask train` makes them")
    return {t: (registry.stored(v), v.name, v.version) for t, v in versions.items()}


def _loaded(stored: Downloaded) -> "dict[str, Committee | Model]":
    return {t: tried(data, name=name, version=version) for t, (data, name, version) in stored.items()}


def _score_part(stored: Downloaded, cycle: Int64, curves: Float64) -> dict[str, Any]:
    """Return the output's columns of some cycles. One task of a batch."""
    models = _loaded(stored)
    nobody = np.full(len(cycle), "batch", object)
    columns: dict[str, Any] = {}
    for target, said in score(models, Cycles(nobody, cycle, cycle * 0, curves)).items():
        if said.error:
            raise FatalError(f"{target}: {said.error}")
        columns[f"{target}_class"] = np.ma.masked_array(said.label, ~said.usable)
        columns[f"{target}_why"] = np.array([why or None for why in said.why], object)
        for place, name in enumerate(said.model.classes.tolist()):
            columns[f"{target}_p_{name}"] = said.probability[:, place]
    return columns
