"""Who becomes champion: a candidate is held against what the champion said, and never against itself."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hydrodask.errors import FatalError
from hydrodask.learn.registry import Registry, Version, judged, shortfall, worse
from hydrodask.learn.targets import TARGETS
from hydrodask.learn.train import contest
from hydrodask.learn.train.results import Data, TrainedModel
from hydrodask.learn.train.training import Request, TrainingOutcome, train
from hydrodask.learn.train.validation import GROUPED, LEAVE_COOLER
from hydrodask.records import Float64
from hydrodask.settings import Settings
from hydrodask.settings.model import Learn
from tests.learned import write_lake

STATES = (73, 80, 90, 100)


def table(truth: Sequence[int], said: Sequence[int], *, first: int = 0, answered: bool = True) -> dict[str, list[Any]]:
    """Return what was said out of the folds of both honest splits, of cycles from a number on."""
    count, numbers = len(truth), list(range(first, first + len(truth)))
    return {
        "split": [GROUPED] * count + [LEAVE_COOLER] * count, "fold": [0] * (2 * count), "rig": ["rig-1"] * (2 * count),
        "cycle": numbers * 2, "start_us": numbers * 2, "truth": [*truth] * 2, "said": [*said] * 2,
        "answered": [answered] * (2 * count),
    }  # fmt: skip


def candidate(predictions: dict[str, list[Any]], *, kind: str = "gaussian") -> TrainedModel:
    """Return a model of the valve that was judged on other cycles than the champion."""
    data = Data("now", 1, ["rig-1"], "", "", 1)
    return TrainedModel(
        TARGETS["valve"], kind, "", None, (), {}, data, b"", 0, {}, {}, 0.0, "", predictions=predictions
    )


def champion(**fields: Any) -> Version:
    """Return a version that was never wrong, on cycles that are gone or labelled anew by now."""
    figures = {f"{split}.macro_f1": 1.0 for split in (GROUPED, LEAVE_COOLER)}
    known = {"kind": "gaussian", "figures": figures, "reason": "", "judged_on": "before"} | fields
    return Version("valve", "hydrodask-valve", 1, known.pop("kind"), "a", (), 0, **known)


def refused(predictions: dict[str, list[Any]], before: dict[str, list[Any]] | None) -> str:
    """Return why a candidate does not take the place of the champion."""
    return contest.refused(candidate(predictions), 2, champion(), lambda _version: before)


def test_a_candidate_is_not_compared_with_itself() -> None:
    """On cycles that both were judged on, what the champion said counts, not what its kind says when trained anew."""
    truth = list(STATES) * 20
    wrong = truth[1:] + truth[:1]

    assert refused(table(truth, truth), table(truth, truth)) == ""
    assert refused(table(truth * 2, truth * 2), table(truth, truth)) == ""
    said = refused(table(truth * 2, wrong + truth), table(truth, truth))
    assert said.startswith("version 1 stays champion: on the 80 cycles that both were judged on macro-F1 on unseen")
    assert "combinations is 0.000, the champion's 1.000" in said
    almost = [*truth[:-1], 73]
    assert "is 0.987, the champion's 1.000" in refused(table(truth, almost), table(truth, truth))


def test_what_has_no_cycles_in_common_is_not_compared() -> None:
    """Other cycles, other labels, or a state that is not there any more: the candidate waits for a person's word."""
    truth = list(STATES) * 20
    shuffled = np.random.default_rng(1).permutation(truth).tolist()

    assert "80 cycles that it was judged on (grouped) 0 were judged again" in refused(
        table(truth, truth, first=80), table(truth, truth)
    )
    assert "with the same label; want 40, of each state" in refused(table(shuffled, shuffled), table(truth, truth))
    some = [(state, place) for place, state in enumerate(truth) if state != 90]
    left = table([state for state, _ in some], [state for state, _ in some])
    left["cycle"] = left["start_us"] = [place for _, place in some] * 2
    assert "60 were judged again with the same label, none of state 90" in refused(left, table(truth, truth))
    assert "is not stored; `hydrodask promote valve 2 --force REASON`" in refused(table(truth, truth), None)


