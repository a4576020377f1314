"""The pages as TypeScript, so that Grafana's own types say what is wrong with them."""

import copy
import json

from docs.dashboards.panels import Json

KINDS = {
    "stat": ("stat", "StatPanelCfg_types.gen", "Options", ""),
    "table": ("table", "TablePanelCfg_types.gen", "Options", "TableFieldOptions"),
    "timeseries": ("timeseries", "TimeSeriesPanelCfg_types.gen", "Options", "GraphFieldConfig"),
    "state-timeline": ("statetimeline", "StateTimelinePanelCfg_types.gen", "Options", "FieldConfig"),
}
"""Of each kind of panel: the folder and module of its types, its options, and its fields' own settings."""

HEAD = """import type { Dashboard, GraphFieldConfig, TableFieldOptions } from '@grafana/schema';
// Enumerations are strings and numbers in JSON.
type Plain<T> = T extends string ? `${T}` : T extends number ? T : T extends boolean | null | undefined ? T
  : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
"""


def typed(pages: dict[str, Json]) -> str:
    """Return a program of which each statement is a part of the pages, with the type that Grafana has for it."""
    lines = [HEAD]
    for kind, (folder, module, options, _) in KINDS.items():
        where = f"@grafana/schema/dist/esm/raw/composable/{folder}/panelcfg/x/{module}"
        alias = f"{options} as {_name(kind)}"
        more = ", FieldConfig" if kind == "state-timeline" else ""
        lines.append(f"import type {{ {alias}{more} }} from '{where}';")
    for name, page in pages.items():
        lines.append(f"export const {name}: Plain<Dashboard> = {json.dumps(_general(page))};")
        for panel in page["panels"]:
            if panel["type"] != "row":
                lines += _panel(f"{name}_{panel['id']}", panel)
    return "\n".join(lines) + "\n"


def _general(page: Json) -> Json:
    """Return a page without what the data source's plugin knows and the schema does not: the queries of its own."""
    page = copy.deepcopy(page)
    for variable in page["templating"]["list"]:
        del variable["definition"]
    for annotation in page["annotations"]["list"]:
        for name in ("expr", "step", "titleFormat", "textFormat"):
            del annotation[name]
    return page


def _panel(name: str, panel: Json) -> list[str]:
    kind = panel["type"]
    custom, own = KINDS[kind][3], panel["fieldConfig"]["defaults"].get("custom")
    lines = [f"export const {name}_options: Plain<Partial<{_name(kind)}>> = {json.dumps(panel['options'])};"]
    if own is not None:
        lines.append(f"export const {name}_custom: Plain<Partial<{custom}>> = {json.dumps(own)};")
    return lines


def _name(kind: str) -> str:
    return "".join(part.title() for part in kind.split("-"))
