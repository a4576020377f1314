"""Check what the settings name: rules, baselines, source, topics, keys. Nothing here asks a server."""

from collections.abc import Callable, Iterator

from hydrodask import clock
from hydrodask.detect import Detector, load_rules
from hydrodask.detect.rules import described
from hydrodask.doctor.outcome import Outcome, failed, passed
from hydrodask.doors import login
from hydrodask.errors import ConfigError
from hydrodask.ingest.feed import check_feed
from hydrodask.ingest.topics import all_topics
from hydrodask.notify.senders import open_channels
from hydrodask.settings import Settings
from hydrodask.store.documents import file_of
from hydrodask.store.keyring import Keyring


def named(settings: Settings) -> Iterator[Outcome]:
    """Give a finding for each thing that the settings name; a fail has exit code 3. Reads a recording to its end."""
    for check, look in _LOOKS.items():
        try:
            yield passed(check, look(settings))
        except ConfigError as error:
            yield failed(check, str(error), "", error.exit_code)


def _rules(settings: Settings) -> str:
    detect = settings.detect
    rules = load_rules(detect.rules)
    Detector(rules, baseline=detect.baseline, coverage_min=detect.coverage_min, window_s=settings.window.length)
    return described(detect.rules)


def _source(settings: Settings) -> str:
    return check_feed(settings, clock.now_us())


def _topics(settings: Settings) -> str:
    return f"{len(all_topics(settings))} topics from {settings.topic('PS1')} on"


def _keys(settings: Settings) -> str:
    keyring = Keyring.of(settings)
    if keyring is None:
        return "files carry checksums against accidents; lake.key_file would seal them against people"
    return f"files are sealed by key {keyring.newest}; {len(keyring.names)} are known"


def _messages(settings: Settings) -> str:
    names = ", ".join(open_channels(settings.notify))
    return f"people are told through {names}" if names else "nobody is told: notify.channels is empty"


def _cluster(settings: Settings) -> str:
    if settings.cluster.address is None:
        return "one is started here"
    how = login.check(settings.cluster)
    if settings.kafka.embedded:
        raise ConfigError(
            "kafka.embedded is true, and cluster.address is set: the embedded broker is of this machine, and ends with "
            "the driver; set kafka.embedded: false and kafka.bootstrap"
        )
    if file_of(settings) is not None:
        raise ConfigError(
            f"documents.url has value {str(settings.documents_url)!r}, and cluster.address is set: a file is of one "
            "machine, and can't be locked from several; want documents.url mongodb://HOST:PORT/"
        )
    return how


_LOOKS: dict[str, Callable[[Settings], str]] = {
    "rules": _rules,
    "source": _source,
    "topics": _topics,
    "keys": _keys,
    "messages": _messages,
    "cluster": _cluster,
}
"""Each check, and what says how it is or raises ConfigError; in the order in which to mend what they find."""
