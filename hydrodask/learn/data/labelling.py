"""What people told of components → labels of cycles, above those of the stream: one component at a time is enough."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hydrodask.answers import Answer
from hydrodask.channels import SENSORS
from hydrodask.clock import parse_iso
from hydrodask.learn.data.catalogue import Catalogue
from hydrodask.learn.told import CYCLE_US, ORIGINS, origin
from hydrodask.records import Bool, Float64, Int64
from hydrodask.settings import Url
from hydrodask.store.files import Files
from hydrodask.store.profiles import LABELS, profile_keys, profile_paths

NONE = "none"
"""What is said of labels when people gave none."""


_PARTS = 4
"""Components, whose labels are the first ones."""

LAKE = "lake"
"""Origin of labels that the stream, or an import, brought."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Labels of one origin: how many, of how many people, and their `share` of what all of them weigh, 0..1."""

    name: str
    labels: int
    people: int
    share: float


@dataclass(slots=True)
class LabelledCycles:
    """Cycles with what people told of them. `origin` (n, 5) says which of the `answers` gave a label, -1: none did."""

    cycles: Catalogue
    origin: Int64
    answers: Sequence[Answer] = ()

    def take(self, which: Bool) -> "LabelledCycles":
        """Return the chosen cycles."""
        return LabelledCycles(self.cycles.take(which), self.origin[which], self.answers)

    def origins(self, targets: Sequence[str] = LABELS, weights: Float64 | None = None) -> list[Origin]:
        """Return where labels of targets are from, the lake first; `weights` (n,) are those of the cycles."""
        places = [LABELS.index(name) for name in targets]
        names = np.array([LAKE, *map(origin, self.answers)], object)[self.origin[:, places] + 1]
        weights = np.ones(len(names)) if weights is None else weights
        known = self.cycles.labels[:, places] >= 0  # what people took back, and what nobody told, is none
        found = []
        for name in (LAKE, *ORIGINS):
            here = (names == name) & known
            who = {self.answers[number].by for number in np.unique(self.origin[:, places][here]) if number >= 0}
            share = float(weights @ here.sum(axis=1)) / max(float(weights @ known.sum(axis=1)), 1e-12)
            found += [Origin(name, int(here.sum()), len(who), share)] if here.any() else []
        return found

    def says(self, targets: Sequence[str] = LABELS) -> str:
        """How many labels of targets are of people, by origin, and of how many people; no names."""
        return ", ".join(
            f"{one.labels} {one.name.replace('-', ' ')} by {one.people} {'person' if one.people == 1 else 'people'}"
            for one in sorted(self.origins(targets), key=lambda one: one.name) if one.name != LAKE
        ) or NONE  # fmt: skip


def told(cycles: Catalogue, given: Sequence[Answer]) -> LabelledCycles:
    """Return the cycles with what was told of them: those whose middle lies within the time of an answer."""
    labels, origin = cycles.labels.copy(), np.full(cycles.labels.shape, -1, np.int64)
    middle_us = cycles.start_us + CYCLE_US // 2
    rigs = cycles.rig.astype(str)
    for number, one in enumerate(given):
        here = (rigs == one.rig) & (middle_us >= parse_iso(one.start)) & (middle_us < parse_iso(one.end))
        for name, state in one.states.items():
            place = LABELS.index(name)
            labels[here, place] = np.nan if state is None else float(state)
            origin[here, place] = -1 if state is None else number
    return LabelledCycles(replace(cycles, labels=labels), origin, given)


def counted(url: Url, given: Sequence[Answer]) -> Int64:
    """Return of how many cycles of the lake each answer tells. Raises RetryableError and IntegrityError.

    Of the first sensor whose cycles are in all of their times; without any, of the one that has most.
    """
    files, most = Files(url), np.zeros(len(given), np.int64)
    for sensor in SENSORS:
        parts = [profile_keys(files, path) for path in profile_paths(files, sensor)]
        rig, cycle, start_us = (
            np.concatenate([getattr(part, name) for part in parts]) if parts else np.zeros(0, kind)
            for name, kind in (("rig", object), ("cycle", np.int64), ("start_us", np.int64))
        )
        middle_us = start_us + CYCLE_US // 2
        for number, one in enumerate(given):
            here = (rig == one.rig) & (middle_us >= parse_iso(one.start)) & (middle_us < parse_iso(one.end))
            most[number] = max(most[number], len(np.unique(np.stack([cycle[here], start_us[here]]), axis=1).T))
        if most.all():
            break
    return most


def filled(cycles: Catalogue) -> Catalogue:
    """Return those cycles of which at least one label is known; what is not known of them has a negative label.

    It is another number for each run of a rig's cycles in a row that are known in the same way, for nobody knows
    whether two of them are of one combination of faults; see `levels`.
    """
    some = cycles.take(np.flatnonzero(np.isfinite(cycles.labels).any(axis=1)))
    labels = np.nan_to_num(some.labels, nan=-1.0)
    order = _in_turn(some)
    other = (labels[order][1:] != labels[order][:-1]).any(axis=1) | (some.rig[order][1:] != some.rig[order][:-1])
    run = np.zeros(len(labels), np.int64)
    run[order[1:]] = np.cumsum(other)
    return replace(some, labels=np.where(np.isfinite(some.labels), labels, -1.0 - run[:, None]))


def levels(cycles: Catalogue) -> Float64:
    """Return the labels of the four components of filled cycles and the number of each one's group, shape (n, 5).

    Cycles of one group stay on one side where combinations of faults are held out: those with equal labels, and those
    of a rig that follow each other and contradict each other in nothing that is known of both. One condition of a rig
    lasts for many cycles, of some of which people may say more.
    """
    parts = cycles.labels[:, :_PARTS]
    group = np.unique(parts, axis=0, return_inverse=True)[1].ravel()
    order = _in_turn(cycles)
    one, other = order[:-1], order[1:]
    alike = ((parts[one] == parts[other]) | (parts[one] < 0) | (parts[other] < 0)).all(axis=1)
    alike &= cycles.rig[one] == cycles.rig[other]
    pairs = np.unique(np.stack([group[one], group[other]], axis=1)[alike], axis=0)
    found = _joined(int(group.max(initial=-1)) + 1, pairs[pairs[:, 0] != pairs[:, 1]])
    return np.column_stack([parts, found[group].astype(np.float64)])


def _joined(count: int, pairs: Int64) -> Int64:
    """Return for each of so many groups the smallest number of those that pairs join it to, by others, too."""
    found = np.arange(count)
    for one, other in pairs.tolist():
        low, high = sorted((int(found[one]), int(found[other])))
        found[found == high] = low
    return found


def _in_turn(cycles: Catalogue) -> Int64:
    """Return the rows of cycles rig by rig, each one's in order of time."""
    return np.lexsort((cycles.start_us, cycles.rig.astype(str)))
