"""The worker: hosts partitions, runs their graphs, commits, keeps snapshots, reports.

Takes an order, gives a report. Runs in Dask's worker processes: `step` is the task, `host` what a process keeps between
tasks, `partition` one graph with its state.
"""
