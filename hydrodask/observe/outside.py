"""Metrics of what is beside the flows of ours: flows from outside, and channels through which people are told. Pure."""

from collections.abc import Iterator, Sequence
from typing import Literal

from hydrodask.observe.onemetric import Series, Value
from hydrodask.reports import ChannelReport, FlowReport


def flow_series(flows: Sequence[FlowReport]) -> Iterator[Series]:
    """Yield the metrics of flows from outside, if there are any: lag, trouble, and what their nodes count."""
    if not flows:
        return
    one = ("flow",)
    lag: list[Value] = [((flow.name,), flow.lag) for flow in flows]
    yield Series("gauge", "hydrodask_flow_lag", "Records that a flow from outside has not read yet.", one, lag)
    stalled: list[Value] = [((flow.name,), flow.state == "stalled") for flow in flows]
    yield Series("gauge", "hydrodask_flow_stalled", "1 while a flow from outside has failed.", one, stalled)
    totals: list[Value] = [((flow.name, name), n) for flow in flows for name, n in sorted(flow.totals.items())]
    text = "What the nodes of a flow from outside have counted."
    yield Series("counter", "hydrodask_flow_counted", text, ("flow", "name"), totals)


_CHANNELS: tuple[tuple[Literal["gauge", "counter"], str, str, str], ...] = (
    ("gauge", "waiting", "waiting", "Messages to people that have not arrived."),
    ("gauge", "waiting_seconds", "oldest_s", "How long the oldest message that has not arrived waits."),
    ("counter", "delivered", "delivered", "Messages that have arrived."),
    ("counter", "failures", "failures", "Attempts to send a message that have failed."),
    ("counter", "given_up", "given_up", "Messages that were tried for notify.give_up, and given up."),
)


def channel_series(channels: Sequence[ChannelReport]) -> Iterator[Series]:
    """Yield how people are told, channel by channel."""
    for kind, name, attribute, text in _CHANNELS:
        values: list[Value] = [((one.name,), float(getattr(one, attribute))) for one in channels]
        yield Series(kind, f"hydrodask_messages_{name}", text, ("channel",), values)
