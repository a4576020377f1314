-- Transactions have the names that the sink gives by default: with pooled ones a kill leaves one open, and readers wait
-- until it times out (FLINK-40626).
CREATE TABLE windows (
  sensor STRING NOT NULL,
  window_start TIMESTAMP(3) NOT NULL,
  avg_value DOUBLE,
  max_value DOUBLE,
  min_value DOUBLE,
  stddev_value DOUBLE,
  range_value DOUBLE,
  sample_count BIGINT
) WITH (
  'connector' = 'kafka',
  'topic' = '{output}',
  'properties.bootstrap.servers' = '{bootstrap}',
  'properties.transaction.timeout.ms' = '600000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = '{name}',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601'
)
