CREATE TABLE lake (
  `cycle` BIGINT,
  sample_idx BIGINT,
  `value` DOUBLE,
  `timestamp` TIMESTAMP(6),
  sensor STRING
) PARTITIONED BY (sensor) WITH (
  'connector' = 'filesystem',
  'path' = '{lake}',
  'format' = 'parquet',
  'parquet.compression' = 'ZSTD',
  'parquet.utc-timezone' = 'true',
  'parquet.write.int64.timestamp' = 'true',
  'parquet.timestamp.time.unit' = 'micros'
)
