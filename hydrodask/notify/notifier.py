"""The thread beside a run that tells people: looks, keeps what is due, sends it, keeps what has arrived.

What is due is in the document store before it is sent, and goes from there once it has arrived. A driver that is
killed between the two sends it once more, under the same id.
"""

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from hydrodask import clock
from hydrodask.background import Aside
from hydrodask.errors import HydrodaskError
from hydrodask.notify.cause import MESSAGES, Cause
from hydrodask.notify.dues import CAUSES_MAX, WAITING_MAX, Dues
from hydrodask.notify.lookout import Lookout
from hydrodask.notify.post import Post
from hydrodask.notify.senders import open_channels
from hydrodask.records import Change, Remove, Upsert
from hydrodask.reports import ChannelReport, Overview
from hydrodask.settings import Settings
from hydrodask.store.documents import Documents, open_documents

LOOK_EVERY_S = 1.0
SHARE_MAX = 0.2
"""Of the time that looking takes at most: with many documents looks are further apart."""

STOP_S_MAX = 5.0
MARK = "mark"
"""The document that says from when on there is news."""

log = logging.getLogger(__name__)


class Notifier:
    """Tells people of what is wrong, from when it is made until `close`. Raises ConfigError if a channel can't work.

    `link` is where the operator's page is, if there is one.
    """

    name = "messages"

    def __init__(self, settings: Settings, overview: Callable[[], Overview], link: str = "") -> None:
        notify = settings.notify
        self._wake, self._stop = threading.Event(), threading.Event()
        kinds: dict[str, str] = {name: channel.kind for name, channel in notify.channels.items()}
        self.post = Post(open_channels(notify), kinds, notify.timeout, notify.give_up, self._wake)
        self._documents: Documents = open_documents(settings)
        silence_us = round(settings.limits.rig_silence * clock.US_PER_S)
        self._lookout = Lookout(self._documents, overview, settings.learn.drift_max, silence_us)
        self.dues = Dues(notify, f"{link.rstrip('/')}/" if link else "", clock.Zone(settings.observe.timezone))
        self._stored: dict[str, dict[str, Any]] = {}
        """Bodies of causes as they are in the store."""
        self._mark: tuple[int, int] | None = None
        """The mark in the store, and its revision."""
        self._read = False
        self._unread = ""
        self.thread = Aside(self.name, self._run, self._stop)
        self.thread.start()

    @property
    def reports(self) -> tuple[ChannelReport, ...]:
        """How each channel is doing."""
        return self.post.reports

    @property
    def trouble(self) -> str:
        """What keeps people from being told."""
        failing = [f"channel {one.name}: {one.trouble}" for one in self.reports if one.trouble]
        room = ["more causes at once than are told of"] if self.dues.full else []
        return "; ".join(filter(None, [self.thread.trouble, self._unread, *room, *failing]))

    def close(self) -> None:
        """Stop; what waits is told by the next run. May be called twice."""
        self._stop.set()
        self._wake.set()
        self.thread.join(STOP_S_MAX)
        self._documents.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            begun_s = clock.monotonic_s()
            self._wake.clear()
            try:
                self.look()
            except HydrodaskError as error:
                self._unread = str(error)
            else:
                self._unread = ""
            took_s = clock.monotonic_s() - begun_s
            self._wake.wait(max(LOOK_EVERY_S - took_s, took_s / SHARE_MAX))
        with contextlib.suppress(HydrodaskError):  # what has arrived is sent once more then
            self._finish()

    def _finish(self) -> None:
        """Wait a little for what is under way, and keep that it has arrived."""
        end_s = clock.monotonic_s() + STOP_S_MAX / 2
        while self.post.busy and clock.monotonic_s() < end_s:
            self._wake.clear()
            self._wake.wait(0.1)
        self._take_in()
        if self._read:
            self._keep(clock.now_us())

    def _take_in(self) -> None:
        for cause, one in self.post.take_in():
            self.dues.arrived(cause.id, one.id)

    def look(self) -> None:
        """Look once: take in what has arrived, see what is due, keep it, and send it. Raises HydrodaskError."""
        if not self._read:
            self._restore()
        now_us, dues = clock.now_us(), self.dues
        self._take_in()
        seen = self._lookout.look(dues.wanted(), now_us)
        dues.look(seen.episodes, seen.answers, now_us, seen.unseen)
        for cause, one in self.post.hopeless(dues.waiting(), now_us, WAITING_MAX):
            dues.arrived(cause.id, one.id)
        self._keep(now_us)
        self.post.send(dues.waiting(), now_us)

    def _restore(self) -> None:
        """Go on where an earlier run has stopped, or was killed."""
        for one in self._documents.find(MESSAGES, {}, limit=CAUSES_MAX + 1):
            try:
                if one.get("kind") == MARK:
                    self._mark = int(one["mark_us"]), int(one["revision"])
                    self.dues.mark_us = self._mark[0]
                    continue
                cause = Cause.of(one)
            except (KeyError, TypeError, ValueError) as error:
                log.warning("document %s of %s is none of ours, and left out: %r", one.get("_id"), MESSAGES, error)
                continue
            self.dues.causes[cause.id] = cause
            self._stored[cause.id] = cause.body()
        self._read = True

    def _keep(self, now_us: int) -> None:
        """Store what has changed."""
        changes: list[Change] = []
        causes, mark_us = self.dues.causes, self.dues.mark_us or 0
        fresh = {name: body for name, cause in causes.items() if (body := cause.body()) != self._stored.get(name)}
        for name in fresh:
            causes[name].revision = max(now_us, causes[name].revision + 1)
            changes.append(causes[name].change())
        gone = self._stored.keys() - causes.keys()
        changes += [Remove(MESSAGES, name, now_us) for name in sorted(gone)]
        mark = self._mark
        if mark is None or mark[0] != mark_us:
            mark = mark_us, max(now_us, mark[1] + 1 if mark else 0)
            changes.append(Upsert(MESSAGES, MARK, mark[1], {"kind": MARK, "mark_us": mark_us}))
        self._documents.write(changes)
        self._mark = mark
        self._stored = {n: body for n, body in self._stored.items() if n not in gone} | fresh
