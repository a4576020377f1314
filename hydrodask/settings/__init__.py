"""Configuration: typed, layered, checked once.

Takes defaults, `conf/default.yaml`, a profile, the environment and `--set`; gives one frozen `Settings`.
"""

from hydrodask.redaction import redacted
from hydrodask.settings.hidden import Url
from hydrodask.settings.load import CONF, load
from hydrodask.settings.model import Settings

__all__ = ["CONF", "Settings", "Url", "load", "redacted"]