def test_unknown_is_compared_too() -> None:
    """A model that answers nothing, or whose figures are no numbers, takes nobody's place."""
    good = {
        f"{split}.{name}": 1.0 for split in (GROUPED, LEAVE_COOLER) for name in ("macro_f1", "macro_f1_unknown_wrong")
    }
    first = champion(figures=good, judged_on="d")
    silent = champion(figures=good | {f"{GROUPED}.macro_f1_unknown_wrong": 0.0}, judged_on="d")
    odd = good | {f"{GROUPED}.macro_f1": float("nan")}

    assert worse(champion(figures=good, judged_on="d"), first) == ""
    assert "unseen combinations, with unknown counted as wrong, is 0.000, the champion's 1.000" in worse(silent, first)
    assert "nobody knows" in worse(champion(figures=odd, judged_on="d"), first)
    assert "is nan, the champion's 1.000" in shortfall(odd, good)
    assert "has not seen, with unknown" in shortfall(good | {f"{LEAVE_COOLER}.macro_f1_unknown_wrong": 0.2}, good)
    assert (
        shortfall({f"{GROUPED}.macro_f1": 1.0}, {f"{GROUPED}.macro_f1": 1.0, f"{GROUPED}.macro_f1_unknown_wrong": 1.0})
        == ""
    )


def test_kinds_that_were_chosen_by_looking_at_the_folds_wait() -> None:
    """With or without a champion; and where the champion is somebody's own, a committee waits, too."""
    truth = list(STATES) * 20
    tree = candidate(table(truth, truth), kind="classic-tree")
    own = champion(kind="own", figures={"here.macro_f1": 0.7}, reason="it knows our rig", judged_on="")
    now = candidate(table(truth, truth))

    assert contest.refused(tree, 1, None, lambda _version: None).startswith("classic-tree is no champion by itself")
    assert contest.refused(now, 1, None, lambda _version: None) == ""
    assert contest.refused(now, 2, own, lambda _version: None) == (
        "version 1 stays champion: nobody knows how well it does, but it was promoted (it knows our rig); "
        "`hydrodask promote valve 2` replaces it"
    )
    assert not judged(own)
    assert worse(champion(), own) == ""


def some_cycles(*, shuffled: bool = False) -> tuple[Float64, Float64]:
    """Return 160 cycles of three levels of the cooler, whose valve is seen in seconds 8 and 9; or is said at random."""
    rng = np.random.default_rng(5)
    valve = rng.permutation(np.tile(STATES, 40)).astype(np.float64)
    seconds = 100.0 + rng.normal(size=(160, 1020))
    for first in (68, 128, 248):
        seconds[:, first : first + 2] += valve[:, None]
    rest = [rng.choice([3.0, 20.0, 100.0], 160), rng.choice([0.0, 1.0, 2.0], 160), np.full(160, 130.0), np.zeros(160)]
    told = rng.permutation(valve) if shuffled else valve
    return seconds, np.stack([rest[0], told, *rest[1:]], axis=1)


def lake(folder: Path, *, shuffled: bool) -> None:
    """Write them into the lake of a directory, anew."""
    shutil.rmtree(folder / "lake", ignore_errors=True)
    write_lake(folder, *some_cycles(shuffled=shuffled))


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore")  # libraries about each other
def test_bad_labels_make_no_champion(tmp_path: Path) -> None:
    """What learned from shuffled labels is not promoted, neither by the training nor by a person; it is said why."""
    settings, said = Settings(data_dir=tmp_path, learn=Learn(workers=1)), list[str]()

    def trained() -> TrainingOutcome:
        return train(settings, Request(("valve",), ("gaussian",)), say=said.append)[0]

    lake(tmp_path, shuffled=False)
    assert trained().promoted
    lake(tmp_path, shuffled=True)
    bad = trained()

    assert not bad.promoted
    assert bad.best.grouped < 0.5
    assert bad.says.startswith("version 1 stays champion: of the 160 cycles that it was judged on (grouped)")
    assert f"valve: {bad.says}" in said
    assert {v.version: v.aliases for v in Registry(settings).versions()} == {
        1: ("champion",), 2: ("challenger",),
    }  # fmt: skip
    with pytest.raises(FatalError, match="refused to promote valve version 2"):
        Registry(settings).promote("valve", 2)
