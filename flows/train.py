"""train: from stored cycles and labels to registered models, once or whenever a schedule says so."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from hydrodask.errors import UsageError
from hydrodask.learn.train.training import Request, TrainingOutcome, train
from hydrodask.settings import Settings


def run(settings: Settings, request: Request, *, say: Callable[[str], None]) -> list[TrainingOutcome]:
    """Train once. The entry point of the command, of a schedule, and of a CronJob."""
    return train(settings, request, say=say)


def moments(schedule: str, now_us: int) -> Iterator[int]:
    """Give the times (µs) at which a cron schedule is due, UTC, from now on. Raises UsageError.

    >>> next(moments("0 2 * * *", 0)) // 3_600_000_000
    2
    """
    try:
        due = CronSim(schedule, datetime.fromtimestamp(now_us / 1e6, tz=UTC))
    except CronSimError as error:
        raise UsageError(f"--schedule has value {schedule!r}: {error}; want five fields, as 0 2 * * *") from error
    return (round(moment.timestamp() * 1e6) for moment in due)
