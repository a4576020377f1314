-- The older form of a window: the one above is not to be had before it is final.
INSERT INTO open_windows
SELECT sensor, HOP_START(event_time, INTERVAL '10' SECOND, INTERVAL '60' SECOND),
       AVG(`value`), MAX(`value`), MIN(`value`), STDDEV_SAMP(`value`), MAX(`value`) - MIN(`value`), COUNT(*)
FROM records
GROUP BY sensor, HOP(event_time, INTERVAL '10' SECOND, INTERVAL '60' SECOND);
