"""Group samples by event time.

Takes Samples, gives Windows, Late and Profiles. Loses nothing silently: a sample that changes no window is Late.
State after a record depends on the records up to it and on nothing else.
"""

from hydrodask.window.cycles import CycleProfiles
from hydrodask.window.sliding import SlidingWindows
from hydrodask.window.tally import Tally

__all__ = ["CycleProfiles", "SlidingWindows", "Tally"]
