"""The checks in the order in which to mend what they find: one list for `doctor`, `config check` and `run`."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from hydrodask.doctor import libraries, machine, reach
from hydrodask.doctor.named import named
from hydrodask.doctor.outcome import Outcome, failed, passed, warned
from hydrodask.doctor.workers import workers
from hydrodask.errors import ConfigError
from hydrodask.settings import Settings, load


def check_up(*, profile: str | None, sets: Sequence[str]) -> Iterator[Outcome]:
    """Give one finding after the other; without a configuration only those that need none.

    Never raises for what it checks. Blocks up to `reach.ANSWER_S` for each thing that does not
    answer.
    """
    yield libraries.python()
    yield from libraries.libraries()
    yield libraries.fetch()
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
    yield from named(settings)
    yield machine.disk(settings)
    yield from machine.rights(settings)
    yield machine.clocks(settings)
    yield from places(settings)
    yield from reach.beside(settings)
    yield from workers(settings)
    yield from reach.topics(settings)  # `run` says that itself, once it has made those that are missing


def places(settings: Settings, *, at_run: bool = False) -> Iterator[Outcome]:
    """Give a finding for each port and store of the settings, and the broker.

    `at_run` is for the run itself, which has looked at its ports, makes missing topics, and waits for the broker as
    long as its settings say.
    """
    if not at_run:
        yield from machine.ports(settings)
        if settings.cluster.address is not None:
            yield reach.cluster(settings.cluster)
    yield from _open_doors(settings)
    yield reach.lake(settings, at_run=at_run)
    yield reach.documents(settings)
    yield reach.broker(settings, at_run=at_run)


def free_ports(settings: Settings) -> Iterator[Outcome]:
    """Give the findings of the ports that a run opens first, before it waits for anybody."""
    yield from machine.free_ports(settings)


def _open_doors(settings: Settings) -> Iterator[Outcome]:
    """Give a warning for each door of Dask's that the settings leave open."""
    if settings.cluster.insecure:
        text = "cluster.insecure is set: whoever reaches a port of Dask's runs code as this user"
        yield warned("cluster", text, "unset it, unless nobody else is on this machine and its network")
    file = settings.cluster.key_file
    if settings.cluster.address is not None and file is not None and machine.open_to_others(file):
        yield warned("cluster", f"the key {file} can be read by other users", f"chmod 600 {file}")


def go_on(findings: Iterable[Outcome], say: Callable[[str], None]) -> None:
    """Return when nothing failed; raises the error of the first that did, and says what is only a warning."""
    for finding in findings:
        if finding.state == "fail":
            raise finding.error
        if finding.state == "warn":
            say(finding.sentence)
