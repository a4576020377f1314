"""The checks in the order in which to mend what they find."""

from collections.abc import Iterator, Sequence

from hydrodask.doctor import libraries, machine, reach
from hydrodask.doctor.finding import Finding, failed, passed
from hydrodask.errors import ConfigError
from hydrodask.settings import load


def check_up(*, profile: str | None, sets: Sequence[str]) -> Iterator[Finding]:
    """Give one finding after the other; without a configuration only those that need none.

    Never raises for what it checks. Blocks up to `reach.ANSWER_S` for each thing that does not
    answer.
    """
    yield libraries.python()
    yield from libraries.libraries()
    try:
        settings, origins = load(profile=profile, sets=sets)
    except ConfigError as error:
        yield failed(
            "configuration",
            str(error),
            "correct it, then run `hydrodask config check`",
            error.exit_code,
        )
        return
    changed = sum(origin != "default" for origin in origins.values())
    yield passed("configuration", f"loads; {changed} settings are not the default")
    yield machine.disk(settings)
    yield machine.clocks(settings)
    yield machine.port("metrics port", "observe.metrics", settings.observe.metrics)
    if settings.cluster.address is None:
        yield machine.port("dashboard port", "cluster.dashboard", settings.cluster.dashboard)
    yield reach.lake(settings)
    yield reach.documents(settings)
    yield reach.broker(settings)
    yield from reach.topics(settings)
