"""What graphs have failed at, over the hosts that come and go: one that never gets on ends the run.

An error out of a graph leaves its state half done, so the host is given up and the next begins from the commit. Whether
that helps is known only by who outlives them: a worker's lease.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hydrodask import clock
from hydrodask.errors import FatalError, HydrodaskError, RetryableError, StartOverError, kind_and_sentence
from hydrodask.logs import spot
from hydrodask.nodes.context import Context
from hydrodask.outage import Outage
from hydrodask.records import PartitionId
from hydrodask.worker.partition import Partition

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
    """Failures by source, each until its graph has got past it, and how long somebody has refused something."""

    def __init__(self, patience_s: float) -> None:
        self.refusal = Outage()
        """What no host has got through yet: brokers or stores refuse, or a commit's outcome stays open."""
        self.severed = False
        """Whether a host has lost every broker, and none has looked yet at what that left undecided."""
        self._patience_s = patience_s
        self._failures: dict[tuple[PartitionId, bool], _Failure] = {}

    @contextmanager
    def of(
        self, ctx: Context, partition: Partition | None = None, *, end: int = 0, stores: bool = False
    ) -> Iterator[None]:
        """Make an error out of a graph, as it takes the records up to `end`, one that ends the host.

        Raises StartOverError; FatalError once the same graph has not got on for `step.patience` with errors that may
        pass, or in TRIES_MAX tries with others. With `stores` a store's refusal passes as it is: nothing has changed
        then, and the same call may be tried again. `partition` None: it is being opened.
        """
        try:
            yield
        except RetryableError as error:
            if stores or isinstance(error, StartOverError):
                raise
            raise self._judge(ctx, partition, end, error) from error
        except HydrodaskError:
            raise
        except Exception as error:
            where = spot(ctx.source, None if partition is None else partition.position, end=end, flow=ctx.flow)
            log.warning("an error that nobody has foreseen", exc_info=True, extra=where)
            raise self._judge(ctx, partition, end, error) from error
        if partition is None:
            self._failures.pop((ctx.source, True), None)

    def _judge(self, ctx: Context, partition: Partition | None, end: int, error: Exception) -> HydrodaskError:
        position, committed = (partition.position, partition.committed) if partition else (0, 0)
        failure = self._note((ctx.source, partition is None), position, committed, end)
        said = str(error) if isinstance(error, HydrodaskError) else kind_and_sentence(error)
        where = f"at offsets {position} to {end}" if end > position else f"at offset {position}"
        what = f"flow {ctx.flow} failed on {ctx.topic}-{ctx.partition} {where if partition else 'while it was opened'}"
        waited_s = clock.monotonic_s() - failure.since_s
        backoff_s = error.backoff_s if isinstance(error, RetryableError) else 1.0
        if not isinstance(error, RetryableError) and failure.count >= TRIES_MAX:
            return FatalError(f"{what}, {failure.count} times: {said}; nothing from there on is committed")
        if waited_s > self._patience_s:
            return FatalError(f"gave up after {waited_s:.0f} s (step.patience): {what}: {said}")
        return StartOverError(f"{what}, and begins again from the commit: {said}", backoff_s=backoff_s)

    def _note(self, key: tuple[PartitionId, bool], position: int, committed: int, end: int) -> _Failure:
        """Count a failure, as another one of the same if its graph has not got past it."""
        failure = self._failures.get(key)
        if failure is None or (position >= failure.end and committed > failure.committed):
            failure = self._failures[key] = _Failure(committed, max(end, position + 1), clock.monotonic_s())
        failure.count += 1
        return failure
