"""The page of the lake: folders, columns, types, units."""

import pyarrow as pa

from docs.pages.markdown import code, page, table
from docs.pages.meanings import COLUMNS
from hydrodask.channels import CHANNELS
from hydrodask.store.schemas import FLAT, FOLDERS, UNITS, empty, units

_INTRO = f"""The lake is Parquet: `hydrodask-data/lake`, or `lake.url`. Each folder is a data set that any reader opens.
Folders are split by sensor (`sensor=PS1`), `raw` by event date, too (`date=2026-01-01`); `labels`, `bands` and `scores`
are not split. These two columns are in the path and not in the file. `windows_5m/`, which `compact` makes of
`windows/`, is for the operator's page. Rows of a file are in the order of the topic.
*Sensor's* means the unit of the [sensor](topics.md#sensors); each file says the units of its columns in its
metadata (`{UNITS.decode()}`)."""

_SENSOR = "PS1"
_WORDS = {CHANNELS[_SENSOR].unit: "sensor's", f"({CHANNELS[_SENSOR].unit})^2": "sensor's, squared"}


def page_of_lake() -> str:
    """Return the page."""
    parts: list[str] = []
    for folder in FOLDERS:
        schema = empty(folder).schema
        known, known_as = _units(folder, schema.names), COLUMNS.get(folder, {})
        rows = [
            (code(one.name), code(_kind(one.type)), known.get(one.name, ""), known_as.get(one.name, ""))
            for one in schema
        ]
        parts += [f"## {folder}", known_as.get("", ""), table(("column", "type", "unit", "what it is"), rows)]
    return page("The lake's columns", _INTRO, *parts)


def _units(folder: str, names: list[str]) -> dict[str, str]:
    """Return the unit of each column, in words where it is the sensor's."""
    if folder in FLAT:
        return units(f"{folder}/x.parquet", names)
    return {name: _WORDS.get(unit, unit) for name, unit in units(f"{folder}/sensor={_SENSOR}/x.parquet", names).items()}


def _kind(kind: pa.DataType) -> str:
    return str(kind).replace("element: ", "").replace("item: ", "")
