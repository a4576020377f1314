"""Pictures of what people see: kept small, and where the documentation wants them."""

import os
from pathlib import Path

from PIL import Image

PICTURES = os.environ.get("HYDRODASK_PICTURES", "")
"""Where pictures are kept, such as docs/img; without it they are only taken."""

COLOURS = 255
LEAST_BYTES, MOST_BYTES = 6_000, 110_000
"""Of a picture: one with less shows nothing, one with more is no small one."""


def place(name: str, folder: Path) -> Path:
    """Return where a picture goes: into the documentation if that is asked for, else into `folder`."""
    return Path(PICTURES or folder) / f"{name}.png"


def shrunk(path: Path) -> None:
    """Give a picture a palette, which makes it a third as large; fail when it is none that shows something.

    The palette has the colours that most pixels have, exactly: those of marks and of what is shaded lightly, too, which
    usual ways would mix with others. What is left over are edges of letters; they get the next colour.
    """
    with Image.open(path) as picture:
        plain = picture.convert("RGB")
    counted: list[tuple[int, tuple[int, int, int]]] = plain.getcolors(plain.width * plain.height) or []  # type: ignore[assignment]
    most = [colour for _, colour in sorted(counted, reverse=True)[:COLOURS]]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in most for part in colour])
    plain.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    assert LEAST_BYTES < size < MOST_BYTES, f"{path.name} has {size} bytes"
