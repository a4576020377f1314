"""Gaussian views of a load cycle: what second means say of one component, with exactly what was measured of them.

A view looks at some seconds of some sensors. Each class is a cloud of one or more centres, all of the same covariance,
so that the logarithm of its odds is linear in the cycle's means. Seconds that were not measured are marginalised: of a
Gaussian that is the sub-block of mean and covariance, and by the precision P of all cells the rest has

    P' = P[o, o] − P[o, m] · P[m, m]⁻¹ · P[m, o]        o: measured, m: missing

Nothing is interpolated. A view also says how far a cycle is from the nearest centre, per cell that was measured: what
is further than any cycle of a held-out combination of faults is like nothing that it knows. NumPy alone; no state.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrodask.records import Bool, Float64, Int64

Seen = tuple[Float64, Bool, bool]
"""What a view looks at of some cycles, what of it was measured, and whether all was."""

CELLS = 17 * 60
"""Seconds of all sensors: cell 60 · sensor + second."""


@dataclass(frozen=True, slots=True)
class View:
    """One view; `owner` is the class of each centre. `likeness` is the precision by which distance is measured.

    `cells` has shape (d,), as have `mean` and `scale`, by which cells are made comparable; `centres` has (k, d),
    `precision` and `likeness` have (d, d). A distance above `limit` is like nothing that was trained on.
    """

    cells: Int64
    mean: Float64
    scale: Float64
    owner: Int64
    centres: Float64
    precision: Float64
    likeness: Float64
    limit: Float64
    pull: "Pull" = field(init=False)
    near: "Pull" = field(init=False)
    """What follows from the centres and `precision`, and from `likeness`: of these arrays, and not stored."""
    members: tuple[Int64, ...] = field(init=False)
    """The centres of each class."""
    _newest: list[tuple[Float64, Seen]] = field(init=False, repr=False, compare=False, default_factory=list)
    _pairs: dict[tuple[int, int], tuple[Float64, Float64]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    """Of two centres, each (d,): by what a cell speaks for the first of them, and where it speaks for none."""
    classed: "Pull | None" = field(init=False)
    """`pull` by class and less the mean of all classes; None when a class has several centres."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pull", Pull.of(self.precision, self.centres))
        object.__setattr__(self, "near", Pull.of(self.likeness, self.centres))
        of_class = tuple(np.flatnonzero(self.owner == c) for c in range(int(self.owner.max()) + 1))
        object.__setattr__(self, "members", of_class)
        single = len(of_class) == len(self.owner)
        object.__setattr__(self, "classed", self.pull.centred(np.concatenate(of_class)) if single else None)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return what it consists of, by name."""
        return {f"{prefix}{field.name}": getattr(self, field.name) for field in fields(self) if field.init}

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], prefix: str) -> "View":
        """Return what `arrays` gave. Raises KeyError when something of it is missing."""
        return cls(**{field.name: arrays[f"{prefix}{field.name}"] for field in fields(cls) if field.init})

    def given(self, seconds: Float64) -> Seen:
        """Return what the view looks at of shape (n, 1020), in its units, (n, d); what was measured; whether all was.

        Of a single cycle that of the newest is kept: verdict, reasons and severity ask for it, one after the other.
        """
        newest = self._newest[-1] if self._newest else None
        if newest is not None and newest[0] is seconds:
            return newest[1]
        given = (seconds[:, self.cells] - self.mean) / self.scale
        there = np.isfinite(given)
        made = given, there, bool(there.all())
        if len(seconds) == 1:
            self._newest[:] = [(seconds, made)]  # in one go: partitions of a process share their models
        return made

    def opinions(self, seconds: Float64, *, measure: bool = True) -> tuple[Float64, Float64, Float64]:
        """Return, for shape (n, 1020) of second means: log odds (n, classes), distance (n,), information (n,).

        Distance is 0 unless it is to be measured. Information is which share of the distance between the closest two
        classes is left by what was measured.
        """
        given, known, whole = self.given(seconds)
        if whole:  # what does not depend on the cycle is computed once, unless seconds are missing
            distance = nearest(self.likeness, given, self.near) if measure else np.zeros(len(seconds))
            odds = self._classes(self.pull.odds(given)) if self.classed is None else self.classed.odds(given)
            return odds, distance, np.ones(len(seconds))
        odds, distance = np.zeros((len(seconds), len(self.members))), np.zeros(len(seconds))
        information = np.ones(len(seconds))
        for rows, there in patterns(known):
            if not there.any():
                information[rows] = 0.0
                continue
            centres, precision = self.centres[:, there], marginal(self.precision, there)
            some = given[np.ix_(rows, there)]
            odds[rows] = self._classes(Pull.of(precision, centres).odds(some))
            if measure:
                likeness = marginal(self.likeness, there)
                distance[rows] = nearest(likeness, some, Pull.of(likeness, centres))
            if not there.all():
                left = self._apart(precision, centres) / self._apart(self.precision, self.centres)
                information[rows] = left.min()
        return odds, distance, information

    def contributions(self, seconds: Float64, one: int, other: int, parts: Float64) -> None:
        """Add to `parts`, shape (1020,), how much each cell of a cycle, (1, 1020), speaks for class `one`, not `other`.

        What is added sums up to the difference of the log odds of the two centres that the cycle is nearest to, but for
        a constant that is in no cell.
        """
        given, there, whole = self.given(seconds)
        if whole:
            by, middle = self._pair(*(self._likeliest(c, self.pull, given[0]) for c in (one, other)))
            parts[self.cells] += by * (given[0] - middle)
        elif there[0].any():
            some, left, centres = there[0], given[0][there[0]], self.centres[:, there[0]]
            pull = Pull.of(marginal(self.precision, some), centres)
            best, next_ = (self._likeliest(c, pull, left) for c in (one, other))
            parts[self.cells[some]] += pull.apart(best, next_) * (left - _middle(centres, best, next_))

    def _pair(self, best: int, next_: int) -> tuple[Float64, Float64]:
        found = self._pairs.get((best, next_))
        if found is None:
            found = self._pairs[best, next_] = self.pull.apart(best, next_), _middle(self.centres, best, next_)
        return found

    def _likeliest(self, label: int, pull: "Pull", given: Float64) -> int:
        """Return the likeliest centre of a class."""
        few = self.members[label]
        return int(few[0] if len(few) == 1 else few[pull.odds(given[None])[0, few].argmax()])

    def expected(self, owner: int) -> Float64:
        """Return shape (1020,): the mean of a class's centres in the units of the sensors, NaN outside of this view."""
        found = np.full(CELLS, np.nan)
        found[self.cells] = self.mean + self.scale * self.centres[self.members[owner]].mean(axis=0)
        return found

    def _classes(self, odds: Float64) -> Float64:
        """Return log odds of classes from those of centres, centred: all centres of a class are equally likely."""
        parts = [np.logaddexp.reduce(odds[:, few], axis=1) - np.log(len(few)) for few in self.members]
        made = np.stack(parts, axis=1)
        return np.asarray(made - np.add.reduce(made, axis=1, keepdims=True) / made.shape[1])

    def _apart(self, precision: Float64, centres: Float64) -> Float64:
        """Return how far apart each two classes are, squared: the closest two of their centres."""
        product = centres @ precision @ centres.T
        square = np.diag(product)[:, None] + np.diag(product)[None, :] - 2 * product
        return np.array(
            [square[np.ix_(a, b)].min() for place, a in enumerate(self.members) for b in self.members[:place]]
        )


