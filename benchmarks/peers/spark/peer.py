"""Spark Structured Streaming, PySpark on local cores: as teams run it, and as fast as we could make it."""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmarks.peers import pip
from benchmarks.peers.contract import Peer, Work
from hydrodask.services import maven, pinned
from hydrodask.services.service import Say

HERE = Path(__file__).resolve().parent
WORK = HERE / ".work"
HOME = pip.venv(HERE) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages" / "pyspark"
LOCKS = ("build.lock", "requirements.lock")
"""PySpark comes as source: what builds it is pinned too, and goes first."""

ALWAYS = {
    "spark.master": "local[2]",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraClassPath": f"{WORK}/jars/*",
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
PLAIN = {
    "spark.driver.memory": "4g",
    # Each of the default 200 has a state file to write for each batch: two cores need longer for that than a trigger.
    "spark.sql.shuffle.partitions": "8",
}
TUNED = {
    "spark.driver.memory": "6g",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.maxConcurrentOutputFileWriters": "32",  # else each task sorts its records by sensor first
    "spark.sql.parquet.compression.codec": "zstd",
    # Files are made in this process, as on HDFS; Hadoop's own local file system starts a chmod for each (see pom.xml).
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
}
LIVE = {"spark.sql.streaming.noDataMicroBatches.enabled": "false"}
"""With updates an empty batch after each would only tidy up, and the next one can do that."""

FETCHES = {
    # After each poll the connector asks for the ends of the log, and the broker answers a connection in turn: first the
    # client's next fetch, by default half a second later where records are rare.
    "kafka.fetch.max.wait.ms": "10",
    "kafka.max.poll.records": "10000",
    "kafka.max.partition.fetch.bytes": "8388608",
    "kafka.receive.buffer.bytes": "1048576",
}


def install(say: Say) -> Mapping[str, str]:
    """Make PySpark's environment and fetch the Kafka connector; return their versions."""
    maven.install(HERE, WORK / "jars", say)
    versions = pip.install(HERE, ("pyspark",), say, locks=LOCKS, options="--no-build-isolation")
    jars = " ".join(pinned.read_checksums(HERE / "checksums.txt"))
    names = ("spark-sql-kafka-0-10_2.13", "kafka-clients")
    return {**versions, **{name: re.findall(rf"\b{re.escape(name)}-([\d.]+)\.jar", jars)[0] for name in names}}


def starter(
    conf: Mapping[str, str], *, jvm: str = "", live: Mapping[str, str] | None = None, **order: Any
) -> Callable[[Work], list[str]]:
    """Return what makes the command: `spark-submit` becomes the one JVM that does all, so a kill hits everything."""

    def command(work: Work) -> list[str]:
        places = f"-Djava.io.tmpdir={work.state} -Dlog4j2.configurationFile={(HERE / 'log4j2.properties').as_uri()}"
        settings = {
            **ALWAYS,
            **conf,
            **((live or {}) if work.live else {}),
            "spark.app.name": work.name,
            "spark.local.dir": f"{work.state}/scratch",
            "spark.driver.extraJavaOptions": f"{places} {jvm}".strip(),
        }
        options = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
        given: dict[str, Any] = {
            "job": work.job,
            "live": work.live,
            "bootstrap": work.bootstrap,
            "topics": list(work.inputs.values()),
            "output": work.output,
            "lake": str(work.lake),
            "state": str(work.state),
            **order,
        }
        return [str(HOME / "bin" / "spark-submit"), *options, str(HERE / "job.py"), json.dumps(given)]

    return command


def variables(_work: Work) -> Mapping[str, str]:
    """Return where Spark is, and the address that it may use."""
    return {
        "SPARK_HOME": str(HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": pip.python(HERE),
        "PYSPARK_DRIVER_PYTHON": pip.python(HERE),
    }


def committed_files(work: Work) -> list[Path]:
    """Return the files in the sink's log: a batch that did not end leaves others beside them.

    The log is a file of JSON lines a batch, and now and then one `N.compact` that has all up to batch N.
    """
    log = work.lake / "_spark_metadata"
    entries = (
        {int(p.stem): p for p in log.glob("*") if re.fullmatch(r"\d+(\.compact)?", p.name)} if log.exists() else {}
    )
    compact = max((number for number, p in entries.items() if p.suffix), default=-1)
    return [
        Path(unquote(urlsplit(json.loads(line)["path"]).path))
        for number, path in entries.items()
        if number >= compact
        for line in path.read_text(encoding="utf-8").splitlines()[1:]
    ]


GUARANTEE = "windows at least once (Kafka sink), Parquet exactly once (files in the sink's log)"
FOOTNOTES = (
    "Spark's watermark is one for all topics, moves between batches, and windows are final a batch later.",
    "For the live case windows are written in update mode, else in append mode.",
    "The real-time trigger of Spark 4.2 takes no aggregations.",
)

PEERS = (
    Peer(
        "spark",
        guarantee=GUARANTEE,
        settings="trigger 5 s, 1 million records a batch at most, 8 shuffle partitions; `both`: two queries on Kafka",
        install=install,
        command=starter(
            PLAIN, trigger="5 seconds", panes=False, chained=False, source={"maxOffsetsPerTrigger": "1000000"}
        ),
        footnotes=FOOTNOTES,
        variables=variables,
        files=committed_files,
    ),
    Peer(
        "spark-tuned",
        guarantee=GUARANTEE,
        settings="trigger 0, 2 million records a batch at most, 2 shuffle partitions, windows from panes of 10 s, "
        "large and quick fetches, 6 GB heap, ParallelGC; `both`: windows read what the other query has stored",
        install=install,
        command=starter(
            TUNED,
            jvm="-XX:+UseParallelGC",
            live=LIVE,
            trigger="0 seconds",
            panes=True,
            chained=True,
            source={"maxOffsetsPerTrigger": "2000000", **FETCHES},
        ),
        footnotes=FOOTNOTES,
        variables=variables,
        files=committed_files,
    ),
)
