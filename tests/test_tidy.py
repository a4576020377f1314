"""The code keeps its own rules: sizes, owners of libraries, direction of imports, no leftovers."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

import hydrodask

ROOT = Path(__file__).resolve().parents[1]
CODE = sorted(
    path
    for folder in ("hydrodask", "flows", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if ".work" not in path.parts  # environments of the engines that benchmarks compare with
)
MODULE_LINES_MAX = 300
BODY_LINES_MAX = 70
BODY_LINES_USUAL = 15
USUAL_SHARE = 0.9

OWNERS = {
    "anyio": ["hydrodask/console/app.py"],  # starlette's way to call what blocks
    "bokeh": ["hydrodask/observe/page.py"],
    "bson": ["hydrodask/store/documents/mongo.py"],
    "bytewax": ["benchmarks/peers/bytewax/"],  # in an environment of its own
    "confluent_kafka": [
        "hydrodask/kafka.py",
        "benchmarks/peers/bytewax/batches.py",  # engines in environments of their own
        "benchmarks/peers/quix/job.py",
    ],
    "cronsim": ["flows/train.py"],
    "cryptography": ["hydrodask/doors/certificates.py"],
    "dask": [
        *("hydrodask/api/rows.py", "hydrodask/doors/", "hydrodask/driver/cluster.py", "hydrodask/learn/"),
        "hydrodask/worker/nanny.py",
    ],
    "dask_ml": ["hydrodask/learn/train/fitting.py"],
    "distributed": [
        "hydrodask/doors/",
        "hydrodask/driver/cluster.py",
        "hydrodask/learn/compute.py",
        "hydrodask/worker/nanny.py",
    ],
    "duckdb": ["benchmarks/reference.py"],
    "fsspec": ["hydrodask/store/filesystems.py"],
    "greenlet": ["hydrodask/testing/simulation/world.py"],
    "joblib": ["hydrodask/learn/train/fitting.py"],
    "matplotlib": ["hydrodask/learn/train/pictures.py", "benchmarks/"],
    "mlflow": ["hydrodask/learn/registry.py", "hydrodask/learn/train/recorder.py"],
    "msgspec": [
        "hydrodask/records.py",
        "hydrodask/audit/",
        "hydrodask/console/",
        "hydrodask/decode/",
        "hydrodask/ingest/",
        "hydrodask/nodes/",
        "hydrodask/protocol/",
        "benchmarks/",
    ],
    "kubernetes": ["hydrodask/doors/daskclusters.py"],
    "llvmlite": ["hydrodask/ingest/gather.py"],
    "numba": ["hydrodask/kernels.py", "hydrodask/ingest/gather.py"],  # which has its lowest layer
    "numpy": ["hydrodask/", "benchmarks/"],  # columns are everywhere
    "onnx": ["hydrodask/learn/train/export.py"],
    "onnxruntime": ["hydrodask/learn/score/inference.py"],
    "packaging": ["benchmarks/footprint.py"],  # what an extra asks for
    "prometheus_client": ["hydrodask/observe/metrics.py"],
    "psutil": ["benchmarks/"],
    "pyarrow": [
        *("hydrodask/api/rows.py", "hydrodask/audit/", "hydrodask/store/", "hydrodask/nodes/sensors.py"),
        "hydrodask/testing/",
        "benchmarks/",
    ],
    "pydantic": ["hydrodask/settings/", "hydrodask/ingest/simulator/faults.py"],
    "pydantic_settings": ["hydrodask/settings/load.py"],
    "pyspark": ["benchmarks/peers/spark/job.py"],  # in an environment of its own
    "pymongo": [
        "hydrodask/store/documents/mongo.py",
        "hydrodask/services/members.py",  # which makes the users
    ],
    "quixstreams": ["benchmarks/peers/quix/"],  # in an environment of its own
    "rich": ["hydrodask/cli/", "hydrodask/observe/"],
    "skl2onnx": ["hydrodask/learn/train/export.py"],
    "sklearn": ["hydrodask/learn/train/estimators.py", "hydrodask/learn/train/validation.py", "benchmarks/"],
    "starlette": ["hydrodask/console/app.py", "hydrodask/console/door.py"],
    "streamz": ["hydrodask/nodes/graph.py"],
    "tornado": ["hydrodask/doors/guard.py"],
    "typer": ["hydrodask/cli/"],
    "uvicorn": ["hydrodask/console/webserver.py"],
    "urllib3": ["hydrodask/doors/daskclusters.py"],  # the errors of kubernetes' client
    "xgboost": ["hydrodask/learn/train/boosted.py"],
    "yaml": ["hydrodask/settings/load.py", "hydrodask/cli/cluster/preflight.py"],  # which reads what helm renders
}
"""Each outside library, and the only places that import it."""

BASE = {
    "records",
    "reports",
    "errors",
    "outage",
    "clock",
    "channels",
    "rigs",
    "keys",
    "blobs",
    "background",
    "settings",
    "kafka",
    "failpoints",
    "kernels",
    "durable",
    "heap",
    "doors",
    "hosts",
    "redaction",
    "logs",
    "release",
    "extras",
    "flow",
    "episodes",
    "answers",
    "health",
    "trend",
}
STAGES = {"ingest", "decode", "window", "detect", "store"}
ALLOWED = {
    **dict.fromkeys(BASE, BASE),
    **dict.fromkeys(STAGES, BASE),
    "learn": BASE | {"store"},
    "learn.data": BASE | {"learn", "store", "window"},
    "learn.score": BASE | {"learn", "learn.data", "store"},
    "learn.train": BASE | {"learn", "learn.data", "learn.score", "store"},
    "protocol": BASE | {"ingest", "store", "window"},
    "nodes": BASE | STAGES | {"protocol", "learn", "learn.score"},
    "worker": BASE | STAGES | {"protocol", "nodes"},
    "driver": BASE | {"ingest", "protocol", "worker"},
    "flows": BASE | {"nodes", "learn.train"},
    "services": BASE,
    "audit": BASE | STAGES | {"protocol", "nodes", "learn", "learn.score"},
    "observe": BASE,
    "console": BASE | {"store", "detect", "decode", "learn", "observe"},
    "notify": BASE | {"store"},
    "doctor": BASE | {"detect", "ingest", "store", "services", "notify"},
    "run": BASE | {"ingest", "store", "protocol", "driver", "flows", "observe", "console", "notify"},
    "cli": BASE
    | STAGES
    | {"learn", "learn.data", "learn.score", "learn.train", "protocol", "driver", "flows", "run", "audit"}
    | {"services", "observe", "doctor", "console", "notify"},
    "api": BASE | {"learn", "learn.data", "store", "doctor", "run"},
    "__init__": {"api"},
    "testing": BASE | STAGES | {"protocol", "nodes", "worker", "driver", "flows"},
    "__main__": {"cli"},
    "stream": {"worker"},  # the former name of its preload
}
ALLOWED["benchmarks"] = ALLOWED["cli"] | {"nodes", "testing"}
"""What each room may import besides itself: cli → run → driver → worker → nodes → protocol → stages → base."""

NAMED_ALIKE = {
    "__init__",
    "guests",  # flows from outside: run, and audited
    "labels",  # of cycles: decoded, and audited
    "preload",  # what Dask calls a module that a process loads first; people type these names
}
"""Names of modules that several rooms have, for the same thing; a command and a flow have the name of what they do."""

_SECTION = "a section of the settings, named after its key, and what it configures"
_PROTOCOL = "a class, and the Protocol by which a module below knows it"
CLASSES_NAMED_ALIKE = {
    "Baseline": _SECTION,
    "Cluster": _SECTION,
    "Console": _SECTION,
    "Detect": _SECTION,
    "Documents": _SECTION,
    "Lake": _SECTION,
    "SideOutput": _PROTOCOL,
}
"""Names of classes that two modules have, each with why this is one thing."""

OURS = ("flows", "benchmarks")
"""What is ours beside the package."""

LEFTOVERS = {
    r"\b(FIXME|TODO|XXX)\b": [],
    r"(?<![\w.])print\(": ["benchmarks/"],
    r"\bdatetime\.(now|utcnow)\(|\btime\.(time|time_ns|monotonic|perf_counter|sleep)\(": [
        "hydrodask/clock.py",
        "benchmarks/peers/bytewax/batches.py",  # which runs where there is nothing of ours
    ],
}
"""What must not be in the code, and where it may be all the same."""

# In two parts, so that this file does not find itself.
FOREIGN = [
    "pypi" + r"\.(org|python\.org)",
    "files" + r"\.pythonhosted",
    "repo" + r"1?\.maven",
    "proxy" + r"\.golang",
    "deb" + r"\.debian",
    r"crates" + r"\.io",
    "registry" + r"\.npmjs",
    r"(?<![\w.])/" + r"(work|root|home|Users)/\w",
    "artifact" + "ory",
]
"""Names of registries' hosts, and paths of somebody's machine."""


def name_of(path: Path) -> str:
    """Return the path from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def part_of(path: Path) -> str:
    """Return the room that a file belongs to."""
    return room(".".join(path.relative_to(ROOT).with_suffix("").parts))


