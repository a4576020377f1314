CREATE TABLE open_windows (
  PRIMARY KEY (sensor, window_start) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'key.format' = 'json'
) LIKE windows (OVERWRITING OPTIONS)
