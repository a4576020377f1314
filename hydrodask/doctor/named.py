"""Check what the settings name: rules, baselines, source, topics. Nothing here asks a server, or needs one's files."""

from collections.abc import Callable, Iterator

from hydrodask import clock
from hydrodask.detect import Detector, load_rules
from hydrodask.doctor.finding import Finding, failed, passed
from hydrodask.errors import ConfigError
from hydrodask.ingest.feed import check_feed
from hydrodask.ingest.topics import all_topics
from hydrodask.settings import Settings


def named(settings: Settings) -> Iterator[Finding]:
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
    return f"{detect.rules} loads; {len(rules)} rules"


def _source(settings: Settings) -> str:
    return check_feed(settings, clock.now_us())


def _topics(settings: Settings) -> str:
    return f"{len(all_topics(settings))} topics from {settings.topic('PS1')} on"


_LOOKS: dict[str, Callable[[Settings], str]] = {
    "rules": _rules,
    "source": _source,
    "topics": _topics,
}
"""Each check, and what says how it is or raises ConfigError; in the order in which to mend what they find."""
