"""The status document: what `run` leaves in the store every two seconds, and how it is read.

So `hydrodask status` works from any process that reaches the documents, while `run` runs and after
it.
"""

from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any

from hydrodask import clock
from hydrodask.clock import US_PER_S, Zone, iso, parse_iso
from hydrodask.episodes import DocumentFinder
from hydrodask.observe.attention import look_first
from hydrodask.observe.figures import Figures, latency_s, part_delay_s, part_lag_s
from hydrodask.observe.furthest import furthest
from hydrodask.records import Remove
from hydrodask.reports import Overview, PartitionReport
from hydrodask.settings import Settings

COLLECTION = "status"
STALE_S = 10.0
"""A document older than this is that of a run that is not running any more."""

PARTITIONS_MAX = 2_000
"""Partitions in a status document; those in trouble come first."""

RIGS_MAX = 20
"""Rigs of which it is said what was refused; those with most come first."""

RUNS_KEPT = 20
"""Status documents of earlier runs that stay."""

ENDED = ("stopped", "failed")
"""States in which a run says goodbye."""

TOTALS = (
    "consumed", "kept", "late", "dead", "lost",
    "windows", "cycles", "unprofiled", "short", "anomalies", "incidents", "files", "file_bytes",
)  # fmt: skip


def status_document(
    overview: Overview,
    *,
    now_us: int | None = None,
    links: Mapping[str, str] | None = None,
    places: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the body of the status document: JSON values, times in ISO 8601.

    `links` and `places` say where things are, by name.
    """
    now_us = clock.now_us() if now_us is None else now_us
    figures = Figures(overview)
    parts = sorted(figures.parts, key=lambda part: part not in figures.troubled)
    return {
        "run_id": overview.run_id,
        "state": overview.state,
        "started_at": iso(overview.started_us),
        "updated_at": iso(now_us),
        "updated_us": now_us,
        "workers": dict(overview.workers),
        "records_per_s": round(overview.records_per_s, 3),
        "lag": figures.lag,
        "lag_s": round(figures.lag_s(now_us), 3),
        "watermark_delay_s": None if figures.delay_s is None else round(figures.delay_s, 3),
        "commit_age_s": round(overview.commit_age_s, 3),
        "latency_s": {
            "p50": _finite(latency_s(overview.latency_counts, 0.5)),
            "p99": _finite(latency_s(overview.latency_counts, 0.99)),
        },
        "steps": overview.steps,
        "progress": overview.progress,
        "totals": {name: overview.total(name) for name in TOTALS},
        "dead_reasons": [{"reason": reason, "count": count} for reason, count in figures.reasons],
        "partitions": [_partition(part, now_us) for part in parts[:PARTITIONS_MAX]],
        "partitions_hidden": max(0, len(parts) - PARTITIONS_MAX),
        "rigs": dict(list(figures.refused.items())[:RIGS_MAX]),
        "silent": [list(key) for key in sorted(figures.silent)],
        "components": _components(figures),
        "cycles": _usual(figures),
        "look_first": [
            {"rig": rig, "attention": attention, "why": why} for rig, attention, why in look_first(figures)[:RIGS_MAX]
        ],
        "drift": _drift(figures),
        "flows": [asdict(flow) for flow in overview.flows],
        "channels": [asdict(one) for one in overview.channels],
        "notes": list(overview.notes),
        "links": dict(links or {}),
        "places": dict(places or {}),
    }


def places_of(settings: Settings) -> dict[str, str]:
    """Return where things are, without passwords."""
    found = {
        "broker": "embedded" if settings.kafka.embedded else settings.kafka.bootstrap,
        "lake": settings.lake_url,
        "documents": settings.documents_url,
        "snapshots": settings.snapshots_url,
    }
    return {name: str(where) for name, where in found.items()}


def newest_status(documents: DocumentFinder) -> dict[str, Any] | None:
    """Return the newest run's status document; None when nothing has ever run here."""
    found = documents.find(COLLECTION, {}, limit=1, newest_first="updated_us")
    return found[0] if found else None


def outdated(documents: DocumentFinder, group: str) -> list[Remove]:
    """Return the removal of status documents of long-gone runs of a group, at most 100 at a time."""
    found = documents.find(COLLECTION, {"group": group}, limit=RUNS_KEPT + 100, newest_first="updated_us")
    return [Remove(COLLECTION, one["_id"], one["revision"] + 1) for one in found[RUNS_KEPT:]]


def liveness(document: Mapping[str, Any], now_us: int, zone: Zone | None = None) -> tuple[bool, str]:
    """Return whether the run is running, and a sentence that says so, with times in `zone` (else UTC)."""
    zone = zone or Zone()
    age_s = (now_us - int(document["updated_us"])) / US_PER_S
    state, seen = str(document["state"]), zone.full(int(document["updated_us"]))
    if state in ENDED:
        return False, f"not running: {state} at {seen}"
    if age_s > STALE_S:
        return False, f"not running since {seen}: it ended without saying so, and was {state}"
    return True, f"{state}, started {zone.full(parse_iso(str(document['started_at'])))}"


def _finite(value: float | None) -> float | None:
    """Return `value` as JSON can hold it."""
    return None if value is None or value == float("inf") else value


def _components(figures: Figures) -> dict[str, dict[str, Any]]:
    """Return what the models said last, by rig and component."""
    return {
        rig: {
            name: {
                "state": one.state,
                "probability": round(one.probability, 4),
                "model_version": one.version,
                "time": one.end,
                "severity": None if one.severity is None else [round(number, 3) for number in one.severity],
                "worse_in_hours": one.worse_in_hours,
            }
            for name, one in said.items()
        }
        for rig, said in figures.components.items()
    }


def _usual(figures: Figures) -> dict[str, dict[str, Any]]:
    """Return what was said of each rig's newest load cycle, those first that deserve a look."""
    return {
        rig: {
            "state": one.state,
            "score": round(one.score, 4) if isfinite(one.score) else None,
            "threshold": one.threshold,
            "attention": one.attention,
        }
        for rig, one in list(figures.usual.items())[:RIGS_MAX]
    }


def _drift(figures: Figures) -> dict[str, Any]:
    """Return how far today's cycles are from the training data: the worst feature, and all of them."""
    found = furthest(figures.parts)
    if not found:
        return {}
    worst = max(found, key=lambda name: found[name][1])
    features = {n: {"index": round(i, 4), "outside": round(o, 4)} for n, (i, o) in found.items()}
    return {"worst": worst, "outside": round(found[worst][1], 4), "features": features}


def _partition(part: PartitionReport, now_us: int) -> dict[str, Any]:
    delay_s = part_delay_s(part)
    return {
        "flow": part.flow,
        "topic": part.topic,
        "partition": part.partition,
        "state": part.state,
        "advice": part.advice,
        "position": part.position,
        "committed": part.committed,
        "durable": part.durable,
        "end": part.end,
        "log": part.log,
        "base": part.base,
        "logs": part.logs,
        "lag": part.lag,
        "lag_s": round(part_lag_s(part, now_us), 3),
        "watermark": None if part.watermark_us is None else iso(part.watermark_us),
        "watermark_delay_s": None if delay_s is None else round(delay_s, 3),
        "keys": part.keys,
        "late": part.totals.get("late", 0),
        "dead": part.totals.get("dead", 0),
        "totals": dict(part.totals),
    }