def room(module: str) -> str:
    """Return the room of a module: the longest name that the rules know; nothing for what is not ours."""
    top, _, rest = module.partition(".")
    if top != "hydrodask":
        return top if top in OURS else ""
    parts = rest.split(".")
    return next((name for name in (".".join(parts[:2]), parts[0]) if name in ALLOWED), parts[0])


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Give each file of ours, parsed."""
    for path in CODE:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Give the dotted name of everything that a module imports, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "hydrodask":
            yield from (f"hydrodask.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def bodies() -> Iterator[tuple[str, int]]:
    """Give each function's place, and its lines after the docstring."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                documented = ast.get_docstring(node, clean=False) is not None
                body = node.body[1:] if documented else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                yield f"{name_of(path)}:{node.lineno} {node.name}", lines


def tracked() -> list[Path]:
    """Return the files that git knows, or would add."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_modules_fit_a_thought() -> None:
    """No module is over 300 lines (tests, which are lists of cases, may be)."""
    sizes = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}

    assert {name: lines for name, lines in sizes.items() if lines > MODULE_LINES_MAX} == {}


def test_a_name_is_that_of_one_module() -> None:
    """A word means one thing: who reads a module's name knows which is meant, without its folder."""
    there: dict[str, list[str]] = {}
    for path in (path for path in CODE if path.is_relative_to(ROOT / "hydrodask")):
        if path.parent != ROOT / "hydrodask" / "cli":
            there.setdefault(path.stem, []).append(name_of(path))

    assert {name: found for name, found in there.items() if len(found) > 1 and name not in NAMED_ALIKE} == {}
    assert {name for name, found in there.items() if len(found) > 1} == NAMED_ALIKE


