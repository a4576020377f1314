CREATE TABLE records (
  sensor STRING,
  `cycle` BIGINT,
  sample_idx BIGINT,
  `value` DOUBLE,
  `timestamp` TIMESTAMP(6),
  event_time AS CAST(`timestamp` AS TIMESTAMP(3)),
  WATERMARK FOR event_time AS event_time - INTERVAL '10' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = '{topics}',
  'properties.bootstrap.servers' = '{bootstrap}',
  'properties.group.id' = '{name}',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601'
)
