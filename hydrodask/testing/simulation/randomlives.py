"""Random lives of one flow: what it delivers in each has to be what it delivers in a life without faults."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hydrodask.flow import Flow
from hydrodask.protocol.declared import Declared
from hydrodask.store.lake import Lake
from hydrodask.testing.simulation.course import Course, Sent, draw
from hydrodask.testing.simulation.fakes import inside, settings_of
from hydrodask.testing.simulation.simulated import SimulatedLife
from hydrodask.testing.simulation.world import START_S

SECONDS = 28
"""Time that the broker's timestamps cover."""

SHRINK_MAX = 50
SHOWN = 2
DOCUMENTS_MAX = 1_000_000

Records = Mapping[str, Sequence[bytes | None]]
Delivered = dict[str, list[str]]
"""What there is in the end, by place: `topic NAME`, `collection NAME`, `folder NAME`."""


@dataclass(frozen=True, slots=True)
class Lives:
    """A flow, and the records that it gets in each life, by short names of topics."""

    flow: Flow
    records: Records
    but: Collection[str] = ()

    def delivered(self, course: Course) -> Delivered:
        """Return what comes of a life. Raises AssertionError when it does not come to rest."""
        flow, settings = self.flow, settings_of(dict(course.sets))
        reads = {settings.topic(name): flow.name for name in flow.topics}
        platform = SimulatedLife(
            course,
            settings,
            builds={flow.name: Declared(flow)},
            reads=reads,
            create=dict.fromkeys([*reads, *map(settings.topic, flow.publishes)], 1),
            waiting=self._sent(settings.topic),
        )
        platform.run()
        found: Delivered = {}
        for name in flow.publishes:
            entries = platform.broker.logs[settings.topic(name), 0].committed()
            found[f"topic {name}"] = [f"{entry.key!r}: {entry.value!r}" for _, entry in entries]
        for name in flow.collections:
            found[f"collection {name}"] = list(map(repr, platform.documents.find(name, {}, limit=DOCUMENTS_MAX)))
        with inside(platform.world):
            lake = Lake.of(settings, connect=platform.surroundings.files)
            for name in (name for name in flow.folders if lake.files.names(name)):
                found[f"folder {name}"] = list(map(repr, lake.table(name).to_pylist()))
        return {place: sorted(what) for place, what in found.items() if place.partition(" ")[2] not in self.but}

    def differs(self, course: Course, wanted: Delivered) -> str:
        """Return what is wrong with a life, nothing when all is well."""
        try:
            found = self.delivered(course)
        except AssertionError as error:
            return str(error)
        for place in wanted.keys() | found.keys():
            ours, theirs = Counter(found.get(place, [])), Counter(wanted.get(place, []))
            if ours != theirs:
                missing, extra = list((theirs - ours).elements()), list((ours - theirs).elements())
                return (
                    f"{place} is another: {len(missing)} are missing, such as {missing[:SHOWN]}, "
                    f"{len(extra)} are extra, such as {extra[:SHOWN]}"
                )
        return ""

    def shrink(self, course: Course, wanted: Delivered) -> Course:
        """Return the course with as few faults and events as still make a difference."""
        number = tries = 0
        while number < len(course) and tries < SHRINK_MAX:
            tries, fewer = tries + 1, course.without(number)
            if self.differs(fewer, wanted):
                course = fewer
            else:
                number += 1
        return course

    def _sent(self, topic: Callable[[str], str]) -> list[Sent]:
        """Return all records in the order in which they are sent, with the broker's times."""
        sent = []
        for name, values in self.records.items():
            for number, value in enumerate(values):
                when = number / max(1, len(values))
                sent.append(Sent(when, topic(name), 0, value, round((START_S + SECONDS * when) * 1000)))
        return sorted(sent, key=lambda one: one.when)


def check_lives(flow: Flow, records: Records, *, count: int, seed: int, but: Collection[str]) -> None:
    """Raise AssertionError with the first life that delivers anything else, and with the least that does."""
    with quiet():
        _check(Lives(flow, records, but), range(seed, seed + count))


@contextmanager
def quiet() -> Iterator[None]:
    """Let nothing be logged: all that goes wrong is wanted, and a failure says what it was."""
    log = logging.getLogger("hydrodask")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def _check(lives: Lives, seeds: Iterable[int]) -> None:
    wanted = lives.delivered(Course(0))
    if not any(wanted.values()):
        raise AssertionError(f"flow {lives.flow.name} delivers nothing of these records: a simulation shows nothing")
    for number in seeds:
        course = draw(number)
        if wrong := lives.differs(course, wanted):
            least = lives.shrink(course, wanted)
            raise AssertionError(
                f"in the life of seed {number} {wrong}\n\n{course}\n\nthe least that makes a difference:\n{least}\n\n"
                f"again: simulate(…, seed={number}, lives=1)"
            )
