"""The operator's page: what is wrong with which rig, its curves, and answers; from lake and documents alone.

Takes requests of browsers and programs; gives pages, curves, episodes, and stores answers. Works inside `run`, beside
it and after it: live values come from the run's own readings, or from the topic of window rows, and without either the
page says where its curves end. Loses nothing, for it holds nothing but what can be read again.
"""

from hydrodask.console.webserver import Console

__all__ = ["Console"]
