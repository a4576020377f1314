"""What a source of samples hands to the publisher: one sensor of one rig for about a second."""

from dataclasses import dataclass, field, replace

from hydrodask.records import Float64, Int64


@dataclass(slots=True)
class Chunk:
    """Samples of one sensor of one rig by event time; every column has shape (n,).

    `send_us` is when to publish each, on the axis of event time: equal to `time_us` unless a fault
    delays the transport or the rig's clock is wrong. `raw` maps a position to the bytes to publish
    there instead of the JSON record. Columns of several chunks may share memory: replace them,
    never write into them.
    """

    rig: str | None
    sensor: str
    cycle: Int64
    sample_idx: Int64
    value: Float64
    time_us: Int64
    send_us: Int64
    rate_hz: int
    raw: dict[int, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.send_us)

    def take(self, which: Int64) -> "Chunk":
        """Return the chosen rows in the given order; a row may be chosen twice."""
        raw = {n: self.raw[old] for n, old in enumerate(which.tolist()) if old in self.raw}
        return replace(
            self,
            cycle=self.cycle[which],
            sample_idx=self.sample_idx[which],
            value=self.value[which],
            time_us=self.time_us[which],
            send_us=self.send_us[which],
            raw=raw,
        )
