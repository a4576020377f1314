"""Records of the topic of window rows: windows, and what became of a rig's samples in a minute."""

import msgspec

from hydrodask.clock import parse_iso
from hydrodask.records import RefusedRecord, WindowRecord

_decode_window = msgspec.json.Decoder(WindowRecord).decode
_decode_refused = msgspec.json.Decoder(RefusedRecord).decode


def decode_row(value: bytes) -> WindowRecord | RefusedRecord:
    """Return the row in a record. Raises ValueError with the reason, also when its time is none."""
    try:
        window = _decode_window(value)
    except (ValueError, RecursionError) as error:
        return _refused(value, error)
    _check("window_start", window.window_start)
    return window


def _refused(value: bytes, error: Exception) -> RefusedRecord:
    """Return the other kind of row; `error` says why it is none of the usual ones."""
    try:
        refused = _decode_refused(value)
    except (ValueError, RecursionError):
        raise ValueError(f"not what this topic holds: {error}") from error
    _check("window_start", refused.window_start)
    return refused


def _check(name: str, text: str) -> None:
    try:
        parse_iso(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} {text[:40]!r} is not ISO 8601") from None
