"""The Python API: what a platform has stored, and a platform that runs from a script or notebook.

Takes a profile and settings, gives rows as Arrow, Dask or arrays, documents, models, and a run. Loses nothing: reading
changes nothing, whether a platform runs meanwhile or not.
"""

from hydrodask.api.opened import Opened
from hydrodask.api.rows import Curves, Rows
from hydrodask.api.running import Running

__all__ = ["Curves", "Opened", "Rows", "Running"]
