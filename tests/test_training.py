"""Training on the real cycles: the figures that are promised, an honest registry, and ONNX that says the same."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import dask
import mlflow
import numpy as np
import pandas as pd
import pytest
from distributed import Client, SpecCluster

from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.clock import iso
from hydrodask.errors import FatalError, RetryableError, UnreachableError, UsageError
from hydrodask.learn import compute
from hydrodask.learn.compute import in_turn, run_all, shared, training_cluster
from hydrodask.learn.data import dataset
from hydrodask.learn.data.catalogue import catalogue
from hydrodask.learn.registry import Registry, Version, shortfall
from hydrodask.learn.score.champions import Champions
from hydrodask.learn.score.inference import Model
from hydrodask.learn.targets import TARGETS
from hydrodask.learn.train import boosted
from hydrodask.learn.train.committees import whole_splits
from hydrodask.learn.train.export import export
from hydrodask.learn.train.nested import Lesson
from hydrodask.learn.train.recorder import Recorder
from hydrodask.learn.train.results import check_registrable
from hydrodask.learn.train.training import Request, each_of, rank, train
from hydrodask.learn.train.validation import GROUPED, LEAVE_COOLER, RANDOM, folds
from hydrodask.settings import Settings
from hydrodask.settings.model import Learn
from tests.learned import Trained

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]  # libraries about each other

WANTED = {
    "cooler": (0.9985, None),
    "valve": (0.9995, 0.97),
    "pump": (0.997, 0.955),
    "accumulator": (0.965, 0.75),
    "stable": (0.83, 0.915),
}
"""Macro-F1 grouped by combination and with one cooler level left out, of choices that saw neither."""


def test_champions_beat_simple_models(trained: Trained) -> None:
    """On unseen combinations at least as good on all five, at an unseen cooler level better."""
    for outcome in trained.outcomes:
        grouped, left_out = WANTED[outcome.target.name]
        assert outcome.promoted
        assert outcome.best.grouped >= grouped, outcome.target.name
        if left_out is not None:
            assert outcome.best.figures[LEAVE_COOLER].macro_f1 > left_out, outcome.target.name


def test_a_random_split_flatters(trained: Trained) -> None:
    """The older platform's tree looks nearly perfect on its random split and fails on the valve it has not seen."""
    tree = next(r for o in trained.outcomes for r in o.results if (o.target.name, r.kind) == ("valve", "classic-tree"))

    assert tree.figures[RANDOM].macro_f1 > 0.9
    assert tree.figures[LEAVE_COOLER].macro_f1 < 0.5


def test_every_split_is_logged(trained: Trained) -> None:
    """Each model has its confusion matrices, mean errors of ordered targets, and importances."""
    for outcome in trained.outcomes:
        for result in outcome.results:
            for split, figures in result.figures.items():
                assert figures.split == split
                assert np.array(figures.confusion).shape == (len(outcome.target.classes),) * 2
                assert (figures.mean_error is None) == (not outcome.target.ordered)
            assert result.importances


def test_onnx_says_what_the_native_model_says(trained: Trained) -> None:
    """The same class on every cycle, for every model."""
    assert [(r.kind, r.disagreements) for o in trained.outcomes for r in o.results if r.disagreements] == []


def test_splits_keep_what_they_promise(trained: Trained) -> None:
    """No combination is on both sides of a grouped fold; a left-out level of the cooler is in no training rows."""
    cycles = catalogue(trained.settings.lake_url)
    levels, labels = cycles.labels[:, :4], cycles.target("valve")
    for train_rows, test_rows in folds(GROUPED, labels, levels):
        assert not set(map(tuple, levels[train_rows])) & set(map(tuple, levels[test_rows]))
    for train_rows, test_rows in folds(LEAVE_COOLER, labels, levels):
        assert not set(levels[train_rows, 0]) & set(levels[test_rows, 0])
    assert sorted(np.concatenate([test for _, test in folds(GROUPED, labels, levels)])) == list(range(len(labels)))


def test_few_cycles_give_few_folds_or_none() -> None:
    """The trainer goes on without a choice where every class has fewer cycles than there are folds."""
    found = {}
    for count in (2, 3, 4, 9):
        numbers, of_each = np.arange(count) % 3, np.arange(count, dtype=np.float64)
        levels = np.stack([of_each % 2, of_each, 0 * of_each, 0 * of_each], axis=1)
        found[count] = len(folds(GROUPED, numbers, levels, most=3))

    assert found == {2: 0, 3: 0, 4: 2, 9: 3}


