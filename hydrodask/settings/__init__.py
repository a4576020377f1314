"""Configuration: typed, layered, checked once.

Takes defaults, `conf/default.yaml`, a profile, the environment and `--set`; gives one frozen `Settings`.
"""

from hydrodask.settings.load import CONF, load
from hydrodask.settings.model import Settings
from hydrodask.settings.urls import redacted

__all__ = ["CONF", "Settings", "load", "redacted"]
