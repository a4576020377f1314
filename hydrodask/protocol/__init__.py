"""What driver and workers agree on: the order, and the files beside the snapshots that say who may do what.

Takes nothing, gives the order and what is kept of a group: whose slots are (`ownership`), which logs its offsets count
in (`incarnation`), which windows and how many partitions count from where on (`geometries`, `spread`), and `snapshot`,
the form of a partition's state. Driver, workers and audit import it; it imports none of them.
"""
