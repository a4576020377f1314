"""What graphs have failed at, over the hosts that come and go: one that never gets on ends the run.

An error out of a graph leaves its state half done, so the host is given up and the next begins from the commit. Whether
that helps is known only by who outlives them: a worker's desk.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hydrodask import clock
from hydrodask.errors import FatalError, HydrodaskError, RetryableError, StartOverError, sentence
from hydrodask.stream.partition import Partition

log = logging.getLogger(__name__)

TRIES_MAX = 3
"""So often a graph may fail with an error that nobody has foreseen before it has got on."""


@dataclass(slots=True)
class _Failure:
    committed: int
    end: int
    since_s: float
    count: int = 0


class Failures:
    """Failures by source, each until its graph has got past it."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._failures: dict[tuple[str, int], _Failure] = {}

    @contextmanager
    def of(self, partition: Partition, *, end: int = 0, stores: bool = False) -> Iterator[None]:
        """Make an error out of a graph, as it takes the records up to `end`, one that ends the host.

        Raises StartOverError; FatalError once the same graph has not got on for `step.patience` with errors that may
        pass, or in TRIES_MAX tries with others. With `stores` a store's refusal passes as it is: nothing has changed
        then, and the same call may be tried again.
        """
        try:
            yield
        except RetryableError as error:
            if stores or isinstance(error, StartOverError):
                raise
            raise self._judge(partition, end, error) from error
        except HydrodaskError:
            raise
        except Exception as error:
            log.warning("an error that nobody has foreseen", exc_info=True)
            raise self._judge(partition, end, error) from error

    def _judge(self, partition: Partition, end: int, error: Exception) -> HydrodaskError:
        failure = self._note(partition, end)
        said = str(error) if isinstance(error, HydrodaskError) else f"{type(error).__name__}: {sentence(error)}"
        where = f"offsets {partition.position} to {end}" if end > partition.position else f"offset {partition.position}"
        what = f"flow {partition.ctx.flow} failed on {partition.ctx.topic}-{partition.ctx.partition} at {where}"
        waited_s = clock.monotonic_s() - failure.since_s
        backoff_s = error.backoff_s if isinstance(error, RetryableError) else 1.0
        if not isinstance(error, RetryableError) and failure.count >= TRIES_MAX:
            return FatalError(
                f"{what}, {failure.count} times without getting on: {said}; nothing from there is committed"
            )
        if waited_s > self._patience_s:
            return FatalError(f"gave up after {waited_s:.0f} s (step.patience): {what}: {said}")
        return StartOverError(f"{what}, and begins again from the commit: {said}", backoff_s=backoff_s)

    def _note(self, partition: Partition, end: int) -> _Failure:
        """Count a failure, as another one of the same if its graph has not got past it."""
        source, position = partition.ctx.source, partition.position
        failure = self._failures.get(source)
        if failure is None or (position >= failure.end and partition.committed > failure.committed):
            failure = _Failure(partition.committed, max(end, position + 1), clock.monotonic_s())
            self._failures[source] = failure
        failure.count += 1
        return failure
