"""Thin curves to what a screen can show, without losing an extreme: per pixel the least and the greatest stay."""

from dataclasses import dataclass

import numpy as np

from hydrodask.records import Float64, Int64

DIGITS = 6
"""Significant digits of a value on a screen."""


@dataclass(frozen=True, slots=True)
class ThinnedCurve:
    """A curve for a screen; every column has shape (n,). `mean` is NaN where a gap begins."""

    at_us: Int64
    mean: Float64
    low: Float64
    high: Float64


def thin(
    at_us: Int64, mean: Float64, low: Float64, high: Float64, *, start_us: int, end_us: int, pixels: int, gap_us: int
) -> ThinnedCurve:
    """Return at most two points a pixel: where the mean is least and greatest in it, in order of time.

    `low` and `high` of both are the least and greatest of all in that pixel. Times are in order; neighbours further
    apart than `gap_us` are not joined.
    """
    if not len(at_us):
        return ThinnedCurve(at_us, mean, low, high)
    pixel = np.clip((at_us - start_us) * pixels // max(1, end_us - start_us), -1, pixels).astype(np.int64)
    first = np.flatnonzero(np.diff(pixel, prepend=pixel[0] - 1))
    order = np.lexsort((mean, pixel))
    last = np.append(first[1:], len(pixel)) - 1
    places = np.stack([order[first], order[last]], axis=1)
    places.sort(axis=1)
    lows = np.repeat(np.minimum.reduceat(low, first), 2)
    highs = np.repeat(np.maximum.reduceat(high, first), 2)
    flat = places.ravel()
    keep = np.append(True, flat[1:] != flat[:-1])
    flat, lows, highs = flat[keep], lows[keep], highs[keep]
    gaps = np.cumsum(np.append(0, np.diff(at_us) > gap_us))
    holes = np.flatnonzero(np.diff(gaps[flat])) + 1
    nothing = np.full(len(holes), np.nan)
    return ThinnedCurve(
        np.insert(at_us[flat], holes, at_us[flat[holes - 1]] + 1),
        np.insert(mean[flat], holes, nothing),
        np.insert(lows, holes, nothing),
        np.insert(highs, holes, nothing),
    )


def rounded(values: Float64) -> list[float | None]:
    """Return values as a page takes them: few digits, and nothing for what is no number.

    >>> rounded(np.array([161.0023471, np.nan, 0.5]))
    [161.002, None, 0.5]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = DIGITS - 1 - np.floor(np.log10(np.abs(values)))
    scale = np.power(10.0, np.clip(np.nan_to_num(digits, nan=0.0, posinf=0.0, neginf=0.0), -12, 12))
    return [None if value != value else value for value in (np.round(values * scale) / scale).tolist()]  # noqa: PLR0124
