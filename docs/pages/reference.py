"""Every reference page, by its place on the site, made from the code that it is about."""

from collections.abc import Mapping

from docs.pages import commands, documents, lake, metrics, names, packages, settings, topics


def every_page() -> Mapping[str, str]:
    """Return the text of each page."""
    return {
        "reference/settings.md": settings.page_of_settings(),
        "reference/commands.md": commands.page_of_commands(),
        "reference/exit-codes.md": commands.page_of_exit_codes(),
        "reference/metrics.md": metrics.page_of_metrics(),
        "reference/topics.md": topics.page_of_topics(),
        "reference/documents.md": documents.page_of_documents(),
        "reference/lake.md": lake.page_of_lake(),
        "reference/names.md": names.page_of_names(),
        "reference/packages.md": packages.page_of_packages(),
    }
