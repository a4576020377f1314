"""Imported once by the process that workers are forked from: what each of them needs is there, and compiled."""

import hydrodask.worker.step
from hydrodask.worker.warm import warm_up

__all__ = ["hydrodask"]

warm_up()
