"""The page of settings: keys, defaults and comments of `conf/default.yaml`, types of the model."""

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from docs.pages.markdown import code, page, table
from hydrodask.settings import CONF, Settings

_LINE = re.compile(
    r"^(?P<indent> *)(?P<key>[a-z0-9_]+):(?: +(?P<value>[^#\s](?:[^#]|#(?! ))*?))?(?: +# (?P<comment>.+))?$"
)

INTRO = """Each setting has a default. You change one in a file of your own (`--profile my.yaml`), in the
environment, or with `--set key=value` on the command line; a later layer wins over an earlier one:

1. `conf/default.yaml`
2. `conf/profiles/NAME.yaml`, or your own file: `--profile`
3. the environment: `HYDRODASK_KAFKA__BOOTSTRAP` is `kafka.bootstrap`
4. `--set kafka.bootstrap=host:9092`

`hydrodask config show` prints the values that count and where each came from; `hydrodask config check` checks
them and every file that they name. Durations are seconds, or a number with a unit: `500ms`, `10s`, `2m`,
`1h`, `7d`."""


def page_of_settings() -> str:
    """Return the page."""
    kinds = dict(_kinds(Settings))
    parts: list[str] = []
    for title, rows in _sections():
        parts.append(f"## {title}")
        parts.append(table(("setting", "default", "type", "what it is"), [_row(row, kinds) for row in rows]))
    return page("Settings", INTRO, *parts)


def _row(row: tuple[str, str, str], kinds: dict[str, str]) -> tuple[str, str, str, str]:
    key, default, comment = row
    return code(key), code(default), kinds[key], comment


def _sections() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Yield each section of the default file: its name, and key, default and comment of each setting."""
    sections: dict[str, list[tuple[str, str, str]]] = {}
    above: list[str] = []
    for line in (CONF / "default.yaml").read_text(encoding="utf-8").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        above = [*above[: len(found["indent"]) // 2], found["key"]]
        if found["value"] is not None:
            section = above[0] if len(above) > 1 else "General"
            sections.setdefault(section, []).append((".".join(above), found["value"], found["comment"] or ""))
    yield from sections.items()


def _kinds(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the type of each setting by its dotted key, in words."""
    for name, one in model.model_fields.items():
        kind = one.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _kinds(kind, f"{prefix}{name}.")
        else:
            bounds = [str(each) for each in one.metadata]
            yield f"{prefix}{name}", _words(kind, bounds)


def _words(kind: object, bounds: list[str]) -> str:
    if get_origin(kind) is Annotated:
        inner, *metadata = get_args(kind)
        return _words(inner, [*bounds, *map(str, metadata)])
    if get_origin(kind) in (Union, UnionType):
        return " or ".join("nothing" if one is NoneType else _words(one, bounds) for one in get_args(kind))
    if get_origin(kind) is Literal:
        return " or ".join(code(one) for one in get_args(kind))
    if any("duration_s" in one for one in bounds):
        return "duration"
    names = {"bool": "true or false", "int": "whole number", "float": "number", "str": "text", "Path": "file"}
    name = getattr(kind, "__name__", str(kind))
    if get_origin(kind) in (list, dict, tuple):
        return "list" if get_origin(kind) is not dict else "keys and values"
    return names.get(name, {"Url": "URL", "Password": "secret"}.get(name, name.lower()))
