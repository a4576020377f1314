"""The words that flows are written in: nodes that take and give batches of columns or rows.

Takes Messages, gives samples, windows, documents and records of our topics; what goes out waits in the `context` for
the commit. `sensors` has the nodes of monitor, `judging` those of alert and labels, `scoring` those of score.

What is imported here is for who writes a flow of his own: these names stay, whatever becomes of the modules below.
"""

from hydrodask.clock import iso
from hydrodask.flow import Flow
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Edge, SideOutput
from hydrodask.nodes.judging import DecodeJson, DecodeRows, WriteDocuments
from hydrodask.nodes.node import Node, Stateful
from hydrodask.nodes.sensors import CycleProfiles, Decode, Publish, SlidingWindows, Store
from hydrodask.records import Change, Messages, Profiles, Remove, Samples, Upsert, Windows
from hydrodask.rigs import RIGS

__all__ = [
    "RIGS",
    "Change",
    "Context",
    "CycleProfiles",
    "Decode",
    "DecodeJson",
    "DecodeRows",
    "Edge",
    "Flow",
    "Messages",
    "Node",
    "Profiles",
    "Publish",
    "Remove",
    "Samples",
    "SideOutput",
    "SlidingWindows",
    "Stateful",
    "Store",
    "Upsert",
    "Windows",
    "WriteDocuments",
    "iso",
]
