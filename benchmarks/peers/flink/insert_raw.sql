INSERT INTO lake
SELECT `cycle`, sample_idx, `value`, `timestamp`, sensor
FROM records;