def test_a_name_is_that_of_one_class() -> None:
    """A word means one thing: who reads a class's name knows which is meant, without its module."""
    there: dict[str, list[str]] = {}
    for path, tree in trees():
        if path.is_relative_to(ROOT / "hydrodask"):
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    there.setdefault(node.name, []).append(name_of(path))
    shared = {name: found for name, found in there.items() if len(found) > 1}

    assert {name: found for name, found in shared.items() if name not in CLASSES_NAMED_ALIKE} == {}
    assert set(shared) == set(CLASSES_NAMED_ALIKE)
    assert {name: found for name, found in shared.items() if len(found) > 2} == {}


def test_functions_fit_a_screen() -> None:
    """No function's body is over 70 lines."""
    assert [(place, lines) for place, lines in bodies() if lines > BODY_LINES_MAX] == []


def test_functions_are_usually_short() -> None:
    """Nine in ten have at most 15 lines."""
    lines = [count for _, count in bodies()]
    longer = sorted(((n, p) for p, n in bodies() if n > BODY_LINES_USUAL), reverse=True)

    assert len(lines) - len(longer) >= USUAL_SHARE * len(lines), longer


def test_each_library_is_imported_only_by_its_owners() -> None:
    """One way in, one way out: a library can be replaced by changing one place."""
    strangers = [
        f"{name_of(path)} imports {name}"
        for path, tree in trees()
        for name in (full.partition(".")[0] for full in imported(tree))
        if name not in (*sys.stdlib_module_names, "hydrodask", "flows", "benchmarks")
        and not name_of(path).startswith(tuple(OWNERS.get(name, ())))
    ]

    assert strangers == []


