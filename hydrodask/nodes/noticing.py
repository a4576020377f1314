"""What is said once of a sensor's partition in a run: rates and values unlike the table's, what profiles lack."""

import logging
from collections.abc import Sequence

import numpy as np

from hydrodask.channels import CHANNELS, CYCLE_S, WHOLE
from hydrodask.decode import Census
from hydrodask.logs import spot
from hydrodask.nodes.context import Context
from hydrodask.records import Bool, Samples, Windows
from hydrodask.rigs import RIGS
from hydrodask.window.cycles import LEFT, OpenCycles

log = logging.getLogger(__name__)

UNPROFILED_MIN = 60
"""Samples of a rig that no profile takes, or seconds that its profiles lack, from which on it is said: a few are
strays, and a producer that begins anew leaves one cycle short."""

SURPLUS, STRAYS = 1.2, 3
"""A window of more samples than this many times what its rate says is too full, and by more than so many samples:
jitter puts one or two into the window beside theirs."""

_LAST = "; no more rigs of this partition are named"

_NOWHERE = "samples by now are in no cycle profile"

_ADVICE = {
    "index": f"{_NOWHERE}: their sample_idx is not below {CYCLE_S} s times their rate; it begins at 0 in each cycle, "
    f"and of a cycle of more than {CYCLE_S} s only the first {CYCLE_S} s are kept",
    "done": f"{_NOWHERE}: their cycle is done; a cycle takes {CYCLE_S} s, and a rig has one at a time",
    "time": f"{_NOWHERE}: their timestamp contradicts their sample_idx; each sample has a timestamp of its own",
    "short": f"seconds by now are empty in cycle profiles, for the next cycle had begun: a cycle takes {CYCLE_S} s; "
    "send cycles of that length, or look at what begins them anew",
}


class Rates:
    """Says of each rig, once, that its sensor comes at another rate than the table's; of `rigs_max` rigs at most."""

    def __init__(self, ctx: Context, rigs_max: int) -> None:
        self._ctx = ctx
        self._table_hz = float(CHANNELS[ctx.sensor].rate_hz) if ctx.sensor in CHANNELS else 0.0
        self._left = rigs_max
        self._said: Bool = np.zeros(0, np.bool_)

    def look(self, samples: Samples) -> None:
        """Look at a batch."""
        odd = samples.rate_hz != self._table_hz
        if not self._left or not odd.any():
            return
        if len(self._said) < len(RIGS):
            self._said = np.concatenate([self._said, np.zeros(len(RIGS) - len(self._said) + 64, np.bool_)])
        fresh = np.flatnonzero(odd & ~self._said[samples.rig])
        if len(fresh):
            for place in fresh[np.sort(np.unique(samples.rig[fresh], return_index=True)[1])].tolist():
                self._say(int(samples.rig[place]), float(samples.rate_hz[place]))

    def _say(self, rig: int, rate_hz: float) -> None:
        self._said[rig] = True
        if not self._left:
            return
        self._left -= 1
        more = "" if self._left else _LAST
        say(
            self._ctx,
            f"{RIGS.name(rig)} sends {self._ctx.sensor} at {rate_hz:g} Hz, the table of sensors says "
            f"{self._table_hz:g} Hz: what is missing is told by the records' own rate{more}",
        )


class Ranges:
    """Says once of a sensor's partition that values are far outside what the table of sensors knows."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._channel = CHANNELS.get(ctx.sensor)
        self._length_s = ctx.settings.window.length

    def look(self, final: Windows) -> None:
        """Look at windows that are final."""
        if self._channel is None or not len(final):
            return
        whole = (self._length_s >= CYCLE_S) & (final.count >= WHOLE * CYCLE_S * final.rate_hz)
        far = np.flatnonzero(self._channel.far(final.low, final.mean, final.high, whole=whole))
        if len(far):
            at = int(far[0])
            say(self._ctx, f"{RIGS.name(int(final.rig[at]))}: {self._channel.doubt(final.low[at], final.high[at])}")
            self._channel = None


class Crowd:
    """Says once that there are more rigs than a partition has room for, and that old records can't be taken anew."""

    def __init__(self, ctx: Context, census: Census) -> None:
        self._ctx = ctx
        self._census = census
        self._said = False

    def look(self) -> None:
        """Look at what the census has decided."""
        if self._census.unsettled:
            self._ctx.unsettled, self._census.unsettled = True, False
        if self._census.refused and not self._said:
            self._said = True
            say(
                self._ctx,
                f"more than {self._census.rigs_max:,} rigs: records of others are dead letters; look for a producer "
                "that makes up names, or raise limits.rigs",
            )


