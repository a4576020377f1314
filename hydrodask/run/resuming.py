"""Where the source begins after what is known of its rigs, and the sentence that people get about it."""

from collections.abc import Iterable, Mapping

from hydrodask.clock import US_PER_S, Zone
from hydrodask.errors import FatalError, HydrodaskError
from hydrodask.ingest.feed import NOTHING, Feed, SimulatedFeed, open_simulator, parse_speed
from hydrodask.ingest.newest import newest_in_topics
from hydrodask.ingest.recording import Recording
from hydrodask.observe.wording import span
from hydrodask.settings import Settings

ANEW = "to begin anew, name another data_dir (--set data_dir=DIR), or on a Kafka of your own another topics.prefix"


def resumed(
    feed: Feed, settings: Settings, now_us: int, reported: Mapping[str, int] = NOTHING, *, topics: bool
) -> tuple[Feed, str]:
    """Return the feed, a simulated one opened anew after what there is of its rigs, and what people should know of it.

    What there is: what partitions have `reported`, and, with `topics`, what those of the broker end with.
    """
    rigs, newest, unknown = _rigs(feed, settings), dict(reported), ""
    if topics:
        try:
            for rig, at_us in newest_in_topics(settings, rigs).items():
                newest[rig] = max(at_us, newest.get(rig, at_us))
        except HydrodaskError as error:
            why = "this user may not read them" if isinstance(error, FatalError) else str(error)
            unknown = f"; whether the topics have newer records of {_named(rigs)} is not known: {why}"
    if isinstance(feed, SimulatedFeed):
        feed = open_simulator(settings, now_us, newest)
    known = {rig: newest[rig] for rig in rigs if rig in newest}
    said = _sentence(feed, settings, now_us, known)
    return feed, said + unknown if said else unknown.removeprefix("; ")


def _rigs(feed: Feed, settings: Settings) -> list[str]:
    if isinstance(feed, SimulatedFeed):
        return feed.fleet.names
    return [(feed.rig if isinstance(feed, Recording) else None) or settings.rig.default_id]


def _named(rigs: Iterable[str]) -> str:
    first, *more = list(rigs)
    return f"{first} to {more[-1]}" if more else first


def _sentence(feed: Feed, settings: Settings, now_us: int, known: Mapping[str, int]) -> str:
    """Return where event time begins, if anybody could take it for something else."""
    zone = Zone(settings.observe.timezone)
    begins, behind = zone.full(feed.start_us), span((now_us - feed.start_us) / US_PER_S)
    live = parse_speed(settings.source.speed) == 1.0
    caught_up = "" if live else "; at real time once it has caught up with the clock"
    starts = f"simulated event time begins {'now' if live else f'{behind} ago'}, at {begins}"
    chosen = not isinstance(feed, SimulatedFeed) or settings.source.start is not None
    if not known:
        return "" if live or chosen else starts + caught_up
    rig, end_us = max(known.items(), key=lambda one: one[1])
    ended, after_us = f"records of {rig} end at {zone.full(end_us)}", feed.start_us - end_us
    if chosen:
        late = f"event time begins at {begins}, and {ended}: what comes before that is late, and in no window"
        other = "leave it out to go on there" if isinstance(feed, SimulatedFeed) else "it sets another beginning"
        return "" if after_us > 0 else f"{late} (source.start, --start: {other})"
    if after_us <= 0:
        ahead = span((end_us - now_us) / US_PER_S)
        return f"{ended}, {ahead} ahead of the clock: what is simulated before that is late, and in no window; {ANEW}"
    if after_us > US_PER_S:
        return f"{starts}; {ended}, {span(after_us / US_PER_S)} before"
    if feed.start_us > now_us:
        return f"simulated event time goes on where {ended}; the clock has to come there first, {behind[1:]}"
    return f"simulated event time goes on where {ended}, {behind} ago{caught_up}"
