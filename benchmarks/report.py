"""The results of `python -m benchmarks run` as a Markdown table and pictures."""

from pathlib import Path


def write(results: Path) -> None:
    """Write docs/benchmarks.md and its pictures."""
    raise NotImplementedError(results)
