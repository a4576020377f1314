"""A fleet of simulated rigs: component states and faults in, samples and labels out.

Takes a seed and a fault plan; gives `Chunk`s and `LabelRecord`s second by second. Loses nothing
unless a fault says so.

`faults.py` what may go wrong and when · `inputs.py` component states and oil over time · `shapes.py` what each sensor
shows in a load cycle, from constants fitted to the real rig · `jumps.py` what hot oil does now and then · `rig.py` one
rig, cycle by cycle · `disturb.py` faults of sensors and transport · `fleet.py` all rigs, second by second.
"""

from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.simulator.faults import FaultPlan
from hydrodask.ingest.simulator.fleet import Fleet

__all__ = ["Chunk", "FaultPlan", "Fleet"]
