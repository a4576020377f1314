"""What models and the detector without labels are worth on the UCI archive: five tables, one command each.

    python -m benchmarks.evaluation holdout --uci DIR      combinations that no choice and no training has seen
    python -m benchmarks.evaluation nested --uci DIR       all cycles: figures of folds in which each choice was made
    python -m benchmarks.evaluation unlabelled --uci DIR   learned from healthy cycles alone
    python -m benchmarks.evaluation broken --uci DIR       gaps and broken input of combinations that nothing saw
    python -m benchmarks.evaluation feedback --uci DIR     a few labelled cycles of a level of the cooler never seen

`holdout` draws 23 of the combinations of faults, by each of `--seeds`, trains on the others as `hydrodask train` does,
and holds the figure of those against the nested estimate of these: no target may be below it by more than its spread.
That is how far below the estimate one of twenty draws of 23 combinations is, drawn from the verdicts of the others'
folds (`hydrodask/learn/train/redrawn.py`). `nested` says how often that holds, and how often the deviation between five
folds would: for 300 ways to take 23 combinations out of its verdicts.

`holdout` and `nested` print and store what they have target by target; with `--resume` those of the same code, which
are stored already, are not made again.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import exam
from benchmarks.results import RESULTS, save
from benchmarks.unlabelled import unlabelled
from hydrodask.learn.compute import training_cluster
from hydrodask.learn.data.archive import Archive
from hydrodask.learn.features import Cycles
from hydrodask.learn.score import asking
from hydrodask.learn.score.batch import archive_curves
from hydrodask.learn.score.committee import seconds_of
from hydrodask.learn.targets import TARGETS
from hydrodask.learn.train import committees, redrawn, weighing
from hydrodask.learn.train import nested as nested_folds
from hydrodask.learn.train.fitting import code_version
from hydrodask.learn.train.gaussians import Cloud, view
from hydrodask.learn.train.moments import Moments
from hydrodask.learn.train.nested import Lesson
from hydrodask.learn.train.plans import candidates
from hydrodask.learn.train.redrawn import Verdicts
from hydrodask.learn.train.validation import GROUPED, LEAVE_COOLER, macro_f1
from hydrodask.records import Bool, Float64, Int64
from hydrodask.settings import Settings
from hydrodask.store.profiles import LABELS

HELD = 23
SPLITS = 300
"""Ways to take 23 combinations out of verdicts."""

SMALL = 60
"""Cycles of a combination at most, to be held out: three of them were run for hours, and are a tenth of all each."""

FEW = (0, 8, 32)
"""Cycles of a level of the cooler that is new, which people label."""

DRAWS = 10
"""How often these are drawn."""


def taught(
    seconds: Float64, labels: Int64, there: Container[str] = ()
) -> Iterator[tuple[str, Lesson, committees.Taught]]:
    """Give what `hydrodask train` makes of cycles, target by target: what it learned, committee and nested figures.

    But for targets that are `there`.
    """
    levels = labels[:, :4].astype(np.float64)
    weights = weighing.weights_of(seconds)
    moments = Moments(seconds.mean(axis=0)).take(seconds, labels.astype(np.float64), weights)
    with tempfile.TemporaryDirectory() as folder, training_cluster(Settings(data_dir=Path(folder))) as client:
        keeper = committees.Keeper(client, seconds, levels, moments)
        for place, name in enumerate(LABELS):
            if name in there:
                continue
            target = TARGETS[name]
            lesson = Lesson(seconds, np.searchsorted(target.classes, labels[:, place]), levels)
            yield name, lesson, committees.train(client, target, lesson, keeper, moments, say=_say)


def holdout(cycles: Cycles, labels: Int64, seed: int, rows: dict[str, Any], keep: Callable[[], None]) -> dict[str, Any]:
    """Judge cycles of combinations that nothing was trained on or chosen by, beside the nested estimate.

    Targets go into `rows`, those that are there are done; `keep` is called after each.
    """
    seconds = seconds_of(cycles)
    groups = np.unique(labels[:, :4], axis=0, return_inverse=True)[1].ravel()
    small = np.flatnonzero(np.bincount(groups) <= SMALL)
    held = np.isin(groups, np.random.default_rng(seed).permutation(small)[:HELD])
    few = _only(cycles, held)
    for name, lesson, one in taught(seconds[~held], labels[~held], rows):
        said = asking.score({name: one.made}, few)[name]
        truth, right = labels[held, LABELS.index(name)], said.usable
        figures = one.figures[GROUPED]
        assert figures.sure is not None
        got, estimate = macro_f1(truth[right], said.label[right]), figures.sure.macro_f1_answered
        low = redrawn.lowest(_of_small(committees.verdicts(one.said[GROUPED], lesson)), HELD)
        sure_wrong = right & (said.label != truth) & (said.probability.max(axis=1) >= 0.95)
        rows[name] = {
            "held_out": got, "nested": estimate, "spread": max(estimate - low, 0.0), "holds": bool(got >= low),
            "between_folds": figures.spread, "answered": float(right.mean()),
            "wrong_and_sure": float(sure_wrong.mean()), "unknown": np.flatnonzero(~right).tolist(),
        }  # fmt: skip
        print(f"draw {seed} {name}  {_shown(rows[name])}", flush=True)
        keep()
    unknown = len(set().union(*(row["unknown"] for row in rows.values()))) / int(held.sum())
    return {"seed": seed, "combinations": HELD, "cycles": int(held.sum()), "unknown_to_any": unknown, "targets": rows}


def nested(cycles: Cycles, labels: Int64, rows: dict[str, Any], keep: Callable[[], None]) -> dict[str, Any]:
    """Return the figures of all cycles, of folds in which each choice was made anew; `rows` and `keep` as above."""
    there = {name.split()[0] for name in rows}
    for name, lesson, one in taught(seconds_of(cycles), labels, there):
        for split in (s for s in (GROUPED, LEAVE_COOLER) if s in one.figures):
            figures = one.figures[split].as_json()
            rows[f"{name} {split}"] = {"macro_f1": figures["macro_f1"], "spread": figures["spread"], **figures["sure"]}
        rows[f"{name} {GROUPED}"] |= promises(committees.verdicts(one.said[GROUPED], lesson))
        for key in (key for key in rows if key.startswith(name)):
            print(f"{key}  {_shown(rows[key])}", flush=True)
        keep()
    return {"cycles": len(cycles), "targets": rows}


def promises(verdicts: Verdicts) -> dict[str, float]:
    """Return how often 23 combinations, taken out by chance, keep what the others promise of them.

    By the draws, and by the deviation between five folds of the others.
    """
    rng, small = np.random.default_rng(0), np.unique(_of_small(verdicts).groups)
    kept: dict[str, list[bool]] = {"kept_by_draws": [], "kept_by_folds": []}
    for _ in range(SPLITS):
        out = np.isin(verdicts.groups, rng.permutation(small)[:HELD])
        held, rest = verdicts.take(out), verdicts.take(~out)
        figure, estimate = macro_f1(held.truth, held.said), macro_f1(rest.truth, rest.said)
        folds = np.array_split(rng.permutation(np.unique(rest.groups)), 5)
        parts = [rest.take(np.isin(rest.groups, fold)) for fold in folds]
        spread = np.std([macro_f1(part.truth, part.said) for part in parts], ddof=1)
        kept["kept_by_draws"].append(figure >= redrawn.lowest(_of_small(rest), HELD))
        kept["kept_by_folds"].append(bool(figure >= estimate - spread))
    return {name: float(np.mean(some)) for name, some in kept.items()}


def _of_small(verdicts: Verdicts) -> Verdicts:
    """Return those of combinations that may be held out."""
    groups, counts = np.unique(verdicts.groups, return_counts=True)
    return verdicts.take(np.isin(verdicts.groups, groups[counts <= SMALL]))


def feedback(cycles: Cycles, labels: Int64) -> dict[str, Any]:
    """Learn at two levels of the cooler and from a few cycles of the third, drawn by chance; judge on its others.

    What views say alone, without the gate; `alike` if no cycle weighed more than another.
    """
    seconds, place = seconds_of(cycles), LABELS.index("accumulator")
    every = Lesson(seconds, np.unique(labels[:, place], return_inverse=True)[1], labels[:, :4].astype(np.float64))
    rows = {}
    for few in FEW:
        found: dict[str, list[float]] = {"weighed": [], "alike": []}
        for seed in range(DRAWS if few else 1):
            parts = [_learned_few(every, few, level, seed) for level in np.unique(labels[:, 0])]
            truth = np.concatenate([every.numbers[test] for test, _ in parts])
            for name, some in found.items():
                some.append(macro_f1(truth, np.concatenate([said[name] for _, said in parts])))
        rows[f"{few} cycles"] = {
            name: {"mean": float(np.mean(some)), "worst": min(some)} for name, some in found.items()
        }
    return {"target": "accumulator", "draws": DRAWS, "macro_f1": rows}


def _learned_few(every: Lesson, few: int, level: int, seed: int) -> tuple[Int64, dict[str, Int64]]:
    """Return which cycles of a level of the cooler were not learned from, and what is said of them."""
    new = np.flatnonzero(every.levels[:, 0] == level)
    labelled = np.random.default_rng(seed).choice(new, few, replace=False)
    test = np.setdiff1d(new, labelled)
    part = every.take(np.concatenate([np.flatnonzero(every.levels[:, 0] != level), labelled]))
    plan, alike = candidates("accumulator")[0], np.ones(len(part.numbers))
    keys = [look.key(part.numbers, part.levels) for look in plan]
    clouds = [Cloud.of(part.seconds[:, look.cells], key, alike) for look, key in zip(plan, keys, strict=True)]
    views = {
        "weighed": nested_folds.views_of(plan, part, measure=False),
        "alike": tuple(view(look, cloud, measure=False) for look, cloud in zip(plan, clouds, strict=True)),
    }
    heard = {name: nested_folds.opinions(some, every.seconds[test], measure=False)[0] for name, some in views.items()}
    return test, {name: odds.argmax(axis=1) for name, odds in heard.items()}


def _only(cycles: Cycles, which: Bool) -> Cycles:
    return Cycles(cycles.rig[which], cycles.cycle[which], cycles.start_us[which], cycles.curves[which])


def read(folder: Path) -> tuple[Cycles, Int64]:
    """Return the archive's cycles and their labels (n, 5)."""
    archive = Archive(folder)
    if archive.labels is None:
        raise SystemExit(f"there are no labels in {folder}")
    count = len(archive)
    rig, zeros = np.full(count, "uci", object), np.zeros(count, np.int64)
    return Cycles(rig, archive.cycle, zeros, archive_curves(archive)), archive.labels.astype(np.int64)


