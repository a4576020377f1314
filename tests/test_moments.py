"""Learning from more cycles than memory holds: sums from the workers say what rows in memory say."""

from pathlib import Path

import numpy as np
import pytest

from hydrodask.channels import SENSORS
from hydrodask.learn.compute import training_cluster
from hydrodask.learn.data import catalogue as stored
from hydrodask.learn.drift import COLUMNS
from hydrodask.learn.score.gaussian import CELLS
from hydrodask.learn.train import gaussians, moments, weighing
from hydrodask.learn.train.gaussians import Cloud
from hydrodask.learn.train.moments import Moments, sample
from hydrodask.learn.train.plans import PLANS, ViewSpec
from hydrodask.learn.train.training import Request, train
from hydrodask.records import Float64
from hydrodask.settings import Settings
from hydrodask.settings.model import Learn
from tests.learned import write_lake

LOOKS = [look for plans in PLANS.values() for plan in plans for look in plan]


def cycles_of(count: int, seed: int) -> tuple[Float64, Float64]:
    """Return second means that follow their labels, and labels of twelve combinations."""
    rng = np.random.default_rng(seed)
    kinds = np.array([[c, v, p, 130, s] for c in (3, 20, 100) for v, p, s in ((73, 0, 0), (100, 1, 0), (100, 0, 1))])
    labels = kinds[rng.integers(0, len(kinds), count)].astype(np.float64)
    level = 150.0 + 20.0 * np.arange(len(SENSORS)).repeat(60)
    seconds = level + labels @ rng.normal(size=(5, CELLS)) * 0.05 + rng.normal(size=(count, CELLS))
    return seconds, labels


@pytest.mark.parametrize("look", LOOKS[:6] + LOOKS[-3:], ids=lambda look: " ".join(look.sensors))
def test_views_of_sums_are_those_of_rows(look: ViewSpec) -> None:
    """Added in parts, about any typical cycle, moments give the view that all rows together give; gaps are left out.

    A cycle that weighs three is one that is there three times.
    """
    seconds, labels = cycles_of(600, seed=1)
    labels[:, 4] = labels[:, 1] == 100
    seconds[7, 30] = np.nan
    weights = (1 + np.arange(600) % 3).astype(np.float64)
    chunks = [slice(at, at + 100) for at in range(0, 600, 100)]
    parts = [Moments(seconds[0]).take(seconds[some], labels[some], weights[some]) for some in chunks]
    whole = parts[0]
    for part in parts[1:]:
        whole.add(part)
    there = np.repeat(np.arange(600), weights.astype(np.int64))
    there = there[there != 7]
    key, alike = look.key((labels[:, 1] == 100).astype(np.int64), labels[:, :4]), np.ones(len(there))
    one = gaussians.view(look, Cloud.of(seconds[there][:, look.cells], key[there], alike))
    other = gaussians.view(look, whole.cloud(look.cells, lambda rows: look.key((rows[:, 1] == 100).astype(int), rows)))

    assert len(whole) == 599
    assert np.allclose(one.mean, other.mean, rtol=1e-12)
    assert np.allclose(one.scale, other.scale, rtol=1e-9)
    assert np.allclose(one.centres, other.centres, atol=1e-9)
    assert np.allclose(one.precision, other.precision, rtol=1e-6, atol=1e-6 * np.abs(one.precision).max())
    assert (one.owner == other.owner).all()
    gates = gaussians.gate(seconds[there], alike), whole.gate()
    assert np.allclose(gates[0].rest(seconds[:5]), gates[1].rest(seconds[:5]), atol=1e-6)


def test_a_cycle_weighs_by_how_rare_its_oil_is() -> None:
    """One over the root of how many are within two degrees, however they are counted; one cycle never outweighs all."""
    oil = np.concatenate([np.full(900, 45.2), np.full(9, 60.3), [90.0, np.nan, 9_999.0]])
    among = weighing.crowd(oil[:500]) + weighing.crowd(oil[500:])
    found = weighing.weights(oil, among)

    assert among.sum() == 911
    assert np.allclose(found[:900], 1.0)
    assert np.allclose(found[900:909], 10.0)
    assert found[909] == found[911] == 30.0
    assert np.isfinite(found).all()
    assert weighing.weights(np.zeros(0), weighing.crowd(np.zeros(0))).shape == (0,)
    seconds = cycles_of(50, seed=4)[0]
    assert (weighing.weights_of(seconds) == weighing.weights_of(seconds[::-1])[::-1]).all()


def test_a_sample_has_every_combination(tmp_path: Path) -> None:
    """What is drawn is as much of each combination as there is, always the same, in order."""
    seconds, labels = cycles_of(2_000, seed=2)
    labels[3] = (100, 90, 2, 90, 0)
    write_lake(tmp_path, seconds, labels)
    cycles = stored.catalogue(str(tmp_path / "lake"))
    rows = sample(cycles, 90)
    kinds, counts = np.unique(cycles.labels[rows], axis=0, return_counts=True)

    assert (rows == sample(cycles, 90)).all()
    assert (np.diff(rows) > 0).all()
    assert len(rows) == 90
    assert sorted(counts.tolist()) == [1, *[9] * 1, *[10] * 8]
    assert 3 in rows
    assert len(kinds) == 10


def test_a_sample_stays_when_cycles_come(tmp_path: Path) -> None:
    """So that what is trained tomorrow can be held against what was judged today; and it is no run of neighbours."""
    seconds, labels = cycles_of(2_000, seed=2)
    write_lake(tmp_path, seconds, labels)
    cycles = stored.catalogue(str(tmp_path / "lake"))
    before, now = sample(cycles.take(slice(0, 1_500)), 900), sample(cycles, 900)

    assert len(np.intersect1d(before, now)) > 600
    assert 0.3 < np.mean(np.diff(now) > 1) < 0.8
    assert abs(np.median(now) - 1_000) < 100


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore")
def test_training_reads_more_than_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more cycles than are held, all are learned from on the workers, and what is here is the sample."""
    seconds, labels = cycles_of(900, seed=3)
    write_lake(tmp_path, seconds, labels)
    settings = Settings(data_dir=tmp_path, learn=Learn(workers=1))
    cycles = stored.catalogue(settings.lake_url)
    monkeypatch.setattr(moments, "TASK", 400)
    rows = sample(cycles, 300)
    with training_cluster(settings) as client:
        found = moments.read(client, cycles, rows, lambda _text: None)
    here = Moments(found.moments.shift).take(seconds, labels, weighing.weights_of(seconds))

    assert len(found.moments) == 900
    assert np.allclose(found.moments.square, here.square, rtol=1e-9)
    assert (found.seconds == seconds[rows]).all()
    assert found.watched.shape == (300, len(COLUMNS))
    monkeypatch.setattr(moments.sample, "__defaults__", (300,))
    made = train(settings, Request(targets=("valve",), kinds=("gaussian", "classic-tree")))[0]
    by_kind = {result.kind: result for result in made.results}
    assert (by_kind["gaussian"].parameters["cycles"], by_kind["gaussian"].parameters["chosen_on"]) == (900, 300)
    assert by_kind["classic-tree"].notes == ["it learns in memory, so from 300 of 900 cycles"]
    assert by_kind["gaussian"].data.cycles == 900
    assert len(set(by_kind["gaussian"].predictions["rig"])) == 1
