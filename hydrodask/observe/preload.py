"""Preload of a scheduler that is not ours: `dask scheduler --preload hydrodask.observe.preload`.

Dask imports preloads before its dashboard starts, and calls `dask_setup` after. The page has to be
there when the dashboard starts, so importing this module registers it. Its web server is guarded as that of a scheduler
of ours is, but for its names, which are not known here.
"""

from typing import Any

from hydrodask.doors.local import guard
from hydrodask.extras import lacking

if not lacking("bokeh"):
    from hydrodask.observe import page

    page.register()


def dask_setup(scheduler: Any) -> None:
    """Put the page into the navigation bar of all pages, and the guard before them."""
    if not lacking("bokeh"):
        page.link(page.dashboard().template_variables(scheduler))
    guard(scheduler, None)