class Nameless:
    """Says once that records that name no rig come under several keys, which may be the rigs."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._first: bytes | None = None
        self._said = False

    def look(self, keys: Sequence[bytes | None]) -> None:
        """Look at some keys of a batch."""
        for key in () if self._said else filter(None, keys):
            self._first = self._first or key
            if key != self._first:
                self._said = True
                one, other = (k.decode(errors="replace")[:40] for k in (self._first, key))
                say(
                    self._ctx,
                    f"records that name no rig come under several keys ({one!r}, {other!r}), and all are taken for "
                    f"{self._ctx.settings.rig.default_id}: if the keys are the rigs, set rig.from_key: true",
                )
                return


class Surplus:
    """Says of each rig, once, that its sensor has more samples than their rate says; of `rigs_max` rigs at most."""

    def __init__(self, ctx: Context, rigs_max: int) -> None:
        self._ctx = ctx
        self._left = rigs_max
        self._said: set[int] = set()
        self._length_s = ctx.settings.window.length

    def look(self, final: Windows) -> None:
        """Look at windows that are final."""
        if not self._left or not len(final):
            return
        want = final.rate_hz * self._length_s
        for at in np.flatnonzero((final.count > SURPLUS * want) & (final.count > want + STRAYS)).tolist():
            if self._left and int(final.rig[at]) not in self._said:
                self._say(int(final.rig[at]), int(final.count[at]), float(final.rate_hz[at]))

    def _say(self, rig: int, count: int, rate_hz: float) -> None:
        self._said.add(rig)
        self._left -= 1
        more = "" if self._left else _LAST
        say(
            self._ctx,
            f"{RIGS.name(rig)} sends {count:,} samples of {self._ctx.sensor} in {self._length_s:g} s, and their "
            f"sampling_rate_hz of {rate_hz:g} means {rate_hz * self._length_s:,.0f}: is sampling_rate_hz too low, is "
            "each one sent twice, or do two senders have the same rig name? What is missing can't be told until it is "
            f"right{more}",
        )


class Unprofiled:
    """Says of each rig, once for each reason, that its cycle profiles lack something; of `rigs_max` rigs at most."""

    def __init__(self, ctx: Context, profiles: OpenCycles, rigs_max: int) -> None:
        self._ctx = ctx
        self._profiles = profiles
        self._rigs_max = rigs_max
        self._seen = -1
        self._said: dict[str, set[str]] = {}

    def look(self) -> None:
        """Look at what profiles lack so far."""
        lacking = self._profiles.missed + self._profiles.short
        if lacking == self._seen:
            return
        self._seen = lacking
        for rig, counts in self._profiles.lacks(least=UNPROFILED_MIN).items():
            for reason, count in counts.items():
                if count >= UNPROFILED_MIN and reason not in self._said.get(rig, ()):
                    self._say(rig, reason, count)

    def _say(self, rig: str, reason: str, count: int) -> None:
        if rig not in self._said and len(self._said) >= self._rigs_max:
            return
        first = rig not in self._said
        self._said.setdefault(rig, set()).add(reason)
        more = _LAST if first and len(self._said) == self._rigs_max else ""
        say(self._ctx, f"{rig}, {self._ctx.sensor}: {count:,} {_ADVICE[reason]}{more}")

    def totals(self) -> dict[str, int]:
        """Return how many samples are in no profile, in all and by reason, and how many seconds are short."""
        by_reason = dict(zip(LEFT, self._profiles.left.tolist(), strict=True))
        found = {"unprofiled": self._profiles.missed, "short": self._profiles.short}
        return found | {f"unprofiled_{k}": v for k, v in by_reason.items() if v}

    def by_rig(self) -> dict[str, dict[str, int]]:
        """Return samples in no profile (`unprofiled`) and seconds that are `short` by rig, of those that lack most."""
        return {
            rig: {"unprofiled": sum(counts[reason] for reason in LEFT), "short": counts["short"]}
            for rig, counts in self._profiles.lacks(most=self._rigs_max).items()
        }


def say(ctx: Context, text: str) -> None:
    """Say something of a partition: in the log, and in the notes of the next report."""
    log.warning("%s-%d: %s", ctx.topic, ctx.partition, text, extra=spot(ctx.source))
    ctx.notes.append(text)
