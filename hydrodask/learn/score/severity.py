"""How far an ordered component has gone, as a number with an interval: between the states that its model was taught.

A component wears through states that nobody has labelled. Between two neighbouring states a cycle is taken to lie on
the line from the one's centre to the other's; how likely each place on that way is follows from the same Gaussian, and
the same temperature, as the verdict, when none is likelier beforehand. The number is the likeliest place, and the
interval the shortest that holds nine tenths of them. Seconds that were not measured are left out exactly. No state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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


def severity(views: Sequence[View], temperature: float, classes: Int64, seconds: Float64) -> Severity | None:
    """Return the severity of one cycle, shape (1020,); `classes` in order. None: nothing was measured, or one class."""
    there = [np.isfinite(seconds[view.cells]) for view in views]
    if len(classes) < 2 or not any(seen.any() for seen in there):
        return None
    places, shares = _way(classes)
    odds = [_odds(view, seen, seconds, shares) for view, seen in zip(views, there, strict=True) if seen.any()]
    likely = np.mean(odds, axis=0) * temperature
    best = int(likely.argmax())
    low, high = _shortest(places, np.exp(likely - likely[best]) * np.gradient(places))
    return Severity(float(places[best]), low, high)


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


def _odds(view: View, there: Bool, seconds: Float64, shares: Float64) -> Float64:
    """Return the log odds of each place, but for what all of them share."""
    given = (seconds[view.cells[there]] - view.mean[there]) / view.scale[there]
    centres = view.centres[:, there]
    pull = view.pull.weights if there.all() else centres @ marginal(view.precision, there)
    by_class = (view.owner[None] == np.arange(shares.shape[1])[:, None]).astype(np.float64)
    shares = shares @ (by_class / by_class.sum(axis=1, keepdims=True))
    return np.asarray(shares @ (pull @ given) - 0.5 * ((shares @ (pull @ centres.T)) * shares).sum(axis=1))


def _shortest(places: Float64, likely: Float64) -> tuple[float, float]:
    """Return the shortest stretch of places that holds `HELD` of the likelihood."""
    total = np.concatenate([[0.0], np.cumsum(likely / likely.sum())])
    ends = np.searchsorted(total, total[:-1] + HELD - 1e-12)
    fits = np.flatnonzero(ends < len(total))
    best = fits[(places[ends[fits] - 1] - places[fits]).argmin()]
    return float(places[best]), float(places[ends[best] - 1])
