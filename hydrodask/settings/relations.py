"""Relations between settings: values that work each alone, and not together. Checked once, when settings are made."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hydrodask.settings.model import Settings

EMBEDDED_RECORDS = 30_000
"""Records of a partition that the embedded broker keeps for sure: 5 MiB of sensor records that are not compressed."""


def rigs_live(settings: "Settings") -> int:
    """Return of how many rigs workers report what is so now: for views, and for the operator's page if there is one."""
    shown = settings.console.rigs_max if settings.console.address is not None else 0
    return max(settings.observe.rigs_max, shown)


def broken(settings: "Settings") -> Iterator[str]:
    """Give a sentence for each relation that does not hold: keys, values, and what is wanted."""
    yield from _of_time(settings)
    yield from _of_topics(settings)
    yield from _of_rows(settings)
    yield from _of_room(settings)
    yield from _of_logins(settings)
    if (health := settings.observe.health).critical_below > health.warning_below:
        yield (
            f"observe.health.critical_below ({health.critical_below:g}) must be at most observe.health.warning_below "
            f"({health.warning_below:g}): what is critical is a warning first"
        )
    if (usual := settings.detect.usual).exit > usual.enter:
        yield (
            f"detect.usual.exit ({usual.exit:g}) must be at most detect.usual.enter ({usual.enter:g}), or no incident "
            "could come to rest"
        )


def _of_time(settings: "Settings") -> Iterator[str]:
    step, documents = settings.step, settings.documents
    if step.time_max < 2 * step.trigger:
        yield (
            f"step.time_max ({step.time_max:g} s) must be at least twice step.trigger ({step.trigger:g} s): a step "
            "polls for so long before it commits"
        )
    if documents.keep_removed < 2 * step.time_max:
        yield (
            f"documents.keep_removed ({documents.keep_removed:g} s) must be at least twice step.time_max "
            f"({step.time_max:g} s): a worker that was given up may write so late, and bring back what was removed"
        )
    window_s = settings.window.length + settings.window.lateness
    if settings.limits.rig_silence < window_s:
        yield (
            f"limits.rig_silence ({settings.limits.rig_silence:g} s) must be at least window.length + window.lateness "
            f"({window_s:g} s): a rig that is forgotten has no open windows any more"
        )
    replayed_s = _replayed_s(settings)
    if settings.topics.retention < replayed_s:
        yield _too_short("topics.retention", f"{settings.topics.retention:g} s", replayed_s)


def _replayed_s(settings: "Settings") -> float:
    """Return how far back a restart may read."""
    return settings.lake.roll_age + settings.step.snapshot_every + settings.step.patience


def _too_short(key: str, value: str, replayed_s: float) -> str:
    return (
        f"{key} ({value}) must be at least lake.roll_age + "
        f"step.snapshot_every + step.patience ({replayed_s:g} s): a restart reads again what is not in files"
    )


def _of_topics(settings: "Settings") -> Iterator[str]:
    """Hold what `topics.each` says of a topic, and what holds for all where it says nothing, against the rest."""
    for name, special in settings.topics.each.items():
        key = f"topics.each.{name}"
        yield from _of_replicas(settings, key, special)
        retention_ms = _whole(special.get("retention.ms", -1))
        if retention_ms is None:
            yield f"{key}.retention.ms is {special['retention.ms']!r}; want a whole number, -1 for endless"
        elif 0 <= retention_ms < _replayed_s(settings) * 1000 and name != "dead-letter":
            yield _too_short(f"{key}.retention.ms", f"{retention_ms / 1000:g} s", _replayed_s(settings))
        # Of labels only the newest of each rig is shown, and all are in the lake.
        if "compact" in str(special.get("cleanup.policy", "delete")) and name != "labels":
            yield (
                f"{key}.cleanup.policy ({special['cleanup.policy']}) must be delete: compaction keeps only the newest "
                "record of each key, and every key is a rig"
            )


def _of_replicas(settings: "Settings", key: str, special: Mapping[str, object]) -> Iterator[str]:
    general = settings.topics
    least = _whole(special.get("min.insync.replicas", general.min_insync))
    replicas = _whole(special.get("replication", general.replication))
    if least is None or least < 1:
        yield f"{key}.min.insync.replicas is {special['min.insync.replicas']!r}; want a whole number from 1 on"
    elif replicas is not None and least > replicas:
        where = "min.insync.replicas" if "min.insync.replicas" in special else "topics.min_insync"
        yield f"{key}: {where} ({least}) must be at most replication ({replicas}): it would take no records"