def test_a_state_that_a_fold_lacks_is_refused() -> None:
    """A committee can't be judged on a state of one combination: the fold that leaves it out has never seen it."""
    numbers = np.arange(24) % 3
    numbers[numbers == 2] = np.where(np.arange(8) < 1, 2, 0)  # one cycle of the third state
    levels = np.stack([np.arange(24) % 2, numbers, np.arange(24) // 8, 0 * numbers], axis=1).astype(np.float64)
    lesson = Lesson(np.zeros((24, 2)), numbers, levels)
    classes = np.array([73, 80, 90])

    with pytest.raises(UsageError, match="state 90 are of one combination"):
        whole_splits(TARGETS["valve"], classes, lesson)
    levels[:, 1:] = (np.arange(24) // 4).reshape(-1, 1)
    usual = replace(lesson, numbers=np.arange(24) % 3, levels=levels)
    assert set(whole_splits(TARGETS["valve"], classes, usual)) >= {GROUPED, LEAVE_COOLER}


def test_a_random_split_alone_is_refused(trained: Trained) -> None:
    """A model that was judged on a random split only can't be registered."""
    best = trained.outcomes[1].best
    only = replace(best, figures={RANDOM: best.figures[RANDOM]})

    with pytest.raises(FatalError, match="was not judged on grouped, leave-cooler"):
        Recorder(trained.settings).register(only, np.zeros((1, len(best.columns))))
    with pytest.raises(FatalError, match="what is stored of it gives another class"):
        check_registrable(replace(best, disagreements=1))


def test_the_better_model_is_ranked_first(trained: Trained) -> None:
    """What counts is the worse of the two honest splits."""
    for outcome in trained.outcomes:
        assert rank(outcome.results)[0].kind == "gaussian"


def test_promotion_needs_a_reason_for_something_worse(trained: Trained) -> None:
    """A worse version is refused and the figures are named; a reason is kept with the version."""
    registry = Registry(trained.settings)
    versions = [v for v in registry.versions() if v.target == "stable"]
    champion = next(v for v in versions if "champion" in v.aliases)
    worse = next(v for v in versions if v.version != champion.version)
    with pytest.raises(FatalError, match=f"version {champion.version}"):
        registry.promote("stable", worse.version)
    try:
        registry.promote("stable", worse.version, reason="to see what happens")
        assert registry.champions()["stable"].version == worse.version
        assert registry.champions()["stable"].reason == "to see what happens"
    finally:
        registry.promote("stable", champion.version)
    with pytest.raises(UsageError, match="there is no version 99 of stable"):
        registry.promote("stable", 99)


def test_a_champion_is_defended_on_both_honest_splits() -> None:
    """Better on unseen combinations and worse at an unseen level of the cooler is worse, and that is said."""
    champion = {"grouped.macro_f1": 0.90, "leave-cooler.macro_f1": 0.80}

    assert shortfall({"grouped.macro_f1": 0.90, "leave-cooler.macro_f1": 0.80}, champion) == ""
    assert "has not seen is 0.300, the champion's 0.800" in shortfall(
        {"grouped.macro_f1": 0.99, "leave-cooler.macro_f1": 0.30}, champion
    )
    assert "unseen combinations is 0.700" in shortfall(
        {"grouped.macro_f1": 0.7, "leave-cooler.macro_f1": 0.9}, champion
    )
    assert "not known" in shortfall({"grouped.macro_f1": 0.99}, champion)
    assert shortfall({"grouped.macro_f1": 0.95}, {"grouped.macro_f1": 0.90}) == ""  # of the cooler there is but one


def test_a_card_and_pictures_are_there(trained: Trained, tmp_path: Path) -> None:
    """A registered version has its card, its pictures, example and its stored form; data and code are named."""
    registry = Registry(trained.settings)
    version = registry.champions()["valve"]
    run = registry.client.get_run(version.run_id)
    names = {artifact.path for artifact in registry.client.list_artifacts(version.run_id)}

    assert {"model-card.md", "confusion.png", "importances.png", "figures.json", "example.json", "plain"} <= names
    assert run.data.tags["data"]
    assert "learn" in run.data.tags["code"]
    assert run.data.metrics["grouped.macro_f1"] == version.figures["grouped.macro_f1"]
    path = registry.client.download_artifacts(version.run_id, "model-card.md", str(tmp_path))
    assert "| leave-cooler | a level of the cooler that it has not seen |" in Path(path).read_text(encoding="utf-8")


def test_where_labels_are_from_is_told(trained: Trained, tmp_path: Path) -> None:
    """How many cycles of each target, of how many people, and what they weigh: in the run, and on the card."""
    registry = Registry(trained.settings)
    runs = {name: version.run_id for name, version in registry.champions().items()}
    found = {
        name: json.loads(Path(registry.client.download_artifacts(runs[name], "labels.json", str(tmp_path))).read_text())
        for name in ("valve", "pump")
    }
    card = Path(registry.client.download_artifacts(runs["valve"], "model-card.md", str(tmp_path))).read_text()

    assert {name: (one["labels"], one["people"]) for name, one in found["valve"].items()} == {
        "lake": (1875, 0), "right": (1, 1),
    }  # fmt: skip
    assert 0.0 < found["valve"]["right"]["share"] < 0.05
    assert found["valve"]["lake"]["share"] + found["valve"]["right"]["share"] == pytest.approx(1.0)
    assert set(found["pump"]) == {"lake"}
    assert "| `right`: incidents that were right | 1 | 1 |" in card
    assert "`hydrodask train --without ORIGIN`" in card
    assert "Of 20 draws of as many combinations" in card


def test_mlflow_has_all_of_a_training(trained: Trained, tmp_path: Path) -> None:
    """Hyper-parameters, recall by state, the table of unseen verdicts, the data's digest, the card, requirements.

    The model takes profiles as the stream has them, in any order, and says what the committee says.
    """
    registry = Registry(trained.settings)
    version, result = registry.champions()["valve"], trained.outcomes[1].best
    run = registry.client.get_run(version.run_id)

    assert {"view_0_shrinkage", "gate_components", "seed", "plan", "temperature"} <= set(run.data.params)
    assert {f"grouped.recall_{state}" for state in (73, 80, 90, 100)} <= set(run.data.metrics)
    assert {"grouped.log_loss", "grouped.calibration_error", "grouped.coverage"} <= set(run.data.metrics)
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("cycles", result.data.fingerprint)
    assert run.data.tags["mlflow.note.content"].startswith("# valve: gaussian")
    path = registry.client.download_artifacts(version.run_id, "out-of-fold.json", str(tmp_path))
    table = json.loads(Path(path).read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    grouped = [row for row in rows if row["split"] == "grouped"]
    assert len({(row["rig"], row["cycle"]) for row in grouped}) == 1876
    right = np.mean([row["truth"] == row["said"] for row in grouped])
    assert right == pytest.approx(result.figures["grouped"].accuracy)
    assert all(abs(sum(row[f"p_{c}"] for c in (73, 80, 90, 100)) - 1) < 1e-6 for row in grouped[:50])

    mlflow.set_tracking_uri(registry.uri.plain())  # whoever trained last in this process has set another
    model = mlflow.pyfunc.load_model(f"models:/{version.name}@champion")
    needs = Path(mlflow.artifacts.download_artifacts(f"models:/{version.name}@champion")) / "requirements.txt"
    assert {"hydrodask", "numpy"} <= {line.split("==")[0] for line in needs.read_text().split() if "==" in line}
    cycles = catalogue(trained.settings.lake_url).take(slice(0, 3)).read()
    profiles = [
        {
            "rig": cycles.rig[n], "sensor": sensor, "cycle": int(cycles.cycle[n]), "sampling_rate_hz": 1.0,
            "cycle_start": iso(int(cycles.start_us[n])), "n": [1] * 60,
        } | {name: cycles.curves[n, place, k].tolist() for k, name in enumerate(("mean", "min", "max"))}
        for place, sensor in reversed(list(enumerate(SENSORS))) for n in range(3)
    ]  # fmt: skip
    said = model.predict(pd.DataFrame(profiles))
    labels = catalogue(trained.settings.lake_url).take(slice(0, 3)).target("valve")
    assert said["state"].tolist() == labels.tolist()
    assert said["cycle"].tolist() == cycles.cycle.tolist()
    assert said["why"].tolist() == [""] * 3
    gaps = [profile for profile in profiles if profile["sensor"] not in {"PS1", "PS2", "PS3", "EPS1", "FS1", "SE"}]
    unknown = model.predict(pd.DataFrame(gaps))
    assert unknown["state"].isna().all()
    assert unknown["why"].str.startswith("not measured: PS1").all()


def test_a_cluster_that_ends_slowly_takes_nothing_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was computed is there: a machine that is too busy to end workers in time is no failed training."""
    monkeypatch.setattr(compute, "CLOSE_S", 0.001)
    with training_cluster(Settings(data_dir=tmp_path, learn=Learn(workers=1))) as client:
        found = client.submit(sum, [1, 2, 3]).result()

    assert found == 6


def test_a_cluster_that_ends_while_it_starts_a_worker_takes_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask's nanny says by an assertion that its next process has no number yet: seen once, on a busy machine."""
    close, asked = SpecCluster.close, list[float]()

    def too_early(cluster: SpecCluster, timeout: float) -> None:
        asked.append(timeout)
        close(cluster, timeout)
        raise AssertionError("can only join a started process")

    monkeypatch.setattr(SpecCluster, "close", too_early)
    with training_cluster(Settings(data_dir=tmp_path, learn=Learn(workers=1))) as client:
        found = client.submit(sum, [1, 2, 3]).result()

    assert (found, asked) == (6, [compute.CLOSE_S])


UNGUARDED = """
import sys
from pathlib import Path
from hydrodask.learn.compute import training_cluster
from hydrodask.settings import Settings
with training_cluster(Settings(data_dir=Path(sys.argv[1]))):
    print("trains")
"""


def test_a_script_that_trains_without_its_guard_is_told_so(tmp_path: Path) -> None:
    """Each worker process imports the script, and would train there: both say where the script has to begin."""
    script = tmp_path / "teach.py"
    script.write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "imports the script that has started it, and came to a training there" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "hydrodask.errors.UnreachableError: could not start a Dask cluster to train on: Nanny failed to start; "
        'teach.py has to start it below `if __name__ == "__main__":`'
    )


def test_a_training_without_workers_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask waits for a worker for ever; a training says so and ends. A task's own timeout is an error of it."""
    monkeypatch.setattr(compute, "GONE_S", 1.0)
    with training_cluster(Settings(data_dir=tmp_path, learn=Learn(workers=1))) as client:
        assert run_all(client, [(sum, ([1, 2],)), (sum, ([3],))]) == [3, 3]
        with pytest.raises(TimeoutError, match="its own"):
            run_all(client, [(too_long, ())])
        client.retire_workers()
        with pytest.raises(UnreachableError, match="workers that train have been gone"):
            run_all(client, [(sum, ([4],))])


def test_a_task_that_ends_while_it_is_looked_at_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its result counts, though the look at it came to its end first."""
    monkeypatch.setattr(compute, "LOOK_EVERY_S", 0.0)
    with Client(processes=False, dashboard_address=None) as client:
        assert run_all(client, [(pow, (2, n)) for n in range(100)]) == [2**n for n in range(100)]


def test_a_worker_that_dies_takes_nothing_with_it(tmp_path: Path) -> None:
    """What tasks share is there again with the next worker: a training under memory pressure is no lost one."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),  # as a stream's cluster in this process
        training_cluster(Settings(data_dir=tmp_path, learn=Learn(workers=1))) as client,
    ):
        cycles = shared(client, np.arange(7.0))
        assert run_all(client, [(len, (cycles,))]) == [7]
        first = client.run(os.getpid)
        os.kill(next(iter(first.values())), signal.SIGKILL)
        assert run_all(client, [(len, (cycles,)), (sum, (cycles,))]) == [7, 21]
        assert set(client.run(os.getpid).values()).isdisjoint(first.values())
        with pytest.raises(UnreachableError, match="died of it; look at their memory"):
            run_all(client, [(os._exit, (1,))])


def test_what_the_cluster_has_forgotten_is_said(tmp_path: Path) -> None:
    """A scheduler that was lost in between cancels all tasks: a sentence, and no error of Dask's own."""
    with training_cluster(Settings(data_dir=tmp_path, learn=Learn(workers=1))) as client:
        waiting = in_turn(client, [(sum, ([1],)), (clock.sleep_s, (60.0,))])
        assert next(waiting) == 1
        asked = threading.Timer(2.0, client.restart, kwargs={"timeout": 120})
        asked.start()
        with pytest.raises(UnreachableError, match="forgotten what it was to compute"):
            next(waiting)
        asked.join()


def too_long() -> None:
    """Give up, as a task."""
    raise TimeoutError("its own")


def test_too_little_to_learn_from(tmp_path: Path) -> None:
    """An empty lake is said to be empty, and what to do."""
    with pytest.raises(UsageError, match=r"there are 0 labelled cycles .*hydrodask import DIR"):
        train(Settings(data_dir=tmp_path), Request())


def test_targets_without_labels_do_not_keep_others_from_training() -> None:
    """Each that can't be trained is said, with why; it is an error when none could be, or the only one could not."""
    said: list[str] = []

    def one(name: str) -> str:
        if name != "pump":
            raise UsageError(f"only 0 cycles say anything of {name}")
        return name

    assert each_of(("cooler", "valve", "pump"), one, said.append) == ["pump"]
    assert said == [f"{name} is not trained: only 0 cycles say anything of {name}" for name in ("cooler", "valve")]
    with pytest.raises(UsageError, match="only 0 cycles say anything of cooler"):
        each_of(("cooler",), one, said.append)
    with pytest.raises(UsageError, match=r"no target was trained.*of cooler.*of valve"):
        each_of(("cooler", "valve"), one, said.append)


def test_a_model_that_can_t_be_loaded_leaves_the_old_one(trained: Trained) -> None:
    """Champions that are broken, or of another version of the features, are problems; the old ones go on."""
    found = Champions(trained.settings)
    found.refresh()
    before = dict(found.models)
    assert len(before) == 5
    assert not found.problems

    class Broken(Registry):
        """A registry whose newest champion of the valve is no model."""

        def champions(self) -> dict[str, Version]:
            real = super().champions()
            return real | {"valve": replace(real["valve"], version=99)}

        def stored(self, version: Version) -> bytes:  # noqa: ARG002
            return b"no model"

    found._registry = Broken(trained.settings)
    found.refresh()

    assert found.models == before
    assert "could not load hydrodask-valve version 99" in found.problems["valve"]


def test_a_search_finds_parameters_on_unseen_combinations(trained: Trained, tmp_path: Path) -> None:
    """A randomised search on the cluster draws parameters, and the model is judged and registered with the best."""
    lake = trained.settings.lake.model_copy(update={"url": trained.settings.lake_url})
    settings = trained.settings.model_copy(update={"lake": lake, "data_dir": tmp_path})
    result = train(settings, Request(targets=("valve",), kinds=("logistic",), search=2))[0].best

    assert result.parameters["search"] == 2
    assert result.model.get_params()["model__C"] == result.parameters["model__C"]
    assert result.grouped > 0.25  # better than chance: two draws of its penalty are few


def test_boosted_forests_on_dask(trained: Trained) -> None:
    """XGBoost's forest, trained by two workers together, survives the way to ONNX, and gaps in its features."""
    target = TARGETS["valve"]
    cycles = catalogue(trained.settings.lake_url).take(slice(0, 1876, 4))
    labels = np.searchsorted(target.classes, cycles.target("valve"))
    with training_cluster(trained.settings) as client:
        rows = dataset.features(cycles, target.columns, chunk=100, dtype="float32")
        numbers = dataset.chunked(labels, chunk=100)[0]
        forest = boosted.train(client, rows, numbers, target.classes, limit_s=120)
        features = np.asarray(rows.compute(), np.float64)
    metadata = {"hydrodask.features_version": "1", "hydrodask.classes": "[73, 80, 90, 100]"}
    metadata |= {"hydrodask.columns": "[]", "hydrodask.kind": '"x"', "hydrodask.sensors": "[]"}
    model = Model.load(
        export(forest, features.shape[1], metadata | {"hydrodask.missing_allowed": "true"}), name="x", version=1
    )
    holes = features.copy()
    holes[::3, ::2] = np.nan

    assert (forest.predict(features) == cycles.target("valve")).mean() > 0.99
    for some in (features, holes):
        assert np.abs(model.probabilities(some) - forest.predict_proba(some)).max() < 1e-5
        assert (model.classify(some) == forest.predict(some)).all()


def test_a_worker_that_leaves_is_an_error_and_no_hang(tmp_path: Path) -> None:
    """XGBoost's workers wait for each other: one that goes away ends the fit with a sentence."""
    settings = Settings(data_dir=tmp_path, learn=Learn(workers=2))
    with training_cluster(settings) as client:
        started_s = clock.monotonic_s()

        def leave() -> None:
            client.retire_workers(list(client.scheduler_info()["workers"])[:1], close_workers=True)
            clock.sleep_s(400)

        with pytest.raises(RetryableError, match="never on one that scales itself"):
            boosted._guarded(client, leave, 300.0)
        assert clock.monotonic_s() - started_s < 200  # and not at a limit, or when the fit ends


def test_a_fit_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """There is a limit to how long XGBoost may train."""
    settings = Settings(data_dir=tmp_path, learn=Learn(workers=1))
    with training_cluster(settings) as client, pytest.raises(FatalError, match="took longer than 1 s"):
        boosted._guarded(client, lambda: clock.sleep_s(120), 1.0)
