"""What the detector knows of one sensor of one rig."""

from hydrodask.detect.incidents import Track
from hydrodask.detect.judge import BaselineJudge

NEVER_US = -(1 << 62)
"""Before any window."""


class KeyState:
    """What is known of one (rig, sensor).

    `steady`: it has had a full window since it began; `last_us`: the start of its newest final window, and `before_us`
    of the newest one that earlier criteria have judged.
    """

    __slots__ = ("baselines", "before_us", "last_us", "steady", "tracks")

    def __init__(self, baselines: tuple[BaselineJudge, ...]) -> None:
        self.last_us = self.before_us = NEVER_US
        self.steady = False
        self.baselines = baselines
        self.tracks: dict[str, Track] = {}


def alarm(state: KeyState, name: str) -> bool:
    """Say whether a rule is broken, as far as is known now."""
    track = state.tracks.get(name)
    return track is not None and track.alarm


def keep(state: KeyState, name: str, track: Track) -> None:
    """Keep a track only while it says something: most keys have none, and snapshots stay small."""
    if track.idle:
        state.tracks.pop(name, None)
    else:
        state.tracks[name] = track


def begin_anew(state: KeyState) -> None:
    """Take note that what comes is not in a row with what was."""
    state.steady = False
    for track in state.tracks.values():
        track.run = 0


def plain(state: KeyState) -> list[object]:
    """Return a state as plain values."""
    baselines = {j.statistic: j.baseline.snapshot() for j in sorted(state.baselines, key=lambda j: j.statistic)}
    tracks = {name: state.tracks[name].snapshot() for name in sorted(state.tracks)}
    return [state.last_us, state.steady, baselines, tracks, state.before_us]
