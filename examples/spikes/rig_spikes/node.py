"""The node: from samples to spikes. It knows neither the graph nor Kafka, so it can be tested with arrays."""

from typing import Any

from hydrodask.nodes import RIGS, Change, Node, Samples, Upsert, iso


class Spikes(Node[Samples, list[Change]]):
    """Samples → a document for each that differs by more than `over` from the rig's sample before it.

    >>> Spikes(over=5.0).snapshot()
    {'last': {}}
    """

    name = "spikes"

    def __init__(self, *, over: float) -> None:
        self.over = over
        self.last: dict[str, float] = {}

    def take(self, batch: Samples) -> list[Change] | None:
        found: list[Change] = []
        rows = zip(batch.rig.tolist(), batch.value.tolist(), batch.time_us.tolist(), batch.offset.tolist(), strict=True)
        for code, value, time_us, offset in rows:
            rig = RIGS.name(code)
            jump = value - self.last.get(rig, value)
            self.last[rig] = value
            if abs(jump) > self.over:
                body = {"rig": rig, "sensor": batch.sensor, "at": iso(time_us), "value": value, "jump": jump}
                found.append(Upsert("spikes", f"{batch.topic}-{batch.partition}-{offset}", offset, body))
        return found or None

    def snapshot(self) -> dict[str, Any]:
        return {"last": dict(sorted(self.last.items()))}

    def restore(self, state: dict[str, Any]) -> None:
        self.last = dict(state["last"])