def main() -> None:
    """Print one table and store it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("holdout", "nested", "unlabelled", "broken", "feedback"))
    parser.add_argument("--uci", type=Path, required=True, help="folder of the archive, in either layout")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2026, 2027, 2028], help="draws of what is held out")
    parser.add_argument("--resume", action="store_true", help="go on from what is stored of the same code")
    options = parser.parse_args()
    name = f"evaluation-{options.table}"
    if options.table == "broken":
        found = exam.table(options.uci)
        _show(found)
        save(name, found)
        return
    cycles, labels = read(options.uci)
    if options.table in {"unlabelled", "feedback"}:
        found = (unlabelled if options.table == "unlabelled" else feedback)(cycles, labels)
        _show(found)
        save(name, found)
        return
    found = _stored(name) if options.resume else {}
    found["code"] = code_version()
    if options.table == "nested":
        rows = found.setdefault("targets", {})
        found |= nested(cycles, labels, rows, lambda: _keep(name, found))
    for seed in options.seeds if options.table == "holdout" else ():
        rows = found.setdefault("draws", {}).setdefault(str(seed), {"targets": {}})["targets"]
        found["draws"][str(seed)] = draw = holdout(cycles, labels, seed, rows, lambda: _keep(name, found))
        print(f"draw {seed}: {draw['cycles']} cycles, {draw['unknown_to_any']:.4f} unknown to any", flush=True)
    save(name, found)


def _keep(name: str, found: dict[str, Any]) -> None:
    save(name, found)


def _stored(name: str) -> dict[str, Any]:
    """Return what is stored of a table, if the same code made it."""
    path = RESULTS / f"{name}.json"
    there: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    same = there.get("code") == code_version()
    return {key: there[key] for key in ("code", "targets", "draws") if key in there} if same else {}


def _say(text: str) -> None:
    print(text, flush=True)


def _show(found: dict[str, Any]) -> None:
    for name, value in found.items():
        for line in [f"{k}: {_shown(v)}" for k, v in value.items()] if isinstance(value, dict) else [_shown(value)]:
            print(f"{name}  {line}", flush=True)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(one)}" for key, one in value.items())
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
