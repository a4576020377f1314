"""The geometry of windows: what tells those of one configuration from those of another."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

from hydrodask.settings import model

METADATA = b"hydrodask.windows"
"""The key in a Parquet file's metadata under which files of `windows/` say which windows they hold."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Length, slide and lateness, in µs.

    >>> print(Geometry.of(model.Window()))
    60 s every 10 s, lateness 10 s
    >>> Geometry.decoded(Geometry.of(model.Window()).encoded) == Geometry.stored([10_000_000, 6, 10_000_000])
    True
    """

    length_us: int
    slide_us: int
    lateness_us: int

    @classmethod
    def of(cls, window: model.Window) -> Self:
        """Return that of the configuration."""
        return cls(round(window.length * 1e6), round(window.slide * 1e6), round(window.lateness * 1e6))

    @classmethod
    def stored(cls, state: Sequence[int]) -> Self:
        """Return that of a snapshot: slide, span in slides, lateness."""
        slide_us, span, lateness_us = (int(number) for number in state)
        return cls(slide_us * span, slide_us, lateness_us)

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """Return what was encoded. Raises ValueError."""
        try:
            return cls(**json.loads(data))
        except TypeError as error:
            raise ValueError(f"it is no geometry of windows ({error})") from error

    @property
    def encoded(self) -> bytes:
        """As JSON: for people who look into a file's metadata, too."""
        return json.dumps(asdict(self)).encode()

    def __str__(self) -> str:
        length, slide, lateness = (us / 1e6 for us in (self.length_us, self.slide_us, self.lateness_us))
        return f"{length:g} s every {slide:g} s, lateness {lateness:g} s"
