"""score: from cycle profiles to the state of each component, by the registered champions, and to unusual cycles."""

from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge
from hydrodask.nodes.judging import DecodeJson, WriteDocuments
from hydrodask.nodes.scoring import JoinSensors, Score, StoreScores
from hydrodask.nodes.usual import Compare
from hydrodask.records import CycleRecord, Messages


def build(messages: Edge[Messages], ctx: Context) -> None:
    """Wire the graph of one partition of `hydraulic-cycles`."""
    # Messages: {"rig": "rig-1", "sensor": "PS2", "cycle": 3, "cycle_start": "2026-…", "mean": [148.9, …], …}
    rows = messages.through(DecodeJson(ctx, CycleRecord))

    # (offset, cycle of one rig with its 17 sensors), or with those that came before the next cycle was complete.
    cycles = rows.through(JoinSensors(ctx))

    # Upserts of `components` (state, probability, model version) and of `incidents` when a state has changed.
    score = Score(ctx)
    changes = cycles.through(score)

    # Written before the transaction that commits the profiles' offsets: a crash between the two repeats them.
    changes.through(WriteDocuments(ctx))

    # Upserts of `components` (RIG/cycle: usual or not, score, where) and of `incidents`, by what the rig itself has
    # shown in its first hours: nothing has to be trained, nor labelled.
    compare = Compare(ctx)
    cycles.through(compare).through(WriteDocuments(ctx))

    # Scored: {"component": "cooler", "verdict": "fault", "severity": "critical", "state": 3, "probability": 0.99, …}
    score.scores.together_with(compare.scores).through(StoreScores(ctx))
