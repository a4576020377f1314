"""The 17 sensors of a rig: what each measures, in which unit, how often, in which range.

Source of the ranges: smallest and largest value seen in the UCI condition-monitoring archive (DOI 10.24432/C5CW21).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CYCLE_S = 60
"""Length of one load cycle of the rig, seconds."""

WHOLE = 0.9
"""Share of a cycle's samples from which on its largest value is known."""

SMALL, STILL = 1 / 9, 1 / 200
"""A sensor that should go from 0 to `high` and stays below the first share of it is in another unit (MPa is a tenth of
bar); below the second it shows the noise of a rig that stands still."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One sensor. `rate_hz` is its native sampling rate; `low`..`high` what a real rig has shown, in `unit`.

    One that `rests` stays at or near 0 for whole load cycles on a rig that is well: no unit can be told of it then.
    """

    name: str
    quantity: str
    unit: str
    rate_hz: int
    low: float
    high: float
    rests: bool = False

    @property
    def samples_per_cycle(self) -> int:
        """Samples in one load cycle."""
        return self.rate_hz * CYCLE_S

    def far(self, lowest: Any, mean: Any, highest: Any, *, whole: Any = True) -> Any:
        """Say of values (or arrays of them) whether they are far outside `low`..`high`: no rig's fault looks like that.

        By more than the whole range, or less than a third of the smallest value: another unit does. Of a `whole` cycle
        or longer also when it stays within a ninth of `high`, and shows more than the noise of a rig that stands still.

        >>> CHANNELS["CE"].far(0.2, 0.3, 0.45), CHANNELS["TS1"].far(95.0, 99.0, 105.0), CHANNELS["CE"].far(15, 16, 18)
        (True, True, False)
        >>> CHANNELS["SE"].far(0.0, 0.5, 0.7), CHANNELS["PS2"].far(0.0, 10.4, 16.7), CHANNELS["PS2"].far(0.0, 0.0, 0.1)
        (True, True, False)
        """
        span = self.high - self.low
        beyond = (highest > self.high + span) | (lowest < self.low - span) | ((mean < self.low / 3) & (self.low > 0))
        return beyond | (whole & self._small(highest))

    def _small(self, highest: Any) -> Any:
        goes_far = self.low == 0 and not self.rests  # every cycle: 0.122 of `high` is the least that one has shown
        return goes_far & (highest < self.high * SMALL) & (highest > self.high * STILL)

    def doubt(self, lowest: float, highest: float) -> str:
        """Return a sentence about values that are far outside.

        >>> CHANNELS["CE"].doubt(0.2, 0.45).partition(":")[0]
        'CE from 0.2 to 0.45 is far outside what rigs have shown, 17 to 48.8 %'
        """
        reached = ", and far above 0 in each cycle" if self._small(highest) else ""
        return (
            f"{self.name} from {lowest:.4g} to {highest:.4g} is far outside what rigs have shown, {self.low:g} to "
            f"{self.high:g} {self.unit}{reached}: is it in another unit, or the sensor broken?"
        )


CHANNELS: dict[str, Channel] = {
    channel.name: channel
    for channel in (
        Channel("PS1", "pressure", "bar", 100, 133.1, 191.9),
        Channel("PS2", "pressure", "bar", 100, 0.0, 167.8),
        Channel("PS3", "pressure", "bar", 100, 0.0, 18.8),
        Channel("PS4", "pressure", "bar", 100, 0.0, 10.27, rests=True),
        Channel("PS5", "pressure", "bar", 100, 8.32, 10.04),
        Channel("PS6", "pressure", "bar", 100, 8.27, 9.91),
        Channel("EPS1", "motor power", "W", 100, 2098.0, 2995.0),
        Channel("FS1", "volume flow", "l/min", 10, 0.0, 20.5),
        Channel("FS2", "volume flow", "l/min", 10, 8.76, 10.45),
        Channel("TS1", "temperature", "°C", 1, 34.98, 58.21),
        Channel("TS2", "temperature", "°C", 1, 40.7, 62.2),
        Channel("TS3", "temperature", "°C", 1, 38.1, 59.5),
        Channel("TS4", "temperature", "°C", 1, 30.4, 53.1),
        Channel("VS1", "vibration", "mm/s", 1, 0.483, 2.546),
        Channel("CE", "cooling efficiency", "%", 1, 17.0, 48.8),
        Channel("CP", "cooling power", "kW", 1, 1.02, 2.91),
        Channel("SE", "efficiency factor", "%", 1, 0.0, 100.6),
    )
}
"""Every sensor by name, in the archive's order."""

SENSORS: tuple[str, ...] = tuple(CHANNELS)
"""Names of the 17 sensors."""


def is_header(texts: Sequence[bytes]) -> bool:
    """Say whether the values of a row are the numbers of its columns, as tables are saved with: no cycle looks so.

    Such a row is in the middle, too, where tables were put together.

    >>> is_header(b"0 1 2 3 4".split()), is_header(b"1.0 2.0 3e0".split()), is_header(b"3 100 0 130 0".split())
    (True, True, False)
    """
    try:
        first = float(texts[0]) if texts else -1.0
        if first not in (0.0, 1.0) or float(texts[-1]) != first + len(texts) - 1:  # nearly always: no need for the rest
            return False
        return all(float(text) == first + place for place, text in enumerate(texts))
    except ValueError:
        return False
