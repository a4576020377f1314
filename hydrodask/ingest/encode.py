"""Write records as JSON in the canonical layout: what `json.dumps` gives for the fields in order.

Takes Chunks and labels, gives one text (or the bytes of `raw`) a record.
"""

import json
from collections.abc import Sequence

import msgspec
import numpy as np

from hydrodask.clock import US_PER_S, iso
from hydrodask.ingest.chunk import Chunk
from hydrodask.records import Float64, LabelRecord

Payload = str | bytes


def encode(chunk: Chunk) -> Sequence[Payload]:
    """Return a JSON record for each sample; times are UTC, no offset, six digits of fraction."""
    head = f'{{"sensor": {json.dumps(chunk.sensor)}, "cycle": '
    rig = "" if chunk.rig is None else f', "rig": {json.dumps(chunk.rig)}'
    tail = f'", "sampling_rate_hz": {chunk.rate_hz}{rig}}}'
    seconds, fractions = np.divmod(chunk.time_us, US_PER_S)
    stamps = {s: iso(s * US_PER_S)[:-1] for s in set(seconds.tolist())}
    # `str().zfill` takes a quarter of the time of a format specification.
    payloads: list[Payload] = [
        f'{head}{cycle}, "sample_idx": {index}, "value": {value},'
        f' "timestamp": "{stamps[second]}.{str(fraction).zfill(6)}{tail}'
        for cycle, index, value, second, fraction in zip(
            chunk.cycle.tolist(),
            chunk.sample_idx.tolist(),
            _numbers(chunk.value),
            seconds.tolist(),
            fractions.tolist(),
            strict=True,
        )
    ]
    for index, raw in chunk.raw.items():
        payloads[index] = raw
    return payloads


def encode_label(label: LabelRecord) -> str:
    """Return a label as JSON."""
    return json.dumps(msgspec.structs.asdict(label))


def _numbers(values: Float64) -> list[str]:
    """Return the shortest texts that read back as the same floats, NaN and Infinity as in JSON."""
    numbers = values.tolist()
    return list(map(repr if np.isfinite(values).all() else json.dumps, numbers))
