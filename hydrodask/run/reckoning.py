"""What a source has published, held against what the platform has stored of it, for a run that ends by itself."""

from collections import Counter
from collections.abc import Mapping

from hydrodask.errors import FatalError
from hydrodask.ingest.publisher import Summary
from hydrodask.reports import Overview

STORED = ("kept", "late", "dead")
"""Where a record can be: in raw/ or labels/, in raw/ and late/, or a dead letter."""

NAMED_MAX = 3
"""Topics that a message names; it counts the rest."""


class Reckoning:
    """Made once the topics are read to their ends, before the source begins; `check` comes when all is stored."""

    def __init__(self, overview: Overview) -> None:
        self._before = _stored(overview)

    def check(self, published: Mapping[str, int], summary: Summary | None, overview: Overview) -> None:
        """Raise FatalError when a topic has less than was published to it.

        Others may publish there, too, so more is no difference. A state that has begun anew counts from nothing.
        """
        after = _stored(overview)
        came = {t: after[t] - before if after[t] >= (before := self._before[t]) else after[t] for t in published}
        short = {topic: count - came[topic] for topic, count in published.items() if count > came[topic]}
        if not short:
            return
        total, missing = sum(published.values()), sum(short.values())
        worst = sorted(short, key=lambda topic: -short[topic])
        names = ", ".join(f"{short[topic]:,} of {topic}" for topic in worst[:NAMED_MAX])
        more = f" and {len(worst) - NAMED_MAX} more topics" if len(worst) > NAMED_MAX else ""
        refused = (
            f" ({summary.failed:,} were not delivered: {summary.reason_text})" if summary and summary.failed else ""
        )
        raise FatalError(
            f"stored {total - missing:,} of the {total:,} records that were published; missing are {names}{more}"
            f"{refused}; the notes in `hydrodask status` say what was lost, `hydrodask verify` what is wrong"
        )


def _stored(overview: Overview) -> Counter[str]:
    """Return how many records of each topic are stored, since the group began."""
    stored: Counter[str] = Counter()
    for (topic, _partition), part in overview.partitions.items():
        stored[topic] += sum(part.totals.get(name, 0) for name in STORED)
    return stored
