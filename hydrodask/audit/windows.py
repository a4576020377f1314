"""Begin windows of another geometry, whole from the first one on: from the raw rows that the lake has.

Only where a platform was stopped cleanly: then state, commit and files are at one place, and there they change.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hydrodask.audit.chain import arrange
from hydrodask.audit.finding import Result
from hydrodask.audit.links import Link, inspect
from hydrodask.audit.log import BrokerLog
from hydrodask.audit.replay import Operators, history_in, raw_samples, with_lateness
from hydrodask.errors import ConfigError
from hydrodask.protocol import geometries, snapshot
from hydrodask.protocol.geometries import GeometryChange
from hydrodask.records import PartitionId
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.keyring import Keyring
from hydrodask.store.lake import Lake
from hydrodask.store.listing import named
from hydrodask.window.geometry import Geometry


@dataclass(slots=True)
class Found:
    """A partition whose windows are to change: its newest state, and their changes so far."""

    source: PartitionId
    offset: int
    state: dict[str, object]
    geometries: list[GeometryChange]


def reset(settings: Settings, *, say: Callable[[str], None] = lambda _said: None) -> list[PartitionId]:
    """Give every sensor's partition the configured windows from its next record on; return those that had others.

    Nothing changes unless all can be. May be repeated after it was killed. Raises ConfigError unless the platform was
    stopped cleanly, and RetryableError when broker or lake do not answer.
    """
    files = Files(settings.snapshots_url)
    wanted = Geometry.of(settings.window)
    sources = geometries.sources_of(settings, files)
    committed = _committed(settings, sources)
    lake = Lake.of(settings)
    there = [one for source in sources if (one := _found(files, source, wanted, lake.keyring)) is not None]
    open_still = [one for one in there if not _clean(settings, lake, one, committed)]
    if open_still:
        source = open_still[0].source
        raise ConfigError(
            f"{len(open_still)} partitions, {source[0]}-{source[1]} first, were not stopped cleanly or are in use; "
            "start the platform with the windows that it had, stop it (Ctrl-C, or --until-idle), and run this again"
        )
    for one in there:
        say(f"{one.source[0]}-{one.source[1]}")
        _change(settings, lake, files, one, wanted)
    return [one.source for one in there]


def _committed(settings: Settings, sources: list[PartitionId]) -> dict[PartitionId, int] | None:
    """Return what the group has committed; None with an embedded broker, which has forgotten it."""
    if settings.kafka.embedded:
        return None
    log = BrokerLog(settings.kafka)
    try:
        return log.committed(sources)
    finally:
        log.close()


def _found(files: Files, source: PartitionId, wanted: Geometry, keyring: Keyring | None) -> Found | None:
    """Return a partition whose windows are to change; None when they are those already."""
    there = geometries.found(files, source)
    if not there or there[-1].geometry == wanted:
        return None
    offset, state, _ = snapshot.newest(files, source, at_most=None, keyring=keyring)
    return Found(source, offset, state, there) if state else None


def _clean(settings: Settings, lake: Lake, one: Found, committed: dict[PartitionId, int] | None) -> bool:
    """Say whether state, commit and files of a partition are at one place."""
    if committed is not None and committed.get(one.source, one.offset) != one.offset:
        return False
    outputs: dict[str, dict[str, object]] = one.state["files"]  # type: ignore[assignment]
    ends = {name: lake.end(f"{name}/sensor={sensor_of(settings, one.source)}", one.source) for name in outputs}
    if any(end > one.offset for name, end in ends.items() if name != "raw"):
        return False  # who died after these files has not come back to their end: they hold rows of the old windows
    # Rows that waited when the snapshot was taken may have got their file since.
    open_still = [name for name, o in outputs.items() if o["waiting"] or o["position"] != one.offset]
    return all(ends[name] >= one.offset for name in open_still)


def _change(settings: Settings, lake: Lake, files: Files, one: Found, wanted: Geometry) -> None:
    """Put the new windows' state in place of the old one, then say so: a change counts once it is there."""
    sensor = sensor_of(settings, one.source)
    operators = Operators(
        one.source, sensor, [*one.geometries, GeometryChange(one.offset, wanted)], history_in(settings, one.state)
    )
    for samples in raw_samples(lake, list(_raw(lake, one.source, sensor)), sensor):
        for _ in operators.consume(samples):
            pass
    operators.reach(one.offset)
    nodes: dict[str, dict[str, object]] = one.state["nodes"]  # type: ignore[assignment]
    counts = {name: nodes["windows"][name] for name in ("next_offset", "kept", "late")}
    cycles = with_lateness(nodes["cycles"], wanted.lateness_us)
    state = one.state | {"nodes": nodes | {"windows": operators.states()["windows"] | counts, "cycles": cycles}}
    if not geometries.load(files, one.source)[0]:
        geometries.put(files, one.source, one.geometries[0])
    snapshot.save(files, one.source, one.offset, state, keyring=lake.keyring)
    geometries.put(files, one.source, GeometryChange(one.offset, wanted))
    for path in files.names(snapshot.folder_of(one.source)):
        if path.endswith(".snapshot") and not path.endswith(f"/{one.offset:012d}.snapshot"):
            files.remove(path)  # it has windows that nobody goes on with


def sensor_of(settings: Settings, source: PartitionId) -> str:
    """Return the sensor of a topic."""
    return source[0].removeprefix(settings.topics.prefix)


def _raw(lake: Lake, source: PartitionId, sensor: str) -> Iterator[Link]:
    """Yield the raw files that follow each other up to the newest one: older ones may have been deleted."""
    doubts = Result("raw", "")
    files = [file for path in lake.files.names(f"raw/sensor={sensor}") if (file := named(path)) is not None]
    listed = arrange([file for file in files if file.source == source], doubts).get(source, {}).get("raw", [])
    links: list[Link] = []
    for file in listed:
        link = inspect(lake, file, sensor, doubts)
        if not link.usable or (links and links[-1].end != link.first):
            links = []
        if link.usable:
            links.append(link)
    yield from links
