"""A model of one's own: an ONNX file is tried, registered and scores; what can't score is refused with a reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from hydrodask.cli import models
from hydrodask.errors import FatalError, UsageError
from hydrodask.learn.data.catalogue import catalogue
from hydrodask.learn.features import compute
from hydrodask.learn.registry import Registry
from hydrodask.learn.score.asking import score
from hydrodask.learn.score.champions import Champions
from hydrodask.learn.score.inference import Model
from hydrodask.learn.targets import TARGETS
from hydrodask.learn.train import own
from hydrodask.settings import Settings
from tests.learned import write_lake

pytestmark = pytest.mark.filterwarnings("ignore")  # libraries about each other

NAMES = ("PS2.mean.08", "PS2.mean.09", "FS1.average")
STATES = np.array([73, 80, 90, 100])


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a data directory with 80 labelled cycles, whose valve is seen in seconds 8 and 9 of PS2."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(5)
    valve = np.tile(STATES, 20).astype(np.float64)
    seconds = 100.0 + rng.normal(size=(80, 1020))
    seconds[:, 68:70] += valve[:, None]
    labels = np.stack([np.full(80, 100.0), valve, np.zeros(80), np.full(80, 130.0), np.zeros(80)], axis=1)
    write_lake(folder, seconds, labels)
    return Settings(data_dir=folder)


@pytest.fixture(scope="module")
def file(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what anybody trains: scikit-learn's logistic regression, in single precision, with a label beside."""
    cycles = catalogue(settings.lake_url)
    features = compute(cycles.read(), NAMES)
    fitted = LogisticRegression(max_iter=5_000).fit(features - features.mean(axis=0), cycles.target("valve"))
    fitted.intercept_ = fitted.intercept_ - fitted.coef_ @ features.mean(axis=0)
    inputs = [("X", FloatTensorType([None, len(NAMES)]))]
    path = tmp_path_factory.mktemp("file") / "mine.onnx"
    made = to_onnx(fitted, initial_types=inputs, options={id(fitted): {"zipmap": False}}, target_opset=17)
    path.write_bytes(made.SerializeToString())
    return path


def test_it_is_tried_registered_and_scores(settings: Settings, file: Path, tmp_path: Path) -> None:
    """The command says how it does here and that it scores once promoted; then it does, as the file says."""
    app = typer.Typer()
    models.add_to(app)
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    options = ["--target", "valve", "--columns", str(tmp_path / "names.txt"), "--set", f"data_dir={settings.data_dir}"]
    done = CliRunner().invoke(app, ["models", "add", str(file), *options])

    assert done.exit_code == 0, done.output
    assert "valve version 1 is registered: tried on 80 cycles of the lake, macro-F1 1.000" in done.stdout
    assert "hydrodask promote valve 1" in done.stdout
    assert "own" in CliRunner().invoke(app, ["models", *options[-2:]]).stdout
    assert Registry(settings).champions() == {}
    for reason in (None, "", "  "):
        with pytest.raises(FatalError, match="refused to promote valve version 1: nobody knows how it does on comb"):
            Registry(settings).promote("valve", 1, reason=reason)
    Registry(settings).promote("valve", 1, reason=" it knows our rig ")
    assert Registry(settings).champions()["valve"].reason == "it knows our rig"
    found = Champions(settings)
    found.refresh()
    assert found.problems == {}
    cycles = catalogue(settings.lake_url)
    said = score(found.models, cycles.read())["valve"]
    assert said.usable.all()
    assert (said.label == cycles.target("valve")).all()
    assert found.models["valve"].reference is not None

    second = own.add(settings, file, TARGETS["valve"], NAMES).version.version
    with pytest.raises(FatalError, match=r"has not seen \(version 1\); give --force with a reason"):
        Registry(settings).promote("valve", second)
    Registry(settings).promote("valve", 1)  # as it is now
    assert Registry(settings).champions()["valve"].version == 1


def constant(values: list[float], *, width: int = 3) -> bytes:
    """Return a model that says the same of every cycle."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [width, len(values)], [0.0] * width * len(values))
    bias = helper.make_tensor("b", TensorProto.FLOAT, [len(values)], values)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Add", ["y", "b"], ["p"])]
    shapes = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, k]) for n, k in (("x", width), ("p", len(values)))
    ]
    graph = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], [weights, bias])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def made_of(
    nodes: list[Any], *, classes: list[Any] | None = None, names: list[Any] | None = None, more: tuple[Any, ...] = ()
) -> bytes:
    """Return a model of three features `x` and weights `w` that gives `p`."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 4], [0.001 * n for n in range(12)])
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, k]) for n, k in (("x", 3), ("p", 4))]
    graph = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], [weights, *more])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in (("classes", classes), ("columns", names)):
        if value is not None:
            made.metadata_props.add(key=f"hydrodask.{key}", value=json.dumps(value))
    return bytes(made.SerializeToString())


NODE = helper.make_node
SCORES = [NODE("MatMul", ["x", "w"], ["y"]), NODE("Softmax", ["y"], ["p"], axis=1)]


