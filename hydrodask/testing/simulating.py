"""The way into the simulation: random lives of a flow, which all have to deliver the same."""

from collections.abc import Collection, Mapping, Sequence

from hydrodask.extras import needed
from hydrodask.flow import Flow


def simulate(
    flow: Flow,
    records: Mapping[str, Sequence[bytes | None]],
    *,
    lives: int = 20,
    seed: int = 0,
    but: Collection[str] = (),
) -> None:
    """Raise AssertionError unless a flow delivers the same whatever goes wrong, in the `lives` from `seed` on.

    `records` are what the topics that it reads hold, by their short names: values, None for a tombstone. In each life
    a whole platform runs on them in virtual time, with one or more workers, and by the seed processes are killed or
    stand still at any place, calls are refused or lose their answers, and workers and drivers come and go. What its
    topics, collections and folders hold in the end has to be what they hold after a life without any of that. Those
    that `but` names are not compared, such as one of what nodes give in `tick`, which depends on time.

    The message has the seed, what differs, what happened, and the least of it that still makes a difference. Needs
    `pip install 'hydrodask[testing]'`; raises ConfigError without. A life takes about a tenth of a second.
    """
    with needed():
        from hydrodask.testing.simulation.randomlives import check_lives  # noqa: PLC0415 - greenlet, an extra
    check_lives(flow, records, count=lives, seed=seed, but=but)
