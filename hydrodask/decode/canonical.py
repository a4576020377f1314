"""The compiled parser for the layout that the platform's producers send.

`{"sensor": "PS1", "cycle": 3, "sample_idx": 12, "value": 151.47, "timestamp": "2026-01-01T00:00:12.340000",
"sampling_rate_hz": 100}`, optionally with `, "rig": "…"` at the end; spaces after `:` and `,` are free. Anything else
is handed on, record by record.
"""

import numpy as np

from hydrodask.decode.scan import CLOSE, COMMA, QUOTE, closing_quote, decimal, integer
from hydrodask.decode.timestamps import parse_time
from hydrodask.kernels import njit

_CYCLE = np.frombuffer(b'"cycle":', np.uint8)
_INDEX = np.frombuffer(b'"sample_idx":', np.uint8)
_VALUE = np.frombuffer(b'"value":', np.uint8)
_TIME = np.frombuffer(b'"timestamp":', np.uint8)
_RATE = np.frombuffer(b'"sampling_rate_hz":', np.uint8)
_RIG = np.frombuffer(b'"rig":', np.uint8)
_SPACE = 32


def opening(sensor: str) -> np.ndarray:
    """Return the bytes that every record of `sensor` starts with, spaces left out."""
    return np.frombuffer(f'{{"sensor":"{sensor}"'.encode(), np.uint8)


@njit(cache=True)
def expect(buffer, at, end, literal):  # type: ignore[no-untyped-def]
    """Return the place after `literal` and the spaces behind it, or -1 when it is not there."""
    if at < 0 or at + len(literal) > end:
        return -1
    for i in range(len(literal)):
        if buffer[at + i] != literal[i]:
            return -1
    at += len(literal)
    while at < end and buffer[at] == _SPACE:
        at += 1
    return at


@njit(cache=True)
def comma(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return the place after a comma and the spaces behind it, or -1."""
    if at < 0 or at >= end or buffer[at] != COMMA:
        return -1
    at += 1
    while at < end and buffer[at] == _SPACE:
        at += 1
    return at


@njit(cache=True)
def quoted(buffer, at, end):  # type: ignore[no-untyped-def]
    """Return (start, end) of the plain string that is quoted at `at`; end is -1 when there is none."""
    if at < 0 or at >= end or buffer[at] != QUOTE:
        return 0, -1
    return at + 1, closing_quote(buffer, at + 1, end)


@njit(cache=True)
def parse(buffer, bounds, places, head, limits, ints, floats, spans, good):  # type: ignore[no-untyped-def]
    """Parse records `buffer[bounds[i]:bounds[i + 1]]` for each i of `places`; `head` is `opening(sensor)`.

    `limits` is (bytes of a record, bytes of a rig's name).
    Fills `ints` (n, 3: cycle, sample_idx, time µs), `floats` (n, 2: value, or NaN if its text is to be read; rate),
    `spans` (n, 4: start and end of the rig's name, equal without one, and of the value) and `good` (n). Returns how
    many are not good.
    """
    record_bytes_max, rig_bytes_max = limits
    left = len(places)
    for i in places:
        end = bounds[i + 1]
        if end - bounds[i] > record_bytes_max:
            continue
        at = sensor_field(buffer, bounds[i], end, head)
        cycle, at = integer(buffer, expect(buffer, comma(buffer, at, end), end, _CYCLE), end)
        index, at = integer(buffer, expect(buffer, comma(buffer, at, end), end, _INDEX), end)
        value_at = expect(buffer, comma(buffer, at, end), end, _VALUE)
        value, value_end = decimal(buffer, value_at, end)
        start, at = quoted(buffer, expect(buffer, comma(buffer, value_end, end), end, _TIME), end)
        if at < 0:
            continue
        time_us, ok = parse_time(buffer, start, at)
        rate, at = decimal(buffer, expect(buffer, comma(buffer, at + 1, end), end, _RATE), end)
        if at < 0 or at >= end or not ok or np.isnan(rate):
            continue
        ints[i, 0], ints[i, 1], ints[i, 2] = cycle, index, time_us
        floats[i, 0], floats[i, 1] = value, rate
        spans[i, 2], spans[i, 3] = value_at, value_end
        if buffer[at] != CLOSE or at + 1 != end:
            start, at = quoted(buffer, expect(buffer, comma(buffer, at, end), end, _RIG), end)
            if at < 0 or at + 2 != end or buffer[at + 1] != CLOSE or not 0 < at - start <= rig_bytes_max:
                continue
            spans[i, 0], spans[i, 1] = start, at
        good[i] = True
        left -= 1
    return left


@njit(cache=True)
def sensor_field(buffer, at, end, head):  # type: ignore[no-untyped-def]
    """Return the place after `{"sensor": "NAME"`, spaces allowed after the colon, or -1."""
    if at + len(head) > end:
        return -1
    for i in range(len(head)):
        while i == 10 and at < end and buffer[at] == _SPACE:
            at += 1
        if at >= end or buffer[at] != head[i]:
            return -1
        at += 1
    return at
