"""Check what a snapshot says besides the states of operators: of which flow and log it is, totals, reasons, positions.

Read = kept + late + dead: what a snapshot counts has to add up, and where the records are there it is counted again.
"""

from collections.abc import Iterator
from typing import Any

from hydrodask.audit.chain import end_of
from hydrodask.audit.finding import Result
from hydrodask.audit.mending import aside
from hydrodask.audit.part import Part
from hydrodask.audit.snapshots import Snapshot
from hydrodask.ingest.topics import all_topics

State = dict[str, Any]


def check_totals(part: Part, flow: str, result: Result) -> None:
    """Say which snapshot of a partition contradicts itself, or the place where it lies."""
    for taken in part.snapshots:
        for why in _problems(part, taken, flow):
            result.found(taken.path, why, mend=aside(taken.path))


def _problems(part: Part, taken: Snapshot, flow: str) -> Iterator[str]:
    state = taken.state
    if state.get("flow") != flow:
        yield f"it is of flow {state.get('flow')!r}, and partitions of {part.source[0]} are of {flow}"
    else:
        yield from _of_log(part, taken)
        yield from _of_places(part, taken)
        yield from _of_outbox(part, state)
        yield from _of_counts(taken, flow)


def _of_log(part: Part, taken: Snapshot) -> Iterator[str]:
    text = taken.state.get("log", "")
    if text and text not in [one.text for one in part.known]:
        yield f"it is of log {text!r}, and that is none of those that this partition has read"
    if not isinstance(taken.state.get("ended", False), bool):
        yield f"ended is {taken.state['ended']!r}, want true or false"


def _of_places(part: Part, taken: Snapshot) -> Iterator[str]:
    """Give what lies beyond the offset that the snapshot is of.

    Files may: who died after them began anew at an earlier commit, and has stored a snapshot on the way back to them.
    """
    for name, node in taken.state.get("nodes", {}).items():
        if int(node.get("next_offset", 0)) > taken.offset:
            yield f"its state of {name} is of offset {node['next_offset']}, the snapshot of {taken.offset}"
    for folder, output in taken.state.get("files", {}).items():
        there = max(taken.offset, end_of(part.chains.get(folder, [])))
        if not 0 <= output["first"] <= max(output["position"], output["first"]) <= there:
            yield f"it has rows of {folder}/ in files up to {output['position']}, and is of offset {taken.offset}"
        elif folder != "raw" and not output["waiting"] and output["position"] < taken.offset:
            yield f"no row of {folder}/ waits, and yet it knows none from {output['position']} up to its own offset"


def _of_outbox(part: Part, state: State) -> Iterator[str]:
    ours = {topic.name for topic in all_topics(part.settings)}
    strange = [str(one[0]) for one in state.get("outbox", []) if one[0] not in ours]
    if strange:
        yield f"it holds records that are to be published to {strange[0]!r}, which is no topic of ours"


def _of_counts(taken: Snapshot, flow: str) -> Iterator[str]:
    state = taken.state
    counts = {"kept": 0, "dead": 0, "lost": 0, **state.get("totals", {}), "consumed": state.get("consumed", 0)}
    if wrong := [name for name, value in counts.items() if not isinstance(value, int) or value < 0]:
        yield f"its count of {wrong[0]} is {counts[wrong[0]]!r}"
        return
    read, dead = counts["consumed"], counts["dead"]
    if (by_reason := sum(state.get("reasons", {}).values())) > dead:  # an older release has counted none
        yield f"it counts {dead} dead letters, and {by_reason} by their reasons"
    if read + counts["lost"] > taken.offset:
        yield f"it counts {read} read and {counts['lost']} lost below offset {taken.offset}"
    windows = state.get("nodes", {}).get("windows")
    kept = counts["kept"] if windows is None else int(windows["kept"]) + int(windows["late"])
    # A profile that decodes and can't be joined is kept and dead.
    if not 0 <= kept + dead - read <= (dead if flow == "score" else 0):
        yield f"it has read {read}, and {kept} kept or late and {dead} dead are others"
    if windows is not None:
        yield from _of_tally(state["nodes"].get("tally", {}), int(windows["kept"]), int(windows["late"]))
    if flow == "alert":
        yield from _of_rigs(state.get("nodes", {}).get("detector", {}))


def _of_tally(tally: State, kept: int, late: int) -> Iterator[str]:
    """Give how the counts by rig contradict those of all; rigs that have been gone for long are in neither."""
    counts = tally.get("totals")
    if counts is not None and len(counts):
        of_rigs = counts[:, 0].sum(), counts[:, 1].sum()
        if of_rigs[0] > kept or of_rigs[1] > late or counts.min() < 0:
            yield f"its tally counts {of_rigs[0]} kept and {of_rigs[1]} late by rig, and there were {kept} and {late}"


def _of_rigs(detector: State) -> Iterator[str]:
    """Give how what is counted by rig contradicts what is counted by rig, sensor and rule."""
    if "anomalies" not in detector:
        return
    for rig, counts in detector.get("per_rig", {}).items():
        single = sum(count for of, _sensor, _rule, count in detector["anomalies"] if of == rig)
        if counts.get("anomalies", 0) < single:  # an older release did not count by sensor and rule
            yield f"it counts {counts.get('anomalies', 0)} anomalies of rig {rig!r}, and {single} by sensor and rule"
