"""Check a Dask cluster of others: scheduler, workers, and whether they are where the driver is.

A worker that has other code, another lake or no password begins all the same, and harms what it can reach: a run asks
before it makes anything.
"""

import asyncio
import contextlib
import secrets
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydrodask.detect import load_rules
from hydrodask.doctor import reach, there
from hydrodask.doctor.outcome import Outcome, failed, passed, warned
from hydrodask.doors import remote
from hydrodask.errors import HydrodaskError, UnreachableError, kind_and_sentence
from hydrodask.release import release
from hydrodask.settings import Settings, Url
from hydrodask.store.files import Files

ANSWER_S = 60.0
"""How long workers may take for an answer to `doctor`: they import for their first one. A run has more patience, for in
a container with a fifth of a processor that takes minutes."""

NAMED_MAX = 3
"""Workers that a finding names; it counts the rest."""

_ALIKE = ("dask", "distributed")
_PRELOADS = {"worker": "hydrodask.worker.preload", "scheduler": "hydrodask.observe.preload"}


@dataclass(slots=True)
class ClusterInfo:
    """What is known of a cluster; by the address of a worker, or None for the scheduler."""

    identity: Mapping[str, Any] = field(default_factory=dict)
    packages: dict[str | None, Mapping[str, Any]] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    """What `there.state` has returned, or why there is no answer."""
    strange: list[str] = field(default_factory=list)
    """What of the driver's a worker does not see."""
    reached: dict[str, Any] = field(default_factory=dict)
    scheduler: list[str] | None = None
    """What was loaded before the scheduler began, if it was asked and has answered."""

    @property
    def workers(self) -> Mapping[str, Mapping[str, Any]]:
        """What the scheduler says of each worker."""
        return dict(self.identity.get("workers", {}))


def workers(settings: Settings, *, at_run: bool = False) -> Iterator[Outcome]:
    """Give a finding for each thing that a run needs of a cluster of others; to a run only what ends or harms it.

    Leaves nothing behind. Blocks up to ANSWER_S for each of a few questions that nobody answers.
    """
    if settings.cluster.address is None:
        return
    try:
        seen = asyncio.run(_look(settings, at_run=at_run))
    except HydrodaskError as error:
        yield failed("workers", str(error), "see their logs", error.exit_code)
        return
    yield _alike(seen)
    if not seen.states:
        return
    yield from _memory(seen)
    yield _preloads(seen)
    if _PRELOADS["scheduler"] not in (seen.scheduler or ()):
        advice = f"start it with --preload {_PRELOADS['scheduler']}"
        yield warned("page", "the scheduler has no /hydro, and its web pages are not guarded", advice)
    yield _shared(seen)
    yield from _reached(seen)


async def _look(settings: Settings, *, at_run: bool) -> ClusterInfo:
    """Ask scheduler and workers. Raises UnreachableError and ConfigError."""
    async with remote.visiting(settings.cluster) as client:
        asking = Asking(client, settings.step.patience if at_run else ANSWER_S)
        with _answering(settings):
            seen = ClusterInfo(await asking.wait(client.scheduler.identity(n_workers=-1)))
            versions = await asking.wait(client.get_versions())
            seen.packages = {None: versions["scheduler"]["packages"]}
            seen.packages |= {worker: one["packages"] for worker, one in versions["workers"].items()}
            if not seen.workers or _strangers(seen):
                return seen
            seen.states = await asking.all(there.state)
            if _strangers(seen):
                return seen
            there_are = sorted(worker for worker, state in seen.states.items() if isinstance(state, dict))
            if not there_are:
                raise UnreachableError(f"none of the {len(seen.workers)} workers of {settings.cluster.address} answers")
            seen.strange = await _unseen(asking, settings, there_are[0])
            if not at_run:
                seen.reached = await asking.all(there.reaches, settings)
            with contextlib.suppress(ImportError, AttributeError):  # it needs no hydrodask, but for its page
                seen.scheduler = await asking.wait(client.run_on_scheduler(there.scheduler))
        return seen


