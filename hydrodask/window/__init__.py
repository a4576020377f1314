"""Group samples by event time.

Takes Samples, gives Windows, Late and Profiles. Loses nothing silently: a sample that changes no window is Late.
State after a record depends on the records up to it and on nothing else.
"""

from hydrodask.window.cycles import OpenCycles
from hydrodask.window.sliding import OpenWindows
from hydrodask.window.tally import Tally

__all__ = ["OpenCycles", "OpenWindows", "Tally"]
