"""The driver: who is there, who should host what, and one step in flight on each worker.

Takes topics and workers, gives orders to workers and one overview of their reports. Runs in the process of
`hydrodask run`; `cluster` sends the worker's `step` to Dask.
"""