@contextlib.contextmanager
def _answering(settings: Settings) -> Iterator[None]:
    try:
        yield
    except (OSError, TimeoutError) as error:
        raise UnreachableError(f"the Dask cluster at {settings.cluster.address} does not answer") from error


@dataclass(frozen=True, slots=True)
class Asking:
    """A client, and how long each answer may take. What is asked are functions of `there`."""

    client: Any
    limit_s: float

    async def wait(self, answer: Awaitable[Any]) -> Any:
        """Return an answer. Raises TimeoutError."""
        return await asyncio.wait_for(answer, self.limit_s)

    async def all(self, function: Callable[..., Any], *given: Any) -> Any:
        """Return what a function returns on each worker, or the error that kept it from that."""
        return await self.wait(self.client.run(function, *given, on_error="return"))

    async def one(self, worker: str, function: Callable[..., Any], *given: Any) -> Any:
        """Return what one worker returns. Raises the error that it has met: a secret may be in no variable there."""
        answers = await self.wait(self.client.run(function, *given, workers=[worker], on_error="return"))
        found = answers.get(worker, OSError("it is gone"))
        if isinstance(found, HydrodaskError):
            raise type(found)(f"worker {worker}: {found}")
        if isinstance(found, Exception):
            raise UnreachableError(f"worker {worker} did not answer: {kind_and_sentence(found)}") from found
        return found


async def _unseen(asking: Asking, settings: Settings, worker: str) -> list[str]:
    """Write here and let a worker read there, and the other way round; return what it does not see, a sentence each."""
    folders = {"lake": settings.lake_url, "snapshots": settings.snapshots_url}
    name, token, nonce = f".doctor-{uuid.uuid4().hex}", secrets.token_hex(16), secrets.token_bytes(32)
    files = _files(settings)
    rules = settings.detect.rules, load_rules(settings.detect.rules)
    with reach.without_traces(settings), _marks(folders, name, token) as answered:
        found = await asking.one(worker, there.shared, folders, name, token, rules)
        wrong = list(found) or [f"the {key} at {folders[key]} is another one there" for key in answered()]
    theirs = await asking.one(worker, there.digests, files, nonce)
    for key, path in files.items():
        if theirs[key] != there.digest(path, nonce):
            why = theirs[key] if " " in theirs[key] else "is another file there"
            wrong.append(f"{key} has value {str(path)!r}, which {why}")
    return [f"worker {worker}: {one}" for one in wrong]


@contextlib.contextmanager
def _marks(folders: Mapping[str, Url], name: str, token: str) -> Iterator[Callable[[], Iterable[str]]]:
    """Put a file into each folder, and remove it with its answer; gives what returns the folders without an answer."""
    opened = {key: Files(url) for key, url in folders.items()}

    def unanswered() -> Iterator[str]:
        for key, files in opened.items():
            try:
                files.read(name + there.ANSWER)
            except FileNotFoundError:
                yield key

    try:
        for files in opened.values():
            files.put_if_absent(name, token.encode())
        yield unanswered
    finally:
        for files in opened.values():
            files.remove(name)
            files.remove(name + there.ANSWER)


def _files(settings: Settings) -> dict[str, Path]:
    """Return the files that workers need as the driver has them, by setting."""
    known = {
        "kafka.password_file": settings.kafka.password_file,
        "kafka.ca_file": settings.kafka.ca_file,
        "documents.password_file": settings.documents.password_file,
        "learn.password_file": settings.learn.password_file,
        "learn.ca_file": settings.learn.ca_file,
        "lake.key_file": settings.lake.key_file,
    }
    return {key: path for key, path in known.items() if path is not None}


