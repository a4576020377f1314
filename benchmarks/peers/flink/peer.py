"""Flink SQL, in one process as its local executor runs it."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers import jvm
from benchmarks.peers.contract import Peer, Work
from hydrodask.services.service import Say

HERE = Path(__file__).resolve().parent
OPENS = tuple(
    f"--add-opens=java.base/java.{name}=ALL-UNNAMED"
    for name in ("io", "lang", "lang.invoke", "lang.reflect", "net", "nio", "text", "time", "util", "util.concurrent")
)
"""Of Java's own, what Flink's default configuration lets Flink reach into."""

JVM = ("-Xms4g", "-Xmx4g", "-XX:+UseParallelGC", *OPENS, *jvm.LOGS)
OPTIONS = {
    "execution.target": "local",
    "parallelism.default": "2",
    "pipeline.object-reuse": "true",
    "execution.checkpointing.interval": "5 s",
    "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    "taskmanager.memory.managed.size": "512 mb",
    **dict.fromkeys(
        ("rest.address", "rest.bind-address", "jobmanager.bind-host", "taskmanager.bind-host"), "127.0.0.1"
    ),
}
LIVE = {
    "execution.checkpointing.interval": "500 ms",
    "table.exec.emit.early-fire.enabled": "true",
    "table.exec.emit.early-fire.delay": "500 ms",
}


def _install(say: Say) -> Mapping[str, str]:
    return jvm.install(HERE, ("flink-core", "flink-connector-kafka", "kafka-clients"), say)


def _command(work: Work) -> list[str]:
    inserts = ["windows", "raw"] if work.job == "both" else [work.job]
    tables = ["records", *inserts]
    if work.live:
        inserts = ["open_windows"]
        tables += inserts
    given = {
        "topics": ";".join(work.inputs.values()),
        "bootstrap": work.bootstrap,
        "name": work.name,
        "output": work.output,
        "lake": work.lake.as_uri(),
    }
    statements = [_sql(name).format_map(given) for name in tables]
    statements.append(f"EXECUTE STATEMENT SET BEGIN {''.join(_sql(f'insert_{name}') for name in inserts)} END")
    options = OPTIONS | {"execution.checkpointing.dir": (work.state / "checkpoints").as_uri()}
    options |= (LIVE if work.live else {}) | _newest(work)
    return jvm.command(HERE, JVM, ["\n\n".join(statements), *(f"{k}={v}" for k, v in options.items())])


def _sql(name: str) -> str:
    return (HERE / f"{name}.sql").read_text(encoding="utf-8")


def _newest(work: Work) -> dict[str, str]:
    """Return the option to start from the newest checkpoint: nobody does it for a cluster that dies with its job."""
    found = max(work.state.glob("checkpoints/*/chk-*/_metadata"), key=lambda p: p.stat().st_mtime_ns, default=None)
    return {"execution.state-recovery.path": found.parent.as_uri()} if found else {}


def _files(work: Work) -> list[Path]:
    """Return the files that a checkpoint has finished: their names have no ending, and the others' begin with a dot."""
    return list(work.lake.glob("sensor=*/part-*"))


PEERS = (
    Peer(
        "flink",
        guarantee="exactly once: Kafka transactions and Parquet files, a checkpoint each",
        settings="SQL, parallelism 2, state on the heap, checkpoints every 5 s (live: 0.5 s, early firing 0.5 s)",
        install=_install,
        command=_command,
        files=_files,
        footnotes=(
            "Windows are the table function HOP; live runs use the older GROUP BY HOP, as only that fires early.",
            "Its watermark is that of all sensors: rows wait for the slowest. They are seen at checkpoints.",
            "After a kill it is started from the newest checkpoint, as a cluster's high availability would do.",
            "Transactions that it has to commit then are fenced (ProducerFencedException), and their rows lost.",
        ),
    ),
)
