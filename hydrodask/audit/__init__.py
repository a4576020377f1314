"""Look at what is stored, and mend it: verify, backfill, compact, dead letters.

Takes topics, lake, snapshots and documents of a platform that runs or has run; gives findings, each with the first
difference. `verify` changes nothing; the others say what they would change before they do.
"""
