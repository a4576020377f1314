"""The code keeps its own rules: sizes, owners of libraries, direction of imports, no leftovers."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
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
    "dask": ["hydrodask/doors/", "hydrodask/stream/cluster.py", "hydrodask/learn/"],
    "dask_ml": ["hydrodask/learn/school.py"],
    "distributed": ["hydrodask/doors/", "hydrodask/stream/cluster.py", "hydrodask/learn/cluster.py"],
    "duckdb": ["benchmarks/reference.py"],
    "fsspec": ["hydrodask/store/filesystems.py"],
    "joblib": ["hydrodask/learn/school.py"],
    "matplotlib": ["hydrodask/learn/pictures.py", "benchmarks/"],
    "mlflow": ["hydrodask/learn/registry.py", "hydrodask/learn/recorder.py"],
    "msgspec": [
        "hydrodask/records.py",
        "hydrodask/audit/",
        "hydrodask/decode/",
        "hydrodask/ingest/",
        "hydrodask/stream/",
        "benchmarks/",
    ],
    "kubernetes": ["hydrodask/doors/daskclusters.py"],
    "llvmlite": ["hydrodask/ingest/gather.py"],
    "numba": ["hydrodask/kernels.py", "hydrodask/ingest/gather.py"],  # which has its lowest layer
    "numpy": ["hydrodask/", "benchmarks/"],  # columns are everywhere
    "onnx": ["hydrodask/learn/export.py"],
    "onnxruntime": ["hydrodask/learn/scoring.py"],
    "prometheus_client": ["hydrodask/observe/metrics.py"],
    "psutil": ["benchmarks/"],
    "pyarrow": ["hydrodask/audit/", "hydrodask/store/", "hydrodask/stream/nodes.py", "benchmarks/"],
    "pydantic": ["hydrodask/settings/", "hydrodask/ingest/simulator/faults.py"],
    "pydantic_settings": ["hydrodask/settings/load.py"],
    "pyspark": ["benchmarks/peers/spark/job.py"],  # in an environment of its own
    "pymongo": [
        "hydrodask/store/documents/mongo.py",
        "hydrodask/services/members.py",  # which makes the users
    ],
    "quixstreams": ["benchmarks/peers/quix/"],  # in an environment of its own
    "rich": ["hydrodask/cli/", "hydrodask/observe/"],
    "skl2onnx": ["hydrodask/learn/export.py"],
    "sklearn": ["hydrodask/learn/models.py", "hydrodask/learn/validation.py", "benchmarks/"],
    "streamz": ["flows/", "hydrodask/stream/", "benchmarks/peers/hydrodask/"],  # the graphs
    "tornado": ["hydrodask/doors/guard.py"],
    "typer": ["hydrodask/cli/"],
    "urllib3": ["hydrodask/doors/daskclusters.py"],  # the errors of kubernetes' client
    "xgboost": ["hydrodask/learn/boosted.py"],
    "yaml": ["hydrodask/settings/load.py", "hydrodask/cli/cluster/preflight.py"],  # which reads what helm renders
}
"""Each outside library, and the only places that import it."""

BASE = {
    "records",
    "reports",
    "errors",
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
    "doors",
    "redaction",
    "release",
}
STAGES = {"ingest", "decode", "window", "detect", "store"}
ALLOWED = {
    **dict.fromkeys(BASE, BASE),
    **dict.fromkeys(STAGES, BASE),
    "stream": BASE | STAGES | {"learn"},
    "services": BASE,
    "audit": BASE | STAGES | {"stream", "learn"},
    "learn": BASE | {"ingest", "window", "store"},
    "observe": BASE,
    "doctor": BASE | {"detect", "ingest", "store", "services"},
    "flows": BASE | STAGES | {"stream", "learn"},
    "cli": BASE | STAGES | {"stream", "services", "learn", "observe", "doctor", "flows", "audit"},
    "__main__": {"cli"},
    "benchmarks": BASE | STAGES | {"stream", "services", "learn", "observe", "flows", "cli"},
}
"""What each part may import besides itself: cli → flows, audit → stream → stages → base."""

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
    """Return the part of the architecture that a file belongs to."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "hydrodask" else parts[0]


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
    """Cli → flows → stream → stages → base; the stages do not import each other."""
    wrong = []
    for path, tree in trees():
        for full in imported(tree):
            top, _, rest = full.partition(".")
            target = rest.partition(".")[0] if top == "hydrodask" else top
            if top not in ("hydrodask", "flows", "benchmarks") or target in ("", part_of(path)):
                continue
            if target not in ALLOWED.get(part_of(path), set()):
                wrong.append(f"{name_of(path)} imports {full}")

    assert wrong == []


def test_every_package_is_on_the_map() -> None:
    """`hydrodask/__init__.py` has a line for each package, which begins with its name."""
    folder = ROOT / "hydrodask"
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}

    assert [name for name in sorted(packages) if not on_the_map(hydrodask, name)] == []


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
