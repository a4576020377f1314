"""Check whether the platform can run here, one finding for each thing that it needs.

Takes a profile and `--set` values, gives `Finding`s in the order in which to mend them. Loses
nothing and leaves nothing behind: what a check writes, it removes.
"""

from hydrodask.doctor.checkup import check_up
from hydrodask.doctor.finding import Finding

__all__ = ["Finding", "check_up"]
