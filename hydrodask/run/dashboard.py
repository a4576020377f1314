"""Our page on Dask's dashboard, where the extra for it is installed."""

from collections.abc import Callable

from hydrodask import extras


def register_page(say: Callable[[str], None]) -> None:
    """Add our page to dashboards that start in this process from now on, or say why there is none."""
    if lacking := extras.lacking("bokeh"):
        say(f"no pages of Dask's and ours: {lacking}")
        return
    from hydrodask.observe import page  # noqa: PLC0415 - Bokeh, which comes with an extra

    page.register()