def test_imports_go_one_way() -> None:
    """Cli → run → driver → worker → nodes → protocol → stages → base; the stages do not import each other."""
    wrong = [
        f"{name_of(path)} imports {full}"
        for path, tree in trees()
        for full in imported(tree)
        if room(full) not in {"", part_of(path), *ALLOWED.get(part_of(path), ())}
    ]

    assert wrong == []


def test_no_room_leads_back_to_itself() -> None:
    """The rules allow no circle: whoever reads a room needs to know the rooms below it, and no others.

    In the base, whose modules may import each other by the rules, what they do import makes none either.
    """
    above = {name: found - {name} for name, found in ALLOWED.items() if name not in BASE}
    order = [name for name in TopologicalSorter(above).static_order() if name not in BASE]
    real: dict[str, set[str]] = {}
    for path, tree in trees():
        real.setdefault(part_of(path), set()).update({room(full) for full in imported(tree)} - {part_of(path), ""})
    below = list(TopologicalSorter(real).static_order())

    assert set(order) >= {"protocol", "nodes", "worker", "driver", "run", "cli"}
    assert set(below) >= BASE


def test_every_package_is_on_the_map() -> None:
    """`hydrodask/__init__.py` has a line for each package and each module beside them, which begins with its name."""
    folder = ROOT / "hydrodask"
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    modules = {path.stem for path in folder.glob("[a-z]*.py")}

    assert [name for name in sorted(packages | modules) if not on_the_map(hydrodask, name)] == []


def on_the_map(module: ModuleType, name: str) -> bool:
    """Say whether a line of a package's docstring begins with `name`, whatever marks it."""
    return re.search(rf"^\W*{name}\b", module.__doc__ or "", re.MULTILINE) is not None


@pytest.mark.parametrize("pattern", LEFTOVERS)
def test_nothing_is_left_over(pattern: str) -> None:
    """Notes to oneself, prints, and clocks that a test can't set do not belong in the code."""
    found = [
        f"{name_of(path)}:{number} {line.strip()}"
        for path in CODE
        if not name_of(path).startswith(tuple(LEFTOVERS[pattern]))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line) and ">>>" not in line
    ]

    assert found == []


def test_no_host_names_and_machine_paths() -> None:
    """What is in the repository works on any machine, behind any mirror."""
    pattern = re.compile("|".join(FOREIGN))
    found = [
        f"{name_of(path)}: {match[0]}"
        for path in tracked()
        if (match := pattern.search(path.read_bytes().decode("utf-8", errors="replace")))
    ]

    assert found == []


def test_each_module_says_what_it_promises() -> None:
    """The first line of every module is a sentence."""
    silent = [name_of(path) for path, tree in trees() if not (ast.get_docstring(tree) or "").strip()]

    assert silent == []


def test_no_two_tests_share_topics() -> None:
    """A test's name is its topics and group on the session's Kafka: who comes second would find those of the first."""
    users: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for test in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            for call in ast.walk(test):
                match call:
                    case ast.Call(
                        func=ast.Name(id="settings_of" | "sets_of" | "run_real"),
                        args=[_, _, ast.Constant(value=str(name)), *_],
                    ):
                        users.setdefault(name, set()).add(f"{path.stem}.{test.name}")

    assert len(users) > 40
    assert not {name: found for name, found in users.items() if len(found) > 1}
