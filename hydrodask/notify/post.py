"""The way out: one message a channel at a time, each in a thread of its own, tried again with growing pauses."""

import logging
import queue
import threading
from dataclasses import dataclass, field

from hydrodask import clock
from hydrodask.background import in_time
from hydrodask.clock import US_PER_S
from hydrodask.errors import RefusedError, RetryableError, kind_and_sentence
from hydrodask.notify.cause import Cause, Delivery
from hydrodask.notify.senders import Sender
from hydrodask.reports import ChannelReport

BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Pauses after failures in a row; the last one stays."""

REFUSED_MAX = 7
"""A message that is refused as it is is given up after so many tries: two minutes, as a proxy may be confused."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Way:
    """One channel, and how it is doing."""

    sender: Sender
    report: ChannelReport
    flying: str = ""
    """The id of the message that is under way."""
    failed: int = 0
    """Failures in a row."""
    next_s: float = 0.0
    since_us: int = 0
    """Since when nothing arrives."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of one try: `error` when it did not arrive, `but` what is wrong though it did."""

    cause: Cause
    delivery: Delivery
    error: str = ""
    refused: bool = False
    but: str = ""


@dataclass(slots=True)
class Post:
    """The channels of one run. Everything but the sending itself happens in the thread that calls."""

    senders: dict[str, Sender]
    kinds: dict[str, str]
    timeout_s: float
    give_up_s: float
    wake: threading.Event
    _ways: dict[str, _Way] = field(default_factory=dict)
    _done: "queue.SimpleQueue[_Outcome]" = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self._ways = {n: _Way(sender, ChannelReport(n, self.kinds[n])) for n, sender in self.senders.items()}

    @property
    def reports(self) -> tuple[ChannelReport, ...]:
        """How each channel is doing."""
        return tuple(way.report for way in self._ways.values())

    @property
    def busy(self) -> bool:
        """Whether a message is under way whose fate nobody has told us."""
        return self._done.empty() and any(way.flying for way in self._ways.values())

    def take_in(self) -> list[tuple[Cause, Delivery]]:
        """Return the messages that have arrived since the last time, and take note of what has not."""
        arrived = []
        while not self._done.empty():
            one = self._done.get()
            way = self._ways[one.delivery.channel]
            way.flying = ""
            if one.error:
                one.delivery.refused += one.refused
                self._failed(way, one.delivery, one.error)
            else:
                self._arrived(way, one.but)
                arrived.append((one.cause, one.delivery))
        return arrived

    def hopeless(
        self, waiting: list[tuple[Cause, Delivery]], now_us: int, waiting_max: int
    ) -> list[tuple[Cause, Delivery]]:
        """Return what is given up: for being too old, of too many, refused, or of a channel that there is no more."""
        found = []
        for number, (cause, one) in enumerate(waiting):
            way = self._ways.get(one.channel)
            old = now_us - one.since_us > self.give_up_s * US_PER_S or number < len(waiting) - waiting_max
            if way is not None and (way.flying == one.id or not (old or one.refused >= REFUSED_MAX)):
                continue
            if way is not None:
                way.next_s = way.next_s if old else 0.0  # the next one may do
                way.report = way.report.but(given_up=way.report.given_up + 1)
            subject, why = one.message["subject"], one.error or "it was never tried"
            fields = {"channel": one.channel, "message_id": one.id, "cause": cause.id}
            said = "message %s to channel %s is given up: %s; it said: %s"
            log.error(said, one.id, one.channel, why, subject, extra=fields)
            found.append((cause, one))
        return found

    def send(self, waiting: list[tuple[Cause, Delivery]], now_us: int) -> None:
        """Begin to send the oldest message of each channel that is free, and has not failed just now."""
        for cause, one in waiting:
            way = self._ways.get(one.channel)
            if way is not None and not way.flying and clock.monotonic_s() >= way.next_s:
                way.flying = one.id
                work = threading.Thread(target=self._send, args=(way.sender, cause, one), name="message", daemon=True)
                work.start()
        for name, way in self._ways.items():
            mine = [one for _, one in waiting if one.channel == name]
            oldest_s = (now_us - mine[0].since_us) / US_PER_S if mine else 0.0
            way.report = way.report.but(waiting=len(mine), oldest_s=round(max(0.0, oldest_s), 1))

    def _send(self, sender: Sender, cause: Cause, one: Delivery) -> None:
        try:
            but = in_time(lambda: sender.send(one.message), self.timeout_s * 2)
            outcome = _Outcome(cause, one, but=but)
        except RetryableError as failure:
            outcome = _Outcome(cause, one, str(failure) or "it fails", refused=isinstance(failure, RefusedError))
        except Exception as failure:
            outcome = _Outcome(cause, one, kind_and_sentence(failure))
        self._done.put(outcome)
        self.wake.set()

    def _failed(self, way: _Way, delivery: Delivery, error: str) -> None:
        delivery.tries, delivery.error = delivery.tries + 1, error
        way.next_s = clock.monotonic_s() + BACKOFF_S[min(way.failed, len(BACKOFF_S) - 1)]
        way.failed += 1
        if way.failed == 1:
            way.since_us = clock.now_us()
            fields = {"channel": way.report.name, "message_id": delivery.id}
            log.warning("could not tell channel %s: %s; it is tried again", way.report.name, error, extra=fields)
        trouble = f"nothing arrives since {clock.iso(way.since_us)[:19]}Z: {error}"
        way.report = way.report.but(failures=way.report.failures + 1, trouble=trouble)

    def _arrived(self, way: _Way, but: str) -> None:
        if way.failed:
            log.warning("messages reach channel %s again", way.report.name, extra={"channel": way.report.name})
        way.failed, way.next_s = 0, 0.0
        if but and but != way.report.trouble:
            log.warning("channel %s: %s", way.report.name, but, extra={"channel": way.report.name})
        way.report = way.report.but(delivered=way.report.delivered + 1, trouble=but)
