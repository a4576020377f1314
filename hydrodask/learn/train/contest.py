"""Whether the best model of a training takes the champion's place by itself. What it may not, a person may: `promote`.

On the cycles that the champion was judged on, its registered figures count. Once these have changed, both are compared
on the cycles that they have in common: by what each said of a cycle when it had not seen it, as the tables of their
runs have it. A cycle that has another label since is none of these, for nobody knows which of the two was right.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hydrodask.learn.registry import CHAMPION, HONEST, Version, judged, shortfall
from hydrodask.learn.train.estimators import KINDS
from hydrodask.learn.train.results import TrainedModel
from hydrodask.learn.train.validation import strict_f1

ENOUGH = 0.5
"""The share of the champion's cycles that both have to have been judged on, if these are not `MANY`."""

MANY = 1_000
FEW = 30

DIFFER = 0.005
"""Macro-F1 that may be less on common cycles: folds are drawn anew when cycles come, and the same model differs so."""

Table = Mapping[str, Sequence[Any]]
"""Predictions out of folds, by column; see `results.predictions`."""

Said = tuple[int, int, bool]
"""Of one cycle: the truth, what was said, and whether it was answered."""


def refused(best: TrainedModel, number: int, champion: Version | None, said: Callable[[Version], Table | None]) -> str:
    """Say why the best of a training, version `number`, does not become the champion by itself; nothing when it does.

    `said` returns what a version said of cycles that it had not seen.
    """
    command = f"hydrodask promote {best.target.name} {number}"
    if not KINDS[best.kind].committee:
        return (
            f"{best.kind} is no {CHAMPION} by itself: its features were chosen by looking at the folds; `{command}` "
            "makes it one"
        )
    if champion is None:
        return ""
    stays = f"version {champion.version} stays {CHAMPION}: "
    if not judged(champion):
        why = champion.reason or "no reason given"
        return f"{stays}nobody knows how well it does, but it was promoted ({why}); `{command}` replaces it"
    if champion.judged_on == best.data.fingerprint:
        short = shortfall(best.metrics(), champion.figures)
        return f"{stays}macro-F1 on {short}" if short else ""
    table = said(champion)
    if table is None:
        return f"{stays}what it said of other cycles, on which it was judged, is not stored; `{command} --force REASON`"
    short = compared(best, champion, table)
    return stays + short if short else ""


def compared(best: TrainedModel, champion: Version, table: Table) -> str:
    """Say on what common cycles a model is worse than the champion, or that there are too few; nothing otherwise."""
    ours: dict[str, float] = {}
    theirs: dict[str, float] = {}
    counts = []
    known = best.metrics().keys() & champion.figures.keys()
    for split in HONEST:
        before = rows(table, split)
        now = rows(best.predictions, split)
        both = [key for key, (truth, *_) in before.items() if key in now and now[key][0] == truth]
        if not before:
            continue
        if few := _too_few(split, before, both):
            return few
        counts.append(len(both))
        for found, one in ((ours, now), (theirs, before)):
            truth, spoken, answered = np.array([one[key] for key in both]).T
            found[f"{split}.macro_f1"] = strict_f1(truth, spoken, np.ones(len(both), np.bool_))
            if (strict := f"{split}.macro_f1_unknown_wrong") in known:
                found[strict] = strict_f1(truth, spoken, answered.astype(np.bool_))
    if not counts:
        return "it was judged on other cycles, and nothing is stored of what it said of those that it had not seen"
    short = shortfall(ours, theirs, within=DIFFER)
    return f"on the {min(counts):,} cycles that both were judged on macro-F1 on {short}" if short else ""


def rows(table: Table, split: str) -> dict[tuple[str, int, int], Said]:
    """Return what a split says of each cycle: rig, number, and start (µs)."""
    names = ("split", "rig", "cycle", "start_us", "truth", "said", "answered")
    every: Iterable[Any] = zip(*(table[name] for name in names), strict=True) if table else ()
    return {
        (str(rig), int(cycle), int(start)): (int(truth), int(spoken), bool(answered))
        for name, rig, cycle, start, truth, spoken, answered in every if name == split
    }  # fmt: skip


def _too_few(split: str, before: Mapping[Any, Said], both: Sequence[Any]) -> str:
    """Say that what is in common says too little of the champion's cycles, if so: too few, or a state is not there."""
    want = max(min(round(ENOUGH * len(before)), MANY), FEW)
    missing = {truth for truth, *_ in before.values()} - {before[key][0] for key in both}
    if len(both) >= want and not missing:
        return ""
    of_state = f", none of state {min(missing)}" if missing else ""
    return (
        f"of the {len(before):,} cycles that it was judged on ({split}) {len(both):,} were judged again with the same "
        f"label{of_state}; want {want:,}, of each state"
    )
