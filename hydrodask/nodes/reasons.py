"""Count dead letters by reason: part of a partition's state, and never more than a few kinds."""

from collections.abc import Iterable

from hydrodask.reports import kind_of

KINDS_MAX = 20
"""Kinds of reasons that are told apart; a producer that invents new ones must not fill memory."""

LENGTH_MAX = 200
OTHERS = "other reasons"


class Reasons:
    """How often each kind of reason came; a kind is known by the first reason of it, numbers included.

    >>> reasons = Reasons()
    >>> reasons.add(["timestamp is 61 s ahead", "not JSON: empty", "timestamp is 70 s ahead"])
    >>> reasons.counts
    {'timestamp is 61 s ahead': 2, 'not JSON: empty': 1}
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, reasons: Iterable[str]) -> None:
        """Count reasons, in the order of their records."""
        for reason in reasons:
            kind = kind_of(reason)
            if kind not in self._first and len(self._first) < KINDS_MAX:
                self._first[kind] = reason[:LENGTH_MAX]
            first = self._first.get(kind, OTHERS)
            self.counts[first] = self.counts.get(first, 0) + 1

    def restore(self, counts: dict[str, int]) -> None:
        """Go on from a snapshot."""
        self.counts = dict(counts)
        self._first = {kind_of(reason): reason for reason in counts if reason != OTHERS}
