"""Windows as Quix Streams' documentation writes them: a hopping window with an aggregation a column."""

import math
from typing import Any

from quixstreams.dataframe import StreamingDataFrame
from quixstreams.dataframe.windows.aggregations import Aggregator, Count, Max, Mean, Min

LENGTH_MS, SLIDE_MS, LATENESS_MS = 60_000, 10_000, 10_000


class Deviation(Aggregator):
    """Sample standard deviation (Welford): Quix Streams has none of its own."""

    def initialize(self) -> tuple[int, float, float]:
        """Return count, mean and sum of squares around the mean of no values."""
        return 0, 0.0, 0.0

    def agg(self, old: tuple[int, float, float], new: Any, _timestamp: int) -> tuple[int, float, float]:
        """Return them with a record's value more."""
        count, mean, squares = old
        value = new[self.column]
        away = value - mean
        mean += away / (count + 1)
        return count + 1, mean, squares + away * (value - mean)

    def result(self, value: tuple[int, float, float]) -> float | None:
        """Return the deviation, unless there is only one value."""
        count, _, squares = value
        return math.sqrt(squares / (count - 1)) if count > 1 else None


def windows(records: StreamingDataFrame, sensor: str, *, live: bool) -> StreamingDataFrame:
    """Return rows of the windows of one sensor's records: each time that one changes if live, else when it is final."""

    def row(window: dict[str, Any]) -> dict[str, Any]:
        spread = window["max_value"] - window["min_value"]
        return {**window, "sensor": sensor, "window_start": window["start"], "range_value": spread, "final": not live}

    hopping = records.hopping_window(LENGTH_MS, SLIDE_MS, grace_ms=LATENESS_MS).agg(
        avg_value=Mean("value"),
        max_value=Max("value"),
        min_value=Min("value"),
        stddev_value=Deviation("value"),
        sample_count=Count(),
    )
    return (hopping.current() if live else hopping.final()).apply(row)
