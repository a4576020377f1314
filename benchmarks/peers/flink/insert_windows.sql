INSERT INTO windows
SELECT sensor, window_start, AVG(`value`), MAX(`value`), MIN(`value`), STDDEV_SAMP(`value`),
       MAX(`value`) - MIN(`value`), COUNT(*)
FROM HOP(TABLE records, DESCRIPTOR(event_time), INTERVAL '10' SECOND, INTERVAL '60' SECOND)
GROUP BY sensor, window_start, window_end;
