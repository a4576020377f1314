"""What a snapshot of a partition holds: the state of its nodes, and what waits for files and for the commit."""

from typing import Any

from hydrodask.errors import IntegrityError
from hydrodask.nodes.context import Context
from hydrodask.protocol.snapshot import folder_of


def state_of(ctx: Context, position: int, consumed: int, *, ended: bool) -> dict[str, Any]:
    """Return the state of a graph that has taken the records below `position`, of which `consumed` were no gaps."""
    return {
        "flow": ctx.flow,
        "log": f"{ctx.log} {ctx.base}" if ctx.log else "",
        "ended": ended,
        "outbox": [(one.topic, one.key, one.value, one.headers, one.partition) for one in ctx.outbox],
        "consumed": consumed,
        "totals": dict(ctx.totals),
        "reasons": dict(ctx.reasons.counts),
        "nodes": {name: node.snapshot() for name, node in ctx.states.items()},
        "files": {name: output.snapshot(position) for name, output in ctx.files.items()},
    }


def restore(ctx: Context, offset: int, state: dict[str, Any], url: str) -> int:
    """Bring a graph to a state, and return how many records it has taken.

    Raises IntegrityError for a snapshot that does not fit; `url` is where snapshots are.
    """
    try:
        nodes, filed = state["nodes"], state["files"]
        for name, node in ctx.states.items():
            older = None if name in nodes else getattr(node, "of_before", None)
            node.restore(older(nodes) if older else nodes[name])
        for name, output in ctx.files.items():
            if name in filed or not output.keep:  # an older release has kept fewer folders
                output.restore(filed[name])
        ctx.totals.update(state["totals"])
        ctx.reasons.restore(state.get("reasons", {}))  # older ones have none
        return int(state["consumed"])
    except (ValueError, KeyError, TypeError, IntegrityError) as error:
        raise IntegrityError(
            f"the snapshot of {ctx.topic}-{ctx.partition} at {offset} does not fit this configuration ({error}); put "
            f"the configuration back, or remove {url}/{folder_of(ctx.source)} to rebuild state from the log"
        ) from error
