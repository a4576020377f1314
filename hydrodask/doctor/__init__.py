"""Check whether the platform can run here, one finding for each thing that it needs.

Takes a profile and `--set` values, gives `Outcome`s in the order in which to mend them. Loses
nothing and leaves nothing behind: what a check writes, it removes. `config check` and `run` go
through the same list, as far as it concerns them.
"""

from hydrodask.doctor.checkup import check_up, free_ports, go_on, places
from hydrodask.doctor.named import named
from hydrodask.doctor.outcome import Outcome
from hydrodask.doctor.workers import workers

__all__ = ["Outcome", "check_up", "free_ports", "go_on", "named", "places", "workers"]
