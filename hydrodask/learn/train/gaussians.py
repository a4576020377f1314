"""Train Gaussian views and the novelty gate, and set what makes them honest: temperature and limits. NumPy alone."""

from dataclasses import dataclass, replace

import numpy as np

from hydrodask.channels import CYCLE_S, SENSORS
from hydrodask.learn.score.committee import probabilities
from hydrodask.learn.score.gaussian import View
from hydrodask.learn.score.novelty import Gate
from hydrodask.learn.train.plans import ViewSpec
from hydrodask.records import Float64, Int64

COMPONENTS = 40
"""Principal components of the gate."""

LIKENESS = 1e-3
"""Shrinkage at least, where distance is measured: below it lies the noise of one rig's sensors."""

KNOWN = 0.998
"""Share of cycles of held-out combinations that a view's limit lets pass."""

FAMILIAR = 0.99
"""Share of cycles of held-out combinations that the gate lets pass."""

_ANY_LEVEL = 1e4
_FLAT = 1e-9


@dataclass(frozen=True, slots=True)
class Cloud:
    """How cycles lie in some cells, which is all that a view is made of.

    `total` (d, d) is the covariance of all of them about `mean` (d,); `centres` (k, d) are the means of those that
    share a key, less `mean`, and `shares` (k,) how many these are. Cycles count by their weights, see `weighing`.
    """

    mean: Float64
    total: Float64
    keys: Int64
    shares: Float64
    centres: Float64

    @classmethod
    def of(cls, given: Float64, key: Int64, weights: Float64) -> "Cloud":
        """Return that of cycles in memory, shape (n, d); `key` (n,) is the same for those that share a centre."""
        weights = weights / weights.sum()
        mean = weights @ given
        given = given - mean
        keys, which = np.unique(key, return_inverse=True)
        shares = np.bincount(which, weights).astype(np.float64)
        parts = [which == number for number in range(len(keys))]
        centres = np.stack([weights[part] @ given[part] / share for part, share in zip(parts, shares, strict=True)])
        return cls(mean, (given.T * weights) @ given, keys, shares, centres)


def view(look: ViewSpec, cloud: Cloud, *, measure: bool = True) -> View:
    """Return a trained view of a cloud whose keys are those of `look`. Its limit is not set yet.

    Its distances are those of its odds unless they are to be measured.
    """
    cells, scale = look.cells, _scale(look, cloud.total)
    centres = cloud.centres / scale
    covariance = cloud.total / np.outer(scale, scale) - (centres.T * cloud.shares) @ centres
    covariance = (covariance + covariance.T) / 2
    level = _levels(look, scale) if look.levelled else np.zeros_like(covariance)
    likeness = precision = _inverse(covariance, look.shrinkage, level)
    if measure and look.shrinkage < LIKENESS:
        likeness = _inverse(covariance, LIKENESS, level)
    owner = np.unique(look.numbers_of(cloud.keys), return_inverse=True)[1]
    return View(cells, cloud.mean, scale, owner, centres, precision, likeness, np.array(np.inf))


def _inverse(covariance: Float64, shrinkage: float, level: Float64) -> Float64:
    """Return the precision of a covariance that is shrunk towards that of cells of their own."""
    shrunk = (1.0 - shrinkage) * covariance + shrinkage * np.eye(len(covariance)) + level
    return np.asarray(np.linalg.inv(shrunk), np.float64)


def _scale(look: ViewSpec, total: Float64) -> Float64:
    """Return the deviation of each cell, of a levelled view that of the curve less its mean."""
    square = np.diag(total).copy()
    if look.levelled:
        each = look.end - look.start
        for number in range(len(look.sensors)):
            here = slice(number * each, (number + 1) * each)
            block = total[here, here]
            square[here] += block.mean() - 2.0 * block.mean(axis=1)
    scale = np.sqrt(np.maximum(square, 0.0))
    return np.where(scale < _FLAT, 1.0, scale)


def _levels(look: ViewSpec, scale: Float64) -> Float64:
    """Return a covariance in which each sensor's level may be anything."""
    made = np.zeros((len(scale), len(scale)))
    each = look.end - look.start
    for number in range(len(look.sensors)):
        here = slice(number * each, (number + 1) * each)
        way = np.zeros(len(scale))
        way[here] = 1.0 / scale[here]
        made += _ANY_LEVEL * np.outer(way, way) / (way @ way)
    return made


