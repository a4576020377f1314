"""How far an ordered component has gone, as a number with an interval: between the states that its model was taught.

A component wears through states that nobody has labelled. Between two neighbouring states a cycle is taken to lie on
the line from the one's centre to the other's; how likely each place on that way is follows from the same Gaussian, and
the same temperature, as the verdict, when none is likelier beforehand. The number is the likeliest place, and the
interval the shortest that holds nine tenths of them. Seconds that were not measured are left out exactly. No state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np

from hydrodask.learn.score.gaussian import View, marginal
from hydrodask.learn.targets import Target
from hydrodask.records import Bool, Float64, Int64
from hydrodask.trend import Trend, attention_of, trend_of

STEPS = 24
"""Places that are looked at between two neighbouring states."""

HELD = 0.9
"""Part of the likelihood that the interval holds."""


@dataclass(frozen=True, slots=True)
class Severity:
    """Where between its states a component is, in their unit, and the interval in which it is nine times in ten."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Way:
    """What all cycles of a model share: the places that are looked at, how wide each is, and what views make of them.

    Of each view the shares of its centres in each place, shape (places, k), and half of the square of what these add
    up to, where every second was measured.
    """

    places: Float64
    widths: Float64
    shares: tuple[Float64, ...]
    halves: tuple[Float64, ...]

    @classmethod
    def of(cls, views: Sequence[View], classes: Int64) -> "Way":
        """Return that of a model's views; `classes`, at least two, are in order."""
        places, shares = _way(classes)
        of_views = [_shares(view, shares) for view in views]
        halves = [_half(some, view.pull.weights, view.centres) for view, some in zip(views, of_views, strict=True)]
        return cls(places, np.gradient(places), tuple(of_views), tuple(halves))


def severity(views: Sequence[View], temperature: float, way: Way, seconds: Float64) -> Severity | None:
    """Return the severity of one cycle, shape (1, 1020). None: nothing was measured."""
    odds = []
    for view, shares, half in zip(views, way.shares, way.halves, strict=True):
        (given,), (there,), whole = view.given(seconds)
        if whole:
            odds.append(shares @ (view.pull.weights @ given) - half)
        elif there.any():
            odds.append(_odds_of_some(view, there, given, shares))
    if not odds:
        return None
    likely = reduce(np.add, odds) / len(odds) * temperature
    best = int(likely.argmax())
    low, high = _shortest(way.places, np.exp(likely - likely[best]) * way.widths)
    return Severity(float(way.places[best]), low, high)


def limit_of(target: Target, off: float) -> float:
    """Return how far from the nominal state a component that is `off` has to be, to be called worse: half-way on."""
    apart = sorted(abs(state - target.nominal) for state in target.classes)
    limits = [(one + next_) / 2 for one, next_ in pairwise(apart)]
    return next((limit for limit in limits if limit > off), limits[-1])


def worsening(recent: Sequence[Sequence[float]], target: Target) -> Trend:
    """Return how fast a component leaves its nominal state, in its unit, and in how many hours it is called worse.

    `recent`: when cycles began, in µs, and how far off they were. A component that gets better has a negative trend.
    """
    return trend_of(recent, limit_of(target, recent[-1][1])) if recent else Trend()


def attention(off: float, target: Target, trend: Trend, *, bad: bool) -> int:
    """Return how much a component deserves a look, 0..100, on the scale of a rig's cycles; `bad`: settled as worn."""
    return attention_of(off, limit_of(target, 0.0), trend, open_=bad and target.component, unknown=False)


def told(severity: Severity | None, trend: Trend) -> dict[str, object]:
    """Return the fields of a component's document."""
    numbers = (None, None, None) if severity is None else (severity.value, severity.low, severity.high)
    value, low, high = (None if one is None else round(one, 3) for one in numbers)
    of_trend = {"worse_per_hour": trend.per_hour, "worse_in_hours": trend.in_hours}
    return {"severity": value, "severity_low": low, "severity_high": high, **of_trend}


def _way(classes: Int64) -> tuple[Float64, Float64]:
    """Return places from the first state to the last, and the shares of states in each, shape (places, classes)."""
    steps = np.arange((len(classes) - 1) * STEPS + 1) / STEPS
    shares = np.maximum(0.0, 1.0 - np.abs(steps[:, None] - np.arange(len(classes))))
    return shares @ classes.astype(np.float64), shares


def _shares(view: View, shares: Float64) -> Float64:
    """Return the shares of a view's centres, of those of its states: all centres of a state have as much of it."""
    by_class = (view.owner[None] == np.arange(shares.shape[1])[:, None]).astype(np.float64)
    return np.asarray(shares @ (by_class / by_class.sum(axis=1, keepdims=True)))


def _half(shares: Float64, pull: Float64, centres: Float64) -> Float64:
    return np.asarray(0.5 * np.add.reduce((shares @ (pull @ centres.T)) * shares, axis=1))


def _odds_of_some(view: View, there: Bool, given: Float64, shares: Float64) -> Float64:
    """Return the log odds of each place, but for what all of them share, when seconds are missing."""
    centres = view.centres[:, there]
    pull = centres @ marginal(view.precision, there)
    return np.asarray(shares @ (pull @ given[there]) - _half(shares, pull, centres))


def _shortest(places: Float64, likely: Float64) -> tuple[float, float]:
    """Return the shortest stretch of places that holds `HELD` of the likelihood."""
    total = np.zeros(len(likely) + 1)
    np.cumsum(likely / np.add.reduce(likely), out=total[1:])
    ends = np.searchsorted(total, total[:-1] + HELD - 1e-12)
    fits = (ends < len(total)).nonzero()[0]
    best = fits[(places[ends[fits] - 1] - places[fits]).argmin()]
    return float(places[best]), float(places[ends[best] - 1])
