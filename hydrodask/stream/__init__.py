"""Run graphs of streamz nodes on partitions, on workers, with snapshots and commits.

Takes an assignment, gives reports. `nodes` are the words that flows are written in, `partition` is one graph with its
state, `host` a worker's step, `coordinator` the driver that keeps one step in flight on each worker.
"""
