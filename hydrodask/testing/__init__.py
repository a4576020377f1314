"""What a person needs to test nodes and flows of their own, without Kafka, Dask or a disk.

Takes nodes, flows and records; gives failures. `check_node` runs a node in any batches and through any restarts, and
wants the same bits. `Life` is one partition of a flow, with files and snapshots in memory. `messages_of` makes a log of
raw records, and `VirtualClock` is a time that passes when it is told to. `simulate` lets a whole platform run a flow
through random lives, in which anything may die, stand still or be refused at any place, and wants the same outputs.
Nothing of the platform imports this.
"""

from hydrodask.testing.checks import check_node, context
from hydrodask.testing.life import Life
from hydrodask.testing.messages import messages_of
from hydrodask.testing.simulating import simulate
from hydrodask.testing.time import VirtualClock

__all__ = ["Life", "VirtualClock", "check_node", "context", "messages_of", "simulate"]
