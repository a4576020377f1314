"""What the footer of a Parquet file says of its row groups: which times and rigs they can hold."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hydrodask import clock
from hydrodask.records import Bool, Int64

_EVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of its row groups: the file's metadata, and each group's least and greatest time and rig.

    `low_us` and `high_us` are those of all groups; `texts` are the columns of texts among `columns`.
    """

    metadata: Any
    lows_us: Int64
    highs_us: Int64
    rigs: tuple[tuple[str, str], ...]
    columns: frozenset[str]
    texts: tuple[str, ...]
    low_us: int
    high_us: int

    def groups(self, rig: str | None, span: tuple[int, int] | None) -> list[int]:
        """Return the row groups that can hold rows of a rig between two times; None: of all."""
        fits: Bool = np.ones(len(self.lows_us), np.bool_)
        if span is not None:
            fits &= (self.lows_us <= span[1]) & (self.highs_us >= span[0])
        if rig is not None:
            fits &= np.array([low <= rig <= high for low, high in self.rigs], np.bool_)
        return [int(number) for number in np.flatnonzero(fits)]


def footer_of(metadata: Any, time: str) -> Footer:
    """Return what a file's metadata says of its row groups; of one without statistics that it may hold anything."""
    schema = [metadata.schema.column(i) for i in range(metadata.num_columns)]
    places = {column.name: i for i, column in enumerate(schema)}
    texts = tuple(column.name for column in schema if column.physical_type == "BYTE_ARRAY")
    plain = "timeUnit=microseconds" in str(schema[places[time]].logical_type)
    lows, highs, rigs = [], [], []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        at, names = (group.column(places[name]).statistics for name in (time, "rig"))
        known = at is not None and at.has_min_max
        lows.append(_stamp(at, "min", plain=plain) if known else -_EVER)
        highs.append(_stamp(at, "max", plain=plain) if known else _EVER)
        named = names is not None and names.has_min_max
        rigs.append((str(names.min), str(names.max)) if named else ("", "\U0010ffff"))
    low_us, high_us = min(lows, default=_EVER), max(highs, default=-_EVER)
    lows_us, highs_us = np.array(lows, np.int64), np.array(highs, np.int64)
    return Footer(metadata, lows_us, highs_us, tuple(rigs), frozenset(places), texts, low_us, high_us)


def _stamp(statistics: Any, which: str, *, plain: bool) -> int:
    """Return a least or greatest time in microseconds: as it stands, because a moment of Arrow's imports pandas."""
    if plain:
        return int(getattr(statistics, f"{which}_raw"))
    return clock.parse_iso(getattr(statistics, which).isoformat())
