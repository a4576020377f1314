"""Judge windows: rules and baselines give anomalies, incidents, health.

Takes `WindowRecord`s of one partition of the analytics topic with their offsets; gives changes to
documents. Loses nothing: a window that can't be judged (too few samples) changes nothing, and so
does a repeated one.
"""

from hydrodask.detect.criteria import Criteria
from hydrodask.detect.detector import Detector
from hydrodask.detect.rules import Rule, load_rules

__all__ = ["Criteria", "Detector", "Rule", "load_rules"]
