"""Pictures of what people see: kept small, and where the documentation wants them."""

import os
from pathlib import Path

from PIL import Image

PICTURES = os.environ.get("HYDRODASK_PICTURES", "")
"""Where pictures are kept, such as docs/img; without it they are only taken."""

COLOURS = 96
LEAST_BYTES, MOST_BYTES = 6_000, 110_000
"""Of a picture: one with less shows nothing, one with more is no small one."""


def place(name: str, folder: Path) -> Path:
    """Return where a picture goes: into the documentation if that is asked for, else into `folder`."""
    return Path(PICTURES or folder) / f"{name}.png"


def shrunk(path: Path, colours: int = COLOURS) -> None:
    """Give a picture a palette, which makes it a third as large; fail when it is none that shows something.

    Colours that the page means, such as a red mark among a thousand grey letters, are few pixels: the octree keeps
    them, where a cut by the median would not.
    """
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
    size = path.stat().st_size
    assert LEAST_BYTES < size < MOST_BYTES, f"{path.name} has {size} bytes"
