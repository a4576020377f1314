"""What is due to whom: from episodes and answers, look by look, to messages that wait. Pure: time is an argument.

A *cause* is what is told together: episodes of any rigs that are named by the same rule, and came within `TOGETHER_US`
of each other. A channel is told of it once; again when it gets worse, when more rigs have it, or every `notify.repeat`
until somebody has acknowledged all of it; and when it has been over for `notify.calm`. What is muted is told when it is
so no more, if it is still there; what quiet hours have held back is told at their end.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from hydrodask.answers import Answers
from hydrodask.clock import US_PER_S, Zone
from hydrodask.episodes import TOUCH_US, Episode, worst_first
from hydrodask.notify import text
from hydrodask.notify.alerts import AGAIN_US, ended, firing
from hydrodask.notify.cause import Cause, ChannelNotice, Delivery, kind_of
from hydrodask.notify.conditions import CONDITIONS
from hydrodask.notify.routes import Routes, When, rank
from hydrodask.settings.notify import Notify

TOGETHER_US = 300 * US_PER_S
"""A rig that has the same so long after the last one has a cause of its own."""

UPDATE_US = 60 * US_PER_S
"""More rigs of one cause are told of no more often than this."""

KEEP_US = 86_400 * US_PER_S
"""What is over and told is remembered for so long."""

CAUSES_MAX = 2_000
"""Causes that are remembered; of more those that have been over for longest are forgotten, and no new ones begin."""

WAITING_MAX = 5_000
"""Messages that wait; of more the oldest is given up."""


@dataclass(slots=True)
class Dues:
    """Every cause that is remembered.

    What began before `mark_us`, and is over when it is first seen, is history, of which nobody is told.
    """

    notify: Notify
    link: str = ""
    """Where the operator's page is, with a slash at its end; empty without one."""
    zone: Zone = field(default_factory=Zone)
    """Of times in messages, and of quiet hours."""
    causes: dict[str, Cause] = field(default_factory=dict)
    mark_us: int | None = None
    """None before the first look."""
    full: bool = False
    """Whether there was no room for a new cause at the last look."""
    routes: Routes = field(init=False)

    def __post_init__(self) -> None:
        self.routes = Routes(self.notify, self.zone)

    def wanted(self) -> set[str]:
        """Return the ids of the incidents that must be known at a look, open or not."""
        return {one for cause in self.causes.values() if cause.done_us is None for one in cause.ids}

    def look(self, episodes: Sequence[Episode], answers: Answers, now_us: int, unseen: Collection[str] = ()) -> None:
        """Take in what is so now, and put messages that are due among those that wait.

        A cause of which one id is `unseen`, neither there nor gone, stays as it was.
        """
        if self.mark_us is None:
            self.mark_us = max((one.span[0] for one in episodes), default=0)
        self.full = False
        having: dict[str, list[Episode]] = {}
        ids = {one: cause for cause in self.causes.values() for one in cause.ids}
        for episode in sorted(episodes, key=lambda one: (one.span[0], one.rig, one.id)):
            for cause in self._causes_of(episode, ids, now_us):
                having.setdefault(cause.id, []).append(episode)
        for cause in self.causes.values():
            if cause.done_us is None and not (unseen and any(one in unseen for one in cause.ids)):
                _Look(self, cause, having.get(cause.id, []), answers, now_us).tell()
        self._forget(now_us)

    def arrived(self, cause_id: str, delivery_id: str) -> None:
        """Take note that a message has arrived, or is given up."""
        cause = self.causes[cause_id]  # nothing that waits is forgotten
        cause.waiting = [one for one in cause.waiting if one.id != delivery_id]

    def waiting(self) -> list[tuple[Cause, Delivery]]:
        """Return what waits, the oldest first."""
        every = [(cause, one) for cause in self.causes.values() for one in cause.waiting]
        return sorted(every, key=lambda pair: (pair[1].since_us, pair[0].began_us, pair[0].id))

    def _causes_of(self, episode: Episode, ids: dict[str, Cause], now_us: int) -> list[Cause]:
        """Return the causes that an episode belongs to: more than one if it has grown together, none if it is history.

        One that was over, and is there again, has the same cause.
        """
        known = {ids[one["_id"]].id: ids[one["_id"]] for one in episode.incidents if one["_id"] in ids}
        going = [cause for cause in known.values() if cause.done_us is None]
        if going or known:
            found = going or list(known.values())[:1]
        else:
            cause = self._same(episode) or self._fresh(episode, now_us)
            found = [] if cause is None else [cause]
        for cause in found:
            if cause.done_us is not None and episode.open:
                cause.done_us, cause.over_us, cause.told = None, None, {}
                cause.found_us = cause.joined_us = now_us
            if cause.done_us is None:
                cause.take(episode)
        return found

    def _same(self, episode: Episode) -> Cause | None:
        """Return the cause of which an episode is a part under another id: provisional incidents are replaced."""
        marks = {(str(one["rig"]), str(one["sensor"]), str(one["rule"])) for one in episode.incidents}
        for cause in self.causes.values():
            later = episode.open or episode.span[0] >= cause.began_us - TOUCH_US
            if cause.done_us is None and later and not marks.isdisjoint(cause.marks):
                return cause
        return None

    def _fresh(self, episode: Episode, now_us: int) -> Cause | None:
        """Return the cause of an episode that nobody has seen before: one of other rigs, or a new one."""
        if not episode.open and episode.span[0] <= (self.mark_us or 0):
            return None
        kind = kind_of(str(episode.name["sensor"]), str(episode.name["rule"]))
        for cause in self.causes.values():
            near = cause.over_us is None and now_us - cause.joined_us <= TOGETHER_US
            if cause.done_us is None and near and kind in cause.kinds:
                cause.joined_us = now_us
                return cause
        if len(self.causes) >= CAUSES_MAX:
            self.full = True
            return None
        made = self.causes[episode.id] = Cause(episode.id, now_us, now_us, episode.span[0])
        return made

    def _forget(self, now_us: int) -> None:
        """Forget what has been over for long; no episode from before that is news any more, unless it is open."""
        done = sorted((c for c in self.causes.values() if c.done_us is not None), key=lambda one: one.done_us or 0)
        over = len(self.causes) - CAUSES_MAX * 3 // 4
        for number, cause in enumerate(done):
            if not cause.waiting and (number < over or now_us - (cause.done_us or 0) > KEEP_US):
                self.mark_us = max(self.mark_us or 0, cause.began_us)
                del self.causes[cause.id]


