"""The flow: what it reads, its graph, what it writes. `flows: [rig_spikes.flow:FLOW]` puts it beside hydrodask's."""

from hydrodask.nodes import Context, Decode, Edge, Flow, Messages, WriteDocuments
from rig_spikes.node import Spikes

OVER_BAR = 2.0


def build(messages: Edge[Messages], ctx: Context) -> None:
    """Wire the graph of one partition of `hydraulic-PS1`."""
    # Messages: {"sensor": "PS1", "cycle": 3, "sample_idx": 12, "value": 151.47, "timestamp": "2026-…", …}
    samples = messages.through(Decode(ctx))

    # Documents of the collection `spikes`, written before the transaction that commits these records.
    samples.through(Spikes(over=OVER_BAR)).through(WriteDocuments(ctx))


FLOW = Flow("spikes", topics=("PS1",), build=build, collections=("spikes",))