@dataclass(frozen=True, slots=True)
class Pull:
    """What a precision makes of centres: `weights` (k, d) are their product, `offset` (k,) half of their squares."""

    weights: Float64
    offset: Float64

    @classmethod
    def of(cls, precision: Float64, centres: Float64) -> "Pull":
        """Return that of centres, shape (k, d)."""
        weights = centres @ precision
        return cls(weights, 0.5 * (weights * centres).sum(axis=1))

    def odds(self, given: Float64) -> Float64:
        """Return the log odds of each centre, shape (n, k), but for what all of them share."""
        return np.asarray(given @ self.weights.T - self.offset)

    def centred(self, places: Int64) -> "Pull":
        """Return that of these centres in their order, less the mean of all: their odds add up to 0."""
        weights, offset = self.weights[places], self.offset[places]
        return Pull(weights - weights.mean(axis=0), offset - offset.mean())

    def apart(self, one: int, other: int) -> Float64:
        """Return by what each cell speaks for centre `one` and not for `other`, (d,)."""
        return np.asarray(self.weights[one] - self.weights[other])


def _middle(centres: Float64, one: int, other: int) -> Float64:
    return np.asarray((centres[one] + centres[other]) / 2)


def patterns(there: Bool) -> Iterator[tuple[Int64, Bool]]:
    """Give each pattern of what was measured among the rows of shape (n, d), and which rows have it."""
    if len(there) == 1 or there.all():
        if len(there):
            yield np.arange(len(there)), there[0]
        return
    packed, which = np.unique(np.packbits(there, axis=1), axis=0, return_inverse=True)
    for number in range(len(packed)):
        rows = np.flatnonzero(which.ravel() == number)
        yield rows, there[rows[0]]


def marginal(precision: Float64, there: Bool) -> Float64:
    """Return the precision of what is `there` when nothing is known of the rest."""
    if there.all():
        return precision
    lost = ~there
    across = precision[np.ix_(lost, there)]
    return np.asarray(
        precision[np.ix_(there, there)] - across.T @ np.linalg.solve(precision[np.ix_(lost, lost)], across)
    )


def nearest(precision: Float64, given: Float64, pull: Pull) -> Float64:
    """Return the squared distance to the nearest centre, per cell; `pull` is that of the precision."""
    square = np.add.reduce((given @ precision) * given, axis=1)
    return np.asarray((square - 2.0 * np.maximum.reduce(pull.odds(given), axis=1)) / given.shape[1])