class _Look:
    """One cause, looked at once."""

    def __init__(self, dues: Dues, cause: Cause, episodes: list[Episode], answers: Answers, now_us: int) -> None:
        self.dues, self.notify, self.cause, self.now_us = dues, dues.notify, cause, now_us
        self.answers = answers
        self.episodes = sorted(episodes, key=lambda one: (rank(one.severity), worst_first(one.name)))
        quiet = [(one, answers.quiet(one, now_us)) for one in self.episodes]
        self.loud = [one for one, why in quiet if why is None]
        self.muted = [one for one, why in quiet if why is not None]
        self.why = next((why for _, why in quiet if why is not None), None) if not self.loud else None

    def tell(self) -> None:
        """Put what is due to each channel among what waits."""
        cause = self.cause
        if self.episodes:
            cause.rigs = [text.rig_of(one, self.dues.link) for one in self.episodes[: text.RIGS_MAX]]
        cause.over_us = None if any(one.open for one in self.episodes) else (cause.over_us or self.now_us)
        cause.kept_back = "" if self.why is None else (
            f"{'in maintenance' if self.why.kind == 'maintenance' else 'muted'} until {self.why.until} by {self.why.by}"
        )  # fmt: skip
        if cause.over_us is None and any(one.over for one in cause.told.values()):
            # It is there again before everybody has heard that it was over: who has heard that hears of it anew.
            cause.told = {name: one for name, one in cause.told.items() if not one.over}
            cause.found_us = self.now_us
        owed = [self._tell(channel) for channel in self.dues.routes.channels]
        if self.over and not any(owed):
            cause.done_us = self.now_us

    @property
    def over(self) -> bool:
        """Whether it has been over for long enough."""
        return self.cause.over_us is not None and self.now_us - self.cause.over_us >= self.notify.calm * US_PER_S

    def _tell(self, channel: str) -> bool:
        """Tell one channel what is due; return whether it has to be told something later, now that it may be over."""
        told = self.cause.told.get(channel)
        when = [self.dues.routes.of(channel, one, self.now_us) for one in self.loud]
        mine = [one for one, at in zip(self.loud, when, strict=True) if at is When.NOW]
        later = When.LATER in when
        if told is None:
            return self._tell_first(channel, mine) or (later and not mine)
        if told.over:
            return False
        if self.over:
            if not mine and (later or self._kept_back(channel)):
                return True  # it is told when quiet hours or a mute end
            self._add(channel, text.OVER, mine)
            return False
        if self.cause.over_us is None and mine:
            self._tell_again(channel, told, mine)
        return True

    def _kept_back(self, channel: str) -> bool:
        """Say whether something is muted that this channel would hear of."""
        return any(self.dues.routes.of(channel, one, self.now_us) is not When.NEVER for one in self.muted)

    def _tell_first(self, channel: str, mine: list[Episode]) -> bool:
        """Tell a channel of a cause for the first time; return whether that is still to come."""
        if not mine:
            return False
        if self.cause.over_us is None:
            if self.now_us - self.cause.found_us < self.notify.gather * US_PER_S:
                return True
            self._add(channel, text.OPENED, [one for one in mine if one.open])
            return True
        if self.over:
            self._add(channel, text.OVER, mine)  # it came and went before anybody was to be told
            return False
        return True

    def _tell_again(self, channel: str, told: ChannelNotice, mine: list[Episode]) -> None:
        """Tell a channel that it is worse, that more rigs have it, or that it is still so."""
        rigs = {one.rig for one in mine if one.open}
        since_us = self.now_us - told.at_us
        if rank(mine[0].severity) < rank(told.severity):
            self._add(channel, text.WORSE, mine)
        elif self.cause.pending(channel):
            return  # what it does not know yet is not repeated
        elif not rigs <= set(told.rigs) and since_us >= UPDATE_US:
            self._add(channel, text.MORE, mine)
        elif rigs and self._again(channel, mine, since_us):
            self._add(channel, text.STILL, [one for one in mine if one.open])

    def _again(self, channel: str, mine: list[Episode], since_us: int) -> bool:
        """Say whether what is still so is due again: an Alertmanager takes what it does not hear of for over."""
        if self.notify.channels[channel].kind == "alertmanager" and since_us >= AGAIN_US:
            return True
        repeat = self.notify.repeat
        return repeat is not None and since_us >= repeat * US_PER_S and self._unanswered(mine)

    def _unanswered(self, mine: Iterable[Episode]) -> bool:
        """Say whether something is open that nobody has acknowledged, though somebody can."""
        return any(self.answers.of(one).ack is None for one in mine if one.open and one.name["rule"] not in CONDITIONS)

    def _add(self, channel: str, kind: str, mine: list[Episode]) -> None:
        """Put one message among those that wait."""
        cause, dues = self.cause, self.dues
        before = cause.told.get(channel)
        alerting = dues.notify.channels[channel].kind == "alertmanager"
        rigs = [text.rig_of(one, dues.link) for one in mine]
        rigs = rigs or [one for one in cause.rigs if before and one["rig"] in before.rigs] or cause.rigs
        nothing = kind == text.OVER and not self.episodes and any(rule not in CONDITIONS for *_, rule in cause.marks)
        made = text.message(
            kind, rigs, id_=cause.next_id(), cause=cause.id, came_to_nothing=nothing, link=dues.link,
            zone=dues.zone,
        )  # fmt: skip
        if alerting:
            made["ended"] = ended(before.alerts if before else [], made)
        names = sorted({*(before.rigs if before else ()), *(str(one["rig"]) for one in rigs)})
        severities = [str(rigs[0]["severity"]), *([before.severity] if before else ())]
        cause.told[channel] = ChannelNotice(min(severities, key=rank), names, self.now_us, over=kind == text.OVER)
        cause.told[channel].alerts = firing(made) if alerting else []
        cause.waiting.append(Delivery(made["id"], channel, self.now_us, made))
