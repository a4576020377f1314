"""The pages as they are written."""

import json
from pathlib import Path

from docs.dashboards import fleet, models, rig, stream
from docs.dashboards.panels import Json

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "grafana"


def pages() -> dict[str, Json]:
    """Return every page by its name."""
    return {"fleet": fleet.made(), "rig": rig.made(), "stream": stream.made(), "models": models.made()}


def texts() -> dict[str, str]:
    """Return the text of each file."""
    return {f"{name}.json": json.dumps(page, indent=1) + "\n" for name, page in pages().items()}
