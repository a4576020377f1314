"""How long ago records were published whose outputs are committed now."""

import numpy as np

from hydrodask import clock
from hydrodask.reports import LATENCY_BUCKETS_S, StepReport


class Latencies:
    """The brokers' times of the records that were taken since the last commit."""

    def __init__(self) -> None:
        self._stamps_ms: list[np.ndarray] = []

    def note(self, stamps_ms: np.ndarray) -> None:
        """Take note of records that wait for their commit."""
        self._stamps_ms.append(stamps_ms)

    def count(self, report: StepReport) -> None:
        """Add to the report's histogram what was committed now."""
        if not self._stamps_ms:
            return
        late_s = np.maximum(clock.now_us() / 1e3 - np.concatenate(self._stamps_ms), 0.0) / 1e3
        self._stamps_ms.clear()
        places = np.searchsorted(np.array(LATENCY_BUCKETS_S), late_s)
        report.latency_counts = (
            np.array(report.latency_counts) + np.bincount(places, minlength=len(LATENCY_BUCKETS_S) + 1)
        ).tolist()
        report.latency_sum_s += float(late_s.sum())