def gate(seconds: Float64, weights: Float64) -> Gate:
    """Return a gate of cycles in memory; its noise and limits are not set yet."""
    every = Cloud.of(seconds, np.zeros(len(seconds), np.int64), weights)
    return gate_of(len(seconds), every.mean, every.total)


def gate_of(cycles: int, mean: Float64, covariance: Float64) -> Gate:
    """Return a gate of so many cycles; its noise and limits are not set yet."""
    own = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    by_sensor = mean.reshape(len(SENSORS), CYCLE_S)
    whole = np.sqrt((own.reshape(by_sensor.shape) ** 2).mean(axis=1) + by_sensor.var(axis=1))
    scale = np.maximum(np.maximum(own, 0.01 * np.repeat(whole, CYCLE_S)), _FLAT)
    count = min(COMPONENTS, max(1, cycles // 3))
    spread, axes = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = slice(len(axes) - count, None)
    ones = np.ones(len(SENSORS))
    return Gate(mean, scale, axes[:, kept].copy(), np.maximum(spread[kept], _FLAT), np.ones(len(mean)), ones, ones)


def limited(made: Gate, rests: Float64, alone: Float64) -> Gate:
    """Return a gate that lets pass what held-out cycles left over, shape (n, 1020), in the units of their gates.

    `alone`, shape (n, 17, 2), is how far their sensors were from what others told of them.
    """
    noise = np.maximum(np.sqrt((rests**2).mean(axis=0)), 1e-3)
    units = np.abs(rests / noise).reshape(len(rests), len(SENSORS), CYCLE_S)
    rms, peak = np.sqrt((units**2).mean(axis=2)), units.max(axis=2)
    rms_max, peak_max = (np.maximum(np.quantile(part, FAMILIAR, axis=0), 1.0) for part in (rms, peak))
    excess = np.maximum(rms / rms_max, peak / peak_max).max(axis=1)
    factor = max(1.0, float(np.quantile(excess, FAMILIAR)))
    alone_max = np.maximum(np.quantile(alone, FAMILIAR, axis=0), _FLAT)
    alone_max *= np.maximum(np.quantile((alone / alone_max).max(axis=1), FAMILIAR, axis=0), 1.0)
    return replace(made, noise=noise, rms_max=rms_max * factor, peak_max=peak_max * factor, alone_max=alone_max)


def limit(distances: Float64) -> float:
    """Return how far a cycle may be from all centres, given the distances of held-out ones."""
    return float(np.quantile(distances, KNOWN)) * 1.1 if len(distances) else float("inf")


def temperature(odds: Float64, numbers: Int64) -> float:
    """Return the factor of log odds, at most 1, that gives held-out cycles the smallest log-loss.

    Where all of them are right there is no smallest: then the factor is the smallest whose loss is no more than if one
    cycle in twice as many were wrong.
    """
    factors = np.geomspace(1e-4, 1.0, 161)
    losses = np.array([log_loss(probabilities(odds * factor), numbers) for factor in factors])
    enough = 0.5 / max(len(odds), 1)
    best = max(float(losses.min()), enough)
    return float(factors[np.flatnonzero(losses <= best)[0]])


def log_loss(chances: Float64, numbers: Int64) -> float:
    """Return the mean of minus the logarithm of the probability of what was true."""
    return float(-np.log(np.maximum(chances[np.arange(len(numbers)), numbers], 1e-12)).mean()) if len(numbers) else 0.0


def calibration_error(chances: Float64, numbers: Int64, bins: int = 15) -> float:
    """Return the expected calibration error: how far shares of right verdicts are from their probabilities."""
    sure, right = chances.max(axis=1), chances.argmax(axis=1) == numbers
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    parts = [abs(float((right[place == b] - sure[place == b]).sum())) for b in range(bins)]
    return sum(parts) / max(len(numbers), 1)


def coverage(chances: Float64, numbers: Int64, level: float = 0.95) -> float:
    """Return how often the truth is in the smallest set of classes that holds `level` of the probability."""
    order = np.argsort(-chances, axis=1, kind="stable")
    before = np.cumsum(np.take_along_axis(chances, order, axis=1), axis=1) - np.take_along_axis(chances, order, axis=1)
    place = (order == numbers[:, None]).argmax(axis=1)
    return float((before[np.arange(len(numbers)), place] < level).mean()) if len(numbers) else 0.0
