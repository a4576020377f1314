"""The pytest plugin that runs a session's tests against one fault after the other, each in a forked child."""

import contextlib
import gc
import json
import os
import random
import signal
import sys
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from hydrodask.worker.warm import warm_up
from tests.mutation.faults import Fault, code_with, faults_of

TraceFunction = Callable[[FrameType, str, Any], Any]

ROOMS = ("protocol", "driver", "worker", "nodes", "store", "detect")
"""The packages whose modules are tried."""

EXPLAINED = Path(__file__).with_name("explained.txt")
_AWAY = {"kafka", "kafka_service", "hdfs", "mongodb", "free_port", "trained", "tls_kafka", "chromium"}
_MARKS = {"cluster", "integration", "chaos", "kubernetes"}
_FILE_S = 120.0
"""As long as this, of the processor's time, the tests of one file are looked at."""
_TEST_S = 6.0
"""So much of it each test may take, or `_SLOW` times what it took: some faults make a loop endless."""
_SLOW = 6
_WAIT = 60
"""Times as long it may wait: what a machine that is busy with other things makes slow is not noticed by that."""


class Mutation:
    """Run what pytest has collected once, to see which test calls what, and then once a fault."""

    def __init__(
        self,
        top: Path,
        modules: list[str],
        *,
        share: float,
        seed: int,
        budget_s: float,
        out: Path,
        again: bool = False,
        marked: Iterable[str] = (),
    ) -> None:
        self._marks = _MARKS - set(marked)
        self.top, self.modules, self.share, self.seed = top, modules, share, seed
        self.budget_s, self.out, self.again = budget_s, out, again
        self.took: dict[str, float] = {}
        """Test → seconds."""
        self.calls: dict[tuple[str, str], set[str]] = defaultdict(set)
        """Path and function → the tests that call it."""
        self.reach: dict[tuple[str, int], set[str]] = defaultdict(set)
        """Path and line → the tests that come there."""
        self._functions: tuple[str, dict[str, list[FunctionType]]] = ("", {})
        self.noticed: Counter[tuple[str, str]] = Counter()  # by path and test
        self.stale: list[tuple[object, ...]] = []
        """What `explained.txt` explains and is not there any more."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what needs services, processes, or minutes; those with a mark that is let in may have a port."""
        items[:] = [item for item in items if self._quick(item)]

    def _quick(self, item: pytest.Item) -> bool:
        marks = _MARKS & {mark.name for mark in item.iter_markers()}
        away = _AWAY - {"free_port"} if marks else _AWAY
        return not marks & self._marks and not away & set(getattr(item, "fixturenames", ()))

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Look first, then put in one fault after the other."""
        warm_up()  # once, and not in each child
        self._map(session.items)
        tests = {item.nodeid: item for item in session.items}
        faults = [fault for name in self.modules for fault in faults_of(self.top / name, name)]
        here = {key(asdict(fault)) for fault in faults}
        self.stale = [one for one in explained() if one[0] in self.modules and one not in here]
        random.Random(self.seed).shuffle(faults)  # noqa: S311 - no secret
        faults = sorted(faults[: max(1, int(len(faults) * self.share))], key=lambda one: self.modules.index(one.path))
        known = lines(self.out)
        self.noticed.update((str(one["path"]), str(one["said"]).removeprefix("killed by ")) for one in known)
        done = {
            key(one)
            for one in known
            if str(one["said"]).startswith("killed")
            or (float(str(one["budget_s"])) >= self.budget_s and not self.again)
        } | explained().keys()
        for number, fault in enumerate(faults, 1):
            if key(asdict(fault)) not in done:
                self._try(fault, tests)
            _show(number, len(faults), fault.path)
        return True

    def _map(self, items: list[pytest.Item]) -> None:
        """Learn which tests come to which lines; what an interrupted run has learned is kept beside the results."""
        kept = self.out.with_suffix(".calls")
        by_file: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in items:
            by_file[item.nodeid.split("::")[0]].append(item)
        known = {(str(one["file"]), one["sum"]): one["said"] for one in lines(kept)}
        for number, (name, tests) in enumerate(by_file.items(), 1):
            file = name, zlib.crc32((self.top / name).read_bytes())
            if file not in known:
                known[file], _ = _in_child(partial(self._look, tests), _FILE_S * _WAIT)
                with kept.open("a") as out:
                    out.write(json.dumps({"file": name, "sum": file[1], "said": known[file]}) + "\n")
            for line in str(known[file]).splitlines():
                test, self.took[test], called, came = json.loads(line)
                for path, function in called:
                    self.calls[path, function].add(test)
                for path, there in came.items():
                    for one in there:
                        self.reach[path, one].add(test)
            _show(number, len(by_file), name)

    def _look(self, items: list[pytest.Item]) -> Iterable[str]:
        """Run `items` and yield for each what it took, and which functions and lines of `ROOMS` it came to."""
        rooms, left_s = tuple(f"{self.top}/hydrodask/{room}/" for room in ROOMS), _FILE_S
        for item in items:
            called: set[tuple[str, str]] = set()
            came: dict[str, set[int]] = defaultdict(set)

            see = _watcher(rooms, called, came)
            threading.settrace(see)
            sys.settrace(see)
            start = _awake_s()
            passed = not _notices(item, left_s)
            took = _awake_s() - start
            left_s = max(_TEST_S, left_s - took)
            sys.settrace(None)
            threading.settrace(None)
            if passed and called:
                names = {(os.path.relpath(path, self.top), name.split(".<locals>")[0]) for path, name in called}
                places = {os.path.relpath(path, self.top): sorted(one) for path, one in came.items()}
                yield json.dumps([item.nodeid, round(took, 3), sorted(names), places])

    def _try(self, fault: Fault, tests: dict[str, pytest.Item]) -> None:
        """Run the quickest tests that come to the line of `fault`, and write down what came of it."""
        calls = self.calls[fault.path, fault.owner]
        chosen: list[tuple[pytest.Item, float]] = []
        budget = self.budget_s
        for test in sorted(calls & self.reach[fault.path, fault.line] & tests.keys(), key=lambda one: self.took[one]):
            if (budget := budget - self.took[test]) < 0 and chosen:
                break
            chosen.append((tests[test], self.took[test]))
        chosen.sort(key=lambda one: -self.noticed[fault.path, one[0].nodeid])
        start = time.monotonic()
        functions = self._named(self.top / fault.path).get(fault.owner, [])
        said, endless = (
            _in_child(lambda: _suffer(fault, self.top / fault.path, functions, chosen), self.budget_s * _WAIT)
            if chosen
            else ("no test comes there" if calls else "no test calls it", False)
        )
        said = "killed by an endless loop" if endless else said.strip() or "no end"
        self.noticed[fault.path, said.removeprefix("killed by ")] += 1
        one = {
            **asdict(fault),
            "tests": len(chosen),
            "budget_s": self.budget_s,
            "said": said,
        }
        with self.out.open("a") as out:
            out.write(json.dumps(one | {"s": round(time.monotonic() - start, 1)}, ensure_ascii=False) + "\n")

    def _named(self, path: Path) -> dict[str, list[FunctionType]]:
        """Return the functions of a module by name: those that are there before a test has begun."""
        if self._functions[0] != str(path):
            gc.unfreeze()
            by_name = defaultdict(list)
            for one in gc.get_objects():
                if isinstance(one, FunctionType) and one.__code__.co_filename == str(path):
                    by_name[one.__code__.co_qualname].append(one)
            self._functions = str(path), by_name
            gc.freeze()  # or a collection in a child copies all that there is
        return self._functions[1]


def _watcher(rooms: tuple[str, ...], called: set[tuple[str, str]], came: dict[str, set[int]]) -> TraceFunction:
    """Return what `sys.settrace` wants, which keeps functions and lines of the files in `rooms`."""

    def see(frame: FrameType, event: str, _: object) -> TraceFunction | None:
        if not frame.f_code.co_filename.startswith(rooms):
            return None
        if event == "call":
            called.add((frame.f_code.co_filename, frame.f_code.co_qualname))
        came[frame.f_code.co_filename].add(frame.f_lineno)
        return see

    return see


def lines(path: Path) -> list[dict[str, object]]:
    """Return the JSON lines of a file that need not be there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def key(one: dict[str, object]) -> tuple[object, ...]:
    """Return what a fault is known by, also once other lines of its module have changed."""
    return one["path"], one["owner"], one["what"], one["nth"]


