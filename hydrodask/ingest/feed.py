"""Feeds: what the publisher publishes, second by second of event time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.errors import ConfigError, meant
from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.recording import Recording
from hydrodask.ingest.simulator import FaultPlan, Fleet
from hydrodask.ingest.simulator.fleet import names_of
from hydrodask.records import LabelRecord
from hydrodask.settings import Settings
from hydrodask.settings.kinds import factor
from hydrodask.settings.load import CONF

RECORDING_START = "2026-01-01T00:00:00Z"
"""Event time of a recording's first sample unless `source.start` says otherwise."""

BACKLOG_US = 24 * 3600 * US_PER_S
"""How far back a faster simulation begins: it can't run ahead of the system clock."""

NOTHING: Mapping[str, int] = MappingProxyType({})
"""The newest event time of each rig, where there is none yet."""

ABSENT_SHOWN = 3
"""Rigs that faults name and nobody simulates, as far as they are named."""


class Feed(Protocol):
    """Samples and labels by second; the same second gives the same answer. Never waits."""

    @property
    def start_us(self) -> int:
        """Event time of second 0."""

    @property
    def seconds(self) -> int | None:
        """Length; None when there is no end."""

    def chunk(self, second: int) -> Sequence[Chunk]:
        """Return what belongs to `[start + second, start + second + 1)`; it may be sent later."""

    def labels(self, second: int) -> Sequence[LabelRecord]:
        """Return the labels to publish at the beginning of this second."""


@dataclass(frozen=True, slots=True)
class SimulatedFeed:
    """A fleet as an endless feed."""

    fleet: Fleet
    start_us: int
    seconds: int | None = None

    def chunk(self, second: int) -> Sequence[Chunk]:
        return self.fleet.chunk(second)

    def labels(self, second: int) -> Sequence[LabelRecord]:
        return self.fleet.labels(second)


def open_feed(settings: Settings, now_us: int, newest: Mapping[str, int] = NOTHING) -> Feed | None:
    """Return the feed that `source` names, None for `none`; raises ConfigError. See `open_simulator` for `newest`."""
    kind, _, folder = settings.source.kind.partition(":")
    parse_speed(settings.source.speed)  # before anything starts, not when the first record is due
    if kind == "none" and not folder:
        return None
    if kind == "recording" and folder:
        return open_recording(settings, Path(folder), now_us)
    if kind == "simulator" and not folder:
        return open_simulator(settings, now_us, newest)
    there = Path(folder or kind)
    hint = f"; did you mean recording:{there}?" if there.is_dir() and there.name else ""
    raise ConfigError(f"source.kind has value {settings.source.kind!r}; want simulator, recording:DIR or none{hint}")


def check_feed(settings: Settings, now_us: int) -> str:
    """Return in words what `source` names, once all of it is known to be right. Raises ConfigError."""
    feed = open_feed(settings, now_us)
    if not isinstance(feed, Recording):
        return settings.source.kind
    feed.check()
    return f"{settings.source.kind}, {feed.cycles} cycles"


def open_simulator(settings: Settings, now_us: int, newest: Mapping[str, int] = NOTHING) -> "SimulatedFeed":
    """Return the simulated fleet of `source`: from now on at real time, else from a day ago.

    It goes on after the `newest` event time of its rigs, or all of it would be late until it is there; at real time
    only from now on. Not where that is so far ahead of the clock that a record of it would be a dead letter.
    """
    source, live = settings.source, parse_speed(settings.source.speed) == 1.0
    ends = [newest[name] for name in names_of(source.rigs, settings.rig.default_id) if name in newest]
    default_us = now_us if live else now_us - BACKLOG_US
    default_us -= default_us % US_PER_S
    after_us = (max(ends, default=default_us) // US_PER_S + 1) * US_PER_S
    if ends and not source.start and after_us <= now_us + round(settings.window.future_max * US_PER_S):
        start_us = max(default_us, after_us) if live else after_us
    else:
        start_us = _start_us(source.start, default_us, now_us)
    plan = FaultPlan.load(find_conf("source.faults", source.faults)) if source.faults else None
    fleet = Fleet(
        rigs=source.rigs,
        seed=source.seed,
        start_us=start_us,
        faults=plan,
        default_rig=settings.rig.default_id,
    )
    if plan is not None:
        _check_rigs(source.faults, plan, fleet.names)
    return SimulatedFeed(fleet, start_us)


def _check_rigs(name: str | None, plan: FaultPlan, there: Sequence[str]) -> None:
    """Raise ConfigError when faults are of rigs that are not simulated: nothing would come of them."""
    if absent := sorted(plan.rigs.difference(there)):
        more = [f"{len(absent) - ABSENT_SHOWN} more"] if len(absent) > ABSENT_SHOWN else []
        rigs = f"is {there[0]}" if len(there) == 1 else f"are {there[0]} to {there[-1]}"
        raise ConfigError(
            f"source.faults has value {name!r}, which is of {', '.join([*absent[:ABSENT_SHOWN], *more])}; with "
            f"source.rigs {len(there)} there {rigs}"
        )


def open_recording(
    settings: Settings, folder: Path, now_us: int, *, repeat: int = 1, rig: str | None = None
) -> Recording:
    """Return the recording in `folder`, from `source.start` or the first of January 2026 on."""
    start_us = _start_us(settings.source.start, parse_iso(RECORDING_START), now_us)
    return Recording(folder, start_us=start_us, repeat=repeat, rig=rig)


def parse_speed(text: str) -> float | None:
    """Return a speed as a factor, None for `max`; raises ConfigError.

    >>> parse_speed("60"), parse_speed("max")
    (60.0, None)
    """
    try:
        return factor(text)
    except ValueError as error:
        raise ConfigError(f"speed has value {text!r}; {error}") from error


def find_conf(key: str, name: str) -> Path:
    """Return the file `name`, or the one of that name in conf/; ConfigError names `key`."""
    for path in (Path(name), CONF / name):
        if path.is_file():
            return path
    known = sorted(path.name for path in CONF.glob("faults-*.yaml"))
    raise ConfigError(
        f"{key} has value {name!r}: no such file{meant(name, known)}; in conf/ there are {', '.join(known)}"
    )


def _start_us(text: str | None, default_us: int, now_us: int) -> int:
    try:
        start_us = parse_iso(text) if text else default_us
    except ValueError as error:
        raise ConfigError(f"start has value {text!r}; want ISO 8601, for example {RECORDING_START}") from error
    if start_us > now_us:
        raise ConfigError(
            f"start is {iso(start_us)}, after the system's clock ({iso(now_us)}); begin earlier:"
            " records from the future would be dead letters"
        )
    return start_us
