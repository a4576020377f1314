"""Why a model said what it did, or that it does not know: sensors, seconds and units, in a line for people.

Contributions are exact: the log odds of two classes are a sum over cells, and the seconds of a sensor that speak
loudest in a row are named, with how far they are from what the other class shows.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hydrodask.channels import CHANNELS, CYCLE_S, SENSORS
from hydrodask.learn.score.gaussian import CELLS, View, marginal
from hydrodask.learn.targets import TARGETS
from hydrodask.records import Bool, Float64, Int64

if TYPE_CHECKING:
    from hydrodask.learn.score.committee import Committee
    from hydrodask.learn.score.novelty import Gate

SHOWN = 3
"""Sensors and contributions that are named."""

MISSING, NOVEL, FAR = "not measured: ", "not like anything that it was trained on: ", "not like any "
"""How the three reasons begin."""


def missing(seconds: Float64, cells: Int64) -> str:
    """Say which seconds of the cells that a model looks at were not measured."""
    lost = np.zeros(CELLS, np.bool_)
    lost[cells] = ~np.isfinite(seconds[cells])
    found = []
    for number in np.unique(np.flatnonzero(lost) // CYCLE_S):
        here = lost[number * CYCLE_S : (number + 1) * CYCLE_S]
        whole = not np.isfinite(seconds[number * CYCLE_S : (number + 1) * CYCLE_S]).any()
        found.append(SENSORS[number] if whole else f"{SENSORS[number]} {_spans(here)}")
    return MISSING + listed(found)


def novel(gate: "Gate", seconds: Float64, sensors: Bool) -> str:
    """Say which sensors are like nothing trained on, and where each is furthest off: the most novel one first.

    Left out are those that would not be novel beside the others: they were only suspected, for they vary most.
    """
    if sensors.all():
        return NOVEL + "all sensors together"
    kept = np.where(np.repeat(sensors, CYCLE_S), np.nan, seconds)
    found = []
    for number in np.flatnonzero(sensors).tolist():
        here = slice(number * CYCLE_S, (number + 1) * CYCLE_S)
        one = kept.copy()
        one[here] = seconds[here]
        second, off = gate.worst(one, number)
        unit = CHANNELS[SENSORS[number]].unit
        says = f"{SENSORS[number]} in second {second} is {abs(off):.3g} {unit} {'high' if off > 0 else 'low'}"
        found.append((gate.strangeness(one, number), says))
    found.sort(key=lambda each: -each[0])  # equal ones stay in the order of sensors
    return NOVEL + listed([says for excess, says in found if excess > 1.0] or [says for _, says in found])


def far(views: Sequence[View], seconds: Float64, target: str) -> str:
    """Say which sensors put a cycle far from every state that a view knows."""
    shares = np.zeros(len(SENSORS))
    for view in views:
        there = np.isfinite(seconds[view.cells])
        if not there.any():
            continue
        given = (seconds[view.cells[there]] - view.mean[there]) / view.scale[there]
        precision = marginal(view.likeness, there)
        apart = given - view.centres[:, there]
        parts = (apart @ precision) * apart
        best = parts[parts.sum(axis=1).argmin()] / float(view.limit)
        np.add.at(shares, view.cells[there] // CYCLE_S, best)
    order = [SENSORS[number] for number in np.argsort(-shares, kind="stable")[:SHOWN] if shares[number] > 0]
    return f"{FAR}state of {target} that it was trained on, most by {', '.join(order)}"


def contributions(model: "Committee", seconds: Float64, label: int, odds: Float64) -> list[str]:
    """Return the strongest contributions to a verdict, strongest first, each as a sentence without its full stop.

    `seconds` are the means of one cycle, shape (1, 1020).

    A fault is held against the nominal state, the nominal state against the likeliest fault.
    """
    target = TARGETS[model.target]
    one, other = _pair(model, odds, label, target.nominal)
    parts = np.zeros(CELLS)
    for view in model.views:
        view.contributions(seconds, one, other, parts)
    parts /= len(model.views)
    against = model.expected[other]
    than = f"{target.name} at {_named(int(model.classes[other]), target.unit)}"
    found = []
    for start, end, number in _loudest(parts.reshape(len(SENSORS), CYCLE_S), model.numbers):
        cells = slice(number * CYCLE_S + start, number * CYCLE_S + end)
        apart = seconds[0, cells] - against[cells]
        off = float(np.add.reduce(apart)) / len(apart)
        if not math.isfinite(off):
            off = float(apart[np.isfinite(apart)].mean())
        where = f"in second {start}" if end == start + 1 else f"in seconds {start}–{end - 1}"
        unit, way = CHANNELS[SENSORS[number]].unit, "above" if off > 0 else "below"
        found.append(f"{SENSORS[number]} {where} is {abs(off):.3g} {unit} {way} {than}")
    return found


def _pair(model: "Committee", odds: Float64, label: int, nominal: int) -> tuple[int, int]:
    """Return the class that was said and the one that it is held against, as numbers of the model's classes."""
    one = model.places_of_classes[label]
    if label != nominal and nominal in model.places_of_classes:
        return one, model.places_of_classes[nominal]
    odds = odds.copy()
    odds[one] = -np.inf
    return one, int(odds.argmax())


def _loudest(parts: Float64, sensors: Int64) -> list[tuple[int, int, int]]:
    """Return runs of seconds with the largest sums, one of a sensor: its first one, the one after its last, the sensor.

    The largest first, and none that speaks against it.
    """
    total = np.zeros((len(sensors), CYCLE_S + 1))
    np.add.accumulate(parts[sensors], axis=1, out=total[:, 1:])
    low = np.minimum.accumulate(total, axis=1)
    rise = total - low
    sums = np.maximum.reduce(rise, axis=1).tolist()
    found = []
    for row in sorted((n for n, one in enumerate(sums) if one > 0.0), key=lambda n: (-sums[n], n))[:SHOWN]:
        end = int(rise[row].argmax())
        start = int((total[row, : end + 1] == low[row, end]).nonzero()[0][-1])
        found.append((start, end, int(sensors[row])))
    return found


def expected(views: Sequence[View], owner: int) -> Float64:
    """Return what a class shows, shape (1020,), in the units of the sensors; NaN where no view looks."""
    found = np.full(CELLS, np.nan)
    for view in views:
        found = np.where(np.isfinite(found), found, view.expected(owner))
    return found


def _spans(lost: Bool) -> str:
    """Return seconds in a row as `seconds 7–11`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], lost, [False]]).astype(np.int8)))
    spans = [f"{a}" if b == a + 1 else f"{a}–{b - 1}" for a, b in zip(edges[::2], edges[1::2], strict=True)]
    word = "second" if spans == [spans[0]] and "–" not in spans[0] else "seconds"
    return f"{word} {listed(spans)}"


def _named(label: int, unit: str) -> str:
    return f"{label} {unit}" if unit else f"{label}"


def listed(parts: Sequence[str]) -> str:
    """Return the first few of some things, and how many more there are."""
    more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    return ", ".join(parts[:SHOWN]) + more