def beside_others() -> bytes:
    """Return a model that holds each cycle against the mean of those that it is asked of with it."""
    mean = [NODE("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1), NODE("Sub", ["x", "m"], ["c"])]
    return made_of([*mean, NODE("MatMul", ["c", "w"], ["y"]), NODE("Softmax", ["y"], ["p"], axis=1)])


def drawn() -> bytes:
    """Return a model that draws what it says."""
    draw = [NODE("RandomNormalLike", ["y"], ["z"])]
    return made_of([SCORES[0], *draw, NODE("Softmax", ["z"], ["p"], axis=1)])


def branched() -> bytes:
    """Return a model whose branches read its input from around them."""

    def branch(name: str) -> Any:
        shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4])]
        return helper.make_graph([NODE("MatMul", ["x", "w"], [name])], name, [], shape)

    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    fork = NODE("If", ["yes"], ["y"], then_branch=branch("a"), else_branch=branch("b"))
    return made_of([fork, SCORES[1]], more=(yes,))


def test_a_model_with_branches_is_taken(tmp_path: Path) -> None:
    """They read the features that we give, as all that is around them does."""
    (tmp_path / "branched.onnx").write_bytes(branched())
    settings = Settings(data_dir=tmp_path)  # with an empty lake: it is asked of made-up cycles

    added = own.add(settings, tmp_path / "branched.onnx", TARGETS["valve"], NAMES)

    stored = Registry(settings).stored(added.version)
    said = Model.tried(stored, name="branched", version=1).probabilities(np.array([[1.0, 2.0, 3.0]]))
    want = np.exp(np.array([[1.0, 2.0, 3.0]]) @ (0.001 * np.arange(12).reshape(3, 4)))
    assert np.allclose(said, want / want.sum(), atol=1e-6)


def text() -> bytes:
    """Return a model that takes text."""
    shapes = [helper.make_tensor_value_info(n, TensorProto.STRING, [None, 3]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", shapes[:1], shapes[1:])
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


@pytest.mark.parametrize(
    ("data", "names", "says"),
    [
        (b"no model", NAMES, "it is no ONNX model"),
        (text(), NAMES, "it takes x; want one tensor of floats"),
        (constant([0.25] * 4), NAMES[:2], "it takes 3 features, and 2 are named"),
        (constant([0.25] * 4), (), "it takes 3 features, and nobody says which: name them with --columns"),
        (constant([0.25] * 4), ("PS2.mean.08", "PS2.mean.09", "PS9.mean.01"), "'PS9.mean.01' is no feature"),
        (constant([0.5] * 2), NAMES, "it gives 2 probabilities, and valve has 4 states"),
        (constant([0.5] * 4), NAMES, "its probabilities are not finite or do not add up to 1"),
        (constant([-1.0, 1.0, 0.5, 0.5]), NAMES, "some of its probabilities are negative"),
        (beside_others(), NAMES, "depends on the cycles beside it: alone [0.25, 0.25, 0.25, 0.25]"),
        (drawn(), NAMES, "asked twice of the same cycles it says two things"),
        (made_of(SCORES, classes=[100, 90, 80, 73]), NAMES, "want whole numbers in rising order, each once"),
        (made_of(SCORES, classes=[73, 80, 80, 100]), NAMES, "want whole numbers in rising order, each once"),
        (made_of(SCORES, classes=["73", 80.9, 90, 100]), NAMES, "want whole numbers in rising order, each once"),
        (made_of(SCORES, names=[0, 1, 2]), (), "0 is no feature; they are called PS2.mean.09"),
        (made_of(SCORES), (*NAMES[:2], "PS1.mean.-1"), "'PS1.mean.-1' is no feature"),
        (made_of(SCORES), (*NAMES[:2], "PS1.mean.60"), "'PS1.mean.60' is no feature"),
        (made_of(SCORES), (*NAMES[:2], "PS1.average.1"), "'PS1.average.1' is no feature"),
        (constant([float("nan")] * 4), NAMES, "its probabilities are not finite or do not add up to 1"),
    ],
    ids=["no model", "text", "few names", "no names", "strange name", "states", "sum", "negative",
         "beside others", "drawn", "unsorted", "twice",
         "no numbers", "numbers", "second -1", "second 60",
         "second of a cycle", "NaN"],
)  # fmt: skip
def test_what_can_t_score_is_refused(
    settings: Settings, tmp_path: Path, data: bytes, names: tuple[str, ...], says: str
) -> None:
    """With a sentence that names the file and what it lacks; nothing is registered."""
    (tmp_path / "mine.onnx").write_bytes(data)
    before: Any = Registry(settings).versions()

    with pytest.raises(UsageError, match=r"could not add .*mine.onnx for valve: ") as refused:
        own.add(settings, tmp_path / "mine.onnx", TARGETS["valve"], names)

    assert says in str(refused.value)
    assert Registry(settings).versions() == before


def test_a_file_may_say_itself_what_it_takes(file: Path, tmp_path: Path) -> None:
    """Columns in its metadata are enough, and an empty lake, too: then nothing is known of what is usual."""
    made = onnx.load_from_string(file.read_bytes())
    made.metadata_props.add(key="hydrodask.columns", value='["PS2.mean.08", "PS2.mean.09", "FS1.average"]')
    (tmp_path / "named.onnx").write_bytes(made.SerializeToString())

    done = own.add(Settings(data_dir=tmp_path), tmp_path / "named.onnx", TARGETS["valve"])

    assert (done.cycles, done.macro_f1) == (0, None)
    assert done.version.kind == "own"