def explained() -> dict[tuple[object, ...], str]:
    """Return why faults that nobody notices do no harm: blocks of `explained.txt`, a reason and the faults below it."""
    found: dict[tuple[object, ...], str] = {}
    why = ""
    for line in EXPLAINED.read_text().splitlines():
        if line.startswith("#"):
            why = line[1:].strip()
        elif line:
            place, what = line.split(": ", 1)
            path, owner = place.split()
            what, _, nth = what.partition(" #")
            found[f"hydrodask/{path}", owner, what, int(nth or 1)] = why
    return found


def _notices(item: pytest.Item, limit_s: float) -> bool:
    """Run one test whole, with its own fixtures, and say whether it is red. An endless loop ends the process."""
    item.add_marker(pytest.mark.timeout(limit_s * _WAIT), append=False)
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    return not all(report.passed for report in runtestprotocol(item, log=False, nextitem=None))


def _awake_s() -> float:
    """Return the time, without what other processes had of the processor while this thread could have run."""
    schedule = Path("/proc/thread-self/schedstat")
    waited_ns = int(schedule.read_text().split()[1]) if schedule.exists() else 0
    return time.monotonic() - waited_ns / 1e9


def _suffer(
    fault: Fault, path: Path, functions: list[FunctionType], items: list[tuple[pytest.Item, float]]
) -> Iterable[str]:
    """Put `fault` into the running code and yield which test noticed."""
    code = code_with(fault, path)
    functions = [one for one in functions if one.__code__.co_freevars == code.co_freevars]
    for function in functions:
        function.__code__ = code
    if not functions:
        yield "not found"
        return
    for item, took in items:
        if _notices(item, max(_TEST_S, _SLOW * took)):
            yield f"killed by {item.nodeid}"
            return
    yield "survived"


def _show(number: int, of: int, what: str) -> None:
    sys.stderr.write(f"\r{number}/{of} {what:60}")


def _in_child(work: Callable[[], Iterable[str]], limit_s: float) -> tuple[str, bool]:
    """Run `work` in a forked child of a group of its own; return the lines it yielded within `limit_s`.

    And whether the clock of `_notices` ended it, because it took too much of the processor's time.
    """
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        os.setpgrp()
        os.close(read)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        try:
            for line in work():
                os.write(write, line.encode() + b"\n")
        finally:
            os._exit(0)
    os.close(write)
    timer = threading.Timer(limit_s, lambda: os.killpg(pid, signal.SIGKILL))
    timer.start()
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode()
    timer.cancel()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    endless = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
    return said, endless