def _strangers(seen: ClusterInfo) -> list[str]:
    """Return who has another Python, Dask or hydrodask, and which."""
    said = []
    for who, packages in seen.packages.items():
        mine = {"Python": "{}.{}".format(*sys.version_info[:2])} | {name: remote.version(name) for name in _ALIKE}
        theirs = {"Python": ".".join(str(packages.get("python")).split(".")[:2])}
        theirs |= {name: str(packages.get(name)) for name in _ALIKE}
        other = [f"{name} {theirs[name]} instead of {mine[name]}" for name in mine if theirs[name] != mine[name]]
        if other:
            said.append(f"{f'worker {who}' if who else 'the scheduler'} has {', '.join(other)}")
    for worker, state in seen.states.items():
        if isinstance(state, ImportError | AttributeError):
            said.append(f"worker {worker} has no hydrodask, or another release ({_said(state)})")
        elif isinstance(state, dict) and state["release"] != release():
            said.append(f"worker {worker} has another release of hydrodask ({state['release']}, not {release()})")
    return said


def _alike(seen: ClusterInfo) -> Outcome:
    strangers = _strangers(seen)
    if strangers:
        advice = "install there what is installed here, start it again, then this run"
        return failed("workers", _some(strangers), advice, 3)
    return passed("workers", "all have this hydrodask, Dask and Python")


def _memory(seen: ClusterInfo) -> Iterator[Outcome]:
    """Say how much memory there is, and who is paused, or will be."""
    limits = sorted({int(one["memory_limit"] or 0) for one in seen.workers.values()})
    text = f"limits are {' and '.join(f'{limit / 2**20:,.0f} MiB' if limit else 'none' for limit in limits)}"
    threads = {int(one["nthreads"]) for one in seen.workers.values()}
    if threads != {1}:
        yield warned(
            "threads", f"workers have {sorted(threads)} threads", "a worker does one step at a time: --nthreads 1"
        )
    paused = [worker for worker, one in seen.workers.items() if one["status"] == "paused"]
    if paused:
        advice = f"they start no step: give them more, or start them with --preload {_PRELOADS['worker']}"
        yield warned("memory", f"paused: {_some(paused)}; {text}", advice)
        return
    pauses = {one["pause"] for one in seen.states.values() if isinstance(one, dict)} - {False}
    if pauses:
        advice = (
            f"a paused one starts no step: --preload {_PRELOADS['worker']}, or distributed.worker.memory.pause: false"
        )
        yield warned("memory", f"{text}; workers pause at {max(pauses):.0%} of it", advice)
        return
    yield passed("memory", f"{text}; none is paused, or will be")


def _preloads(seen: ClusterInfo) -> Outcome:
    wanted = _PRELOADS["worker"]
    known = {worker: one["preloads"] for worker, one in seen.states.items() if isinstance(one, dict)}
    without = [worker for worker, preloads in known.items() if wanted not in preloads]
    if without:
        advice = f"start them with --preload {wanted}, which compiles what a step needs meanwhile"
        return warned("preloads", f"not loaded: {_some(without)}", advice)
    return passed("preloads", f"workers have {wanted}")


def _shared(seen: ClusterInfo) -> Outcome:
    if seen.strange:
        advice = (
            "workers need the driver's own, under the same names: a lake on HDFS or a shared volume, and mounted files"
        )
        return failed("shared", _some(seen.strange), advice, 3)
    return passed("shared", "lake, snapshots, rules and password files are the driver's")


def _reached(seen: ClusterInfo) -> Iterator[Outcome]:
    """Say what workers reach: one finding for each server, the first that is wrong with who has said so."""
    for worker, found in seen.reached.items():
        if isinstance(found, Exception):
            yield failed("reach", f"worker {worker}: {_said(found)}", "see its log", 4)
            return
    for row in zip(*seen.reached.values(), strict=True):
        named = dict(zip(seen.reached, row, strict=True))
        bad = {worker: one for worker, one in named.items() if one.state != "pass"}
        worker, one = next(iter(bad.items()), next(iter(named.items())))
        many = f"{len(bad)} of {len(named)} workers, such as {worker}" if bad else f"each of {len(named)} workers"
        yield replace(one, check=f"{one.check} from workers", text=f"{one.text}, from {many}")


def _some(said: list[str]) -> str:
    more = f"; and {len(said) - NAMED_MAX} more" if len(said) > NAMED_MAX else ""
    return "; ".join(said[:NAMED_MAX]) + more


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, HydrodaskError) else kind_and_sentence(error)
