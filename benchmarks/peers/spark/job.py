"""The benchmarks' job on Spark Structured Streaming: `spark-submit job.py ORDER`, with the order as JSON (see peer.py).

Runs in an environment of its own, and imports nothing of this project.
"""

import json
import sys
from types import SimpleNamespace

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

RECORD = "cycle BIGINT, sample_idx BIGINT, value DOUBLE, timestamp TIMESTAMP, sensor STRING"
READING = "value DOUBLE, timestamp TIMESTAMP, sensor STRING"
"""What windows need of a record: the parser skips the rest."""

LATENESS = "10 seconds"
LENGTH, SLIDE = "60 seconds", "10 seconds"


def main(order: SimpleNamespace) -> None:
    """Start the queries that the order asks for, and run until one fails or somebody ends the process."""
    spark = SparkSession.builder.getOrCreate()
    if order.job in {"raw", "both"}:
        store(from_kafka(spark, order, RECORD), order)
    if order.job in {"windows", "both"}:
        stored = order.job == "both" and order.chained
        readings = from_lake(spark, order) if stored else from_kafka(spark, order, READING)
        make = from_panes if order.panes and not order.live else directly
        publish(make(readings.withWatermark("timestamp", LATENESS)), order)
    spark.streams.awaitAnyTermination()


def from_kafka(spark: SparkSession, order: SimpleNamespace, schema: str) -> DataFrame:
    """Return these fields of the records of all topics."""
    options = {
        "kafka.bootstrap.servers": order.bootstrap,
        "subscribe": ",".join(order.topics),
        "startingOffsets": "earliest",
        "kafka.isolation.level": "read_committed",
        **order.source,
    }
    source = spark.readStream.format("kafka").options(**options).load()
    return source.select(f.from_json(f.col("value").cast("string"), schema).alias("record")).select("record.*")


def from_lake(spark: SparkSession, order: SimpleNamespace) -> DataFrame:
    """Return the records that the other query has stored, as it stores them: parsed once, and smaller."""
    return spark.readStream.schema(RECORD).parquet(order.lake).select("value", "timestamp", "sensor")


def directly(records: DataFrame) -> DataFrame:
    """Return windows, each record counted in the six that it belongs to."""
    value = f.col("value")
    return records.groupBy(f.window("timestamp", LENGTH, SLIDE), "sensor").agg(
        f.avg(value).alias("avg_value"),
        f.max(value).alias("max_value"),
        f.min(value).alias("min_value"),
        f.stddev_samp(value).alias("stddev_value"),
        f.count(value).alias("sample_count"),
    )


def from_panes(records: DataFrame) -> DataFrame:
    """Return windows made of panes of 10 s, so that each record is counted once; final ones only."""
    value = f.col("value")
    panes = records.groupBy(f.window("timestamp", SLIDE), "sensor").agg(
        f.count(value).alias("n"),
        f.avg(value).alias("mean"),
        (f.var_pop(value) * f.count(value)).alias("m2"),
        f.max(value).alias("high"),
        f.min(value).alias("low"),
    )
    windows = panes.groupBy(f.window("window", LENGTH, SLIDE), "sensor").agg(
        f.collect_list(f.struct("n", "mean", "m2")).alias("parts"),
        f.sum("n").alias("sample_count"),
        (f.sum(f.col("n") * f.col("mean")) / f.sum("n")).alias("avg_value"),
        f.max("high").alias("max_value"),
        f.min("low").alias("min_value"),
    )
    squares = f.aggregate("parts", f.lit(0.0), _with_part)
    return windows.withColumn("stddev_value", f.sqrt(squares / (f.col("sample_count") - 1)))


def _with_part(total: Column, part: Column) -> Column:
    """Return the sum of squares around the window's mean, with one pane more."""
    away = part["mean"] - f.col("avg_value")
    return total + part["m2"] + part["n"] * away * away


def publish(windows: DataFrame, order: SimpleNamespace) -> None:
    """Start the query that publishes windows: open ones at each trigger if live, else each once when it is final."""
    row = f.struct(
        "sensor",
        f.unix_millis(f.col("window.start")).alias("window_start"),
        *("avg_value", "max_value", "min_value", "stddev_value"),
        (f.col("max_value") - f.col("min_value")).alias("range_value"),
        "sample_count",
    )
    sink = windows.select(f.col("sensor").alias("key"), f.to_json(row).alias("value")).writeStream.format("kafka")
    sink = sink.option("kafka.bootstrap.servers", order.bootstrap).option("topic", order.output)
    sink = sink.outputMode("update" if order.live else "append").queryName("windows")
    sink.trigger(processingTime=order.trigger).option("checkpointLocation", f"{order.state}/windows").start()


def store(records: DataFrame, order: SimpleNamespace) -> None:
    """Start the query that stores records as Parquet, in a folder a sensor."""
    sink = records.writeStream.format("parquet").partitionBy("sensor").option("path", order.lake).queryName("raw")
    sink.trigger(processingTime=order.trigger).option("checkpointLocation", f"{order.state}/raw").start()


if __name__ == "__main__":
    main(SimpleNamespace(**json.loads(sys.argv[1])))
