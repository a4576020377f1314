"""`hydrodask config`: the effective settings, whether they can work, and their JSON schema."""

from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from hydrodask.cli.common import Json, Profile, Sets, console, print_json
from hydrodask.settings import CONF, Settings, load
from hydrodask.settings.hidden import secret_by_name
from hydrodask.settings.load import flatten, read_yaml

MASK = "******"
"""Shown for a secret that is set."""

group = typer.Typer(no_args_is_help=True, help="Show and check the configuration.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="config")


@group.command()
def show(profile: Profile = None, sets: Sets = None, as_json: Json = False) -> None:
    """Show every setting with its value and the layer that it came from.

    Layers, the later wins: conf/default.yaml, the profile, HYDRODASK_A__B in the environment,
    --set. Secrets are masked.

    Example: `hydrodask config show --profile local-services --set kafka.start=latest`
    """
    effective, origins = load(profile=profile, sets=sets or ())
    rows = [(key, value, _origin(key, origins)) for key, value in values(effective).items()]
    if as_json:
        print_json({key: {"value": value, "from": origin} for key, value, origin in rows})
        return
    table = Table("setting", "value", "from")
    for key, value, origin in rows:
        style = None if origin == "default" else "bold"
        table.add_row(key, "" if value is None else str(value), origin, style=style)
    console.print(table)


@group.command()
def check(profile: Profile = None, sets: Sets = None, as_json: Json = False) -> None:
    """Check the settings and every file that they name; exit code 3 names key and value.

    Example: `hydrodask config check --profile local-services`
    """
    effective, origins = load(profile=profile, sets=sets or ())
    files = check_files(effective)
    changed = sum(origin != "default" for origin in origins.values())
    if as_json:
        known = {"settings": len(values(effective)), "changed": changed, "files": list(files)}
        print_json({"ok": True, **known, "rules": files[_rules(effective)]})
        return
    console.print(f"configuration is fine: {len(values(effective))} settings, {changed} not the default")
    for name, more in files.items():
        said = f"{name} loads: {more}" if more else f"{name} loads"
        console.print(f"  {escape(said)}", highlight=False, soft_wrap=True)


@group.command()
def schema() -> None:
    """Print the JSON schema of the configuration files, for editors and other tools.

    Example: `hydrodask config schema > hydrodask.schema.json`
    """
    print_json(Settings.model_json_schema())


def values(effective: Settings) -> dict[str, Any]:
    """Return every setting by dotted key, as JSON values, secrets masked; durations are seconds."""
    leaves = flatten(effective.model_dump(mode="json"))
    return {key: MASK if secret_by_name(key) and value else value for key, value in leaves.items()}


def check_files(effective: Settings) -> dict[str, str]:
    """Load what the settings name, as `run` and `doctor` do, and each profile; return what, and more of it."""
    from hydrodask.detect.rules import described
    from hydrodask.doctor import go_on, named

    go_on(named(effective), lambda _warning: None)
    source = effective.source
    loaded = [f"source.faults {source.faults}"] if source.kind == "simulator" and source.faults else []
    loaded += [f"source {source.kind}"] if source.kind.startswith("recording") else []
    for path in sorted((CONF / "profiles").glob("*.yaml")):
        read_yaml(path)
        loaded.append(f"profile {path.stem}")
    return {_rules(effective): described(effective.detect.rules)} | dict.fromkeys(loaded, "")


def _rules(effective: Settings) -> str:
    return f"detect.rules {effective.detect.rules}"


def _origin(key: str, origins: dict[str, str]) -> str:
    """Return the layer of `key`, or of the mapping that it is in."""
    while key not in origins and "." in key:
        key = key.rpartition(".")[0]
    return origins.get(key, "default")