def _whole(value: object) -> int | None:
    """Return a whole number that may be written as a text; None when it is none."""
    try:
        return int(str(value))
    except ValueError:
        return None


def _of_rows(settings: "Settings") -> Iterator[str]:
    window, silent_s = settings.window, settings.detect.silent_after
    key, each_s = ("slide", window.slide) if window.emit == "final" else ("emit_every", window.emit_every)
    commit_s = settings.step.commit_every
    if silent_s is not None and silent_s < 2 * commit_s:
        yield (
            f"detect.silent_after ({silent_s:g} s) must be at least twice step.commit_every ({commit_s:g} s), or null: "
            "rows come no sooner than they are committed, and a rig that is well would be called silent"
        )
    if silent_s is not None and silent_s < 2 * each_s:
        yield (
            f"detect.silent_after ({silent_s:g} s) must be at least twice window.{key} ({each_s:g} s) with "
            f"window.emit: {window.emit}, or null: rows of a rig that is well come no more often, and it would be "
            "called silent"
        )


def _of_room(settings: "Settings") -> Iterator[str]:
    if settings.kafka.group.endswith(".marks"):
        yield (
            f"kafka.group ({settings.kafka.group!r}) must not end with .marks: what group "
            f"{settings.kafka.group.removesuffix('.marks')!r} goes on from is committed under that name"
        )
    source, rig, limits, baseline = settings.source, settings.rig, settings.limits, settings.detect.baseline
    if settings.kafka.embedded and source.unconsumed_max > EMBEDDED_RECORDS:
        yield (
            f"source.unconsumed_max ({source.unconsumed_max:,}) must be at most {EMBEDDED_RECORDS:,} with "
            "kafka.embedded: its partitions keep 5 MiB, and what they drop is lost"
        )
    if len(rig.default_id.encode()) > limits.rig_bytes:
        yield (
            f"rig.default_id ({rig.default_id!r}) must have at most limits.rig_bytes ({limits.rig_bytes}) bytes: it is "
            "longer than the name of any rig may be"
        )
    if baseline.exit > baseline.enter:
        yield (
            f"detect.baseline.exit ({baseline.exit:g}) must be at most detect.baseline.enter ({baseline.enter:g}): "
            "what begins would end at once"
        )


def _of_logins(settings: "Settings") -> Iterator[str]:
    files = {key: getattr(settings.cluster, key) for key in ("ca_file", "cert_file", "key_file")}
    missing = [f"cluster.{key}" for key, file in files.items() if file is None]
    if 0 < len(missing) < len(files):
        yield f"{' and '.join(missing)} must be set, too: cluster.ca_file, cert_file and key_file are one login"
    watch = settings.observe
    servers = {
        "learn.mlflow": (settings.learn.mlflow, settings.learn.ca_file, "learn.ca_file"),
        "observe.pushgateway": (watch.pushgateway, watch.ca_file, "observe.ca_file"),
        "observe.alertmanager": (watch.alertmanager, watch.alertmanager_ca_file, "observe.alertmanager_ca_file"),
    }
    for key, (url, file, of_file) in servers.items():
        if file is not None and url is not None and url.plain().startswith("http://"):
            yield (
                f"{key} ({url}) must begin with https://, as {of_file} is set: over http:// "
                "nobody shows a certificate, and a password goes in clear text"
            )


def within_step(settings: "Settings") -> "Settings":
    """Return settings for work that is part of a step, whose requests leave it room for the rest.

    Else a store or broker that does not answer would look like a worker that hangs: it would be fenced and ended, and
    nobody would be told what is wrong. Of what a step has besides its poll, documents get a quarter and Kafka a half.
    """
    left_s = settings.step.time_max - settings.step.trigger
    kafka = settings.kafka.model_copy(update={"timeout": min(settings.kafka.timeout, left_s / 2)})
    documents = settings.documents.model_copy(update={"timeout": min(settings.documents.timeout, left_s / 4)})
    return settings.model_copy(update={"kafka": kafka, "documents": documents})
