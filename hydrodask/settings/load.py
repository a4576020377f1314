"""Read the layers, merge them, check once, and remember where each value came from."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from hydrodask.errors import ConfigError, meant
from hydrodask.failpoints import VARIABLE
from hydrodask.redaction import redacted
from hydrodask.settings import hidden
from hydrodask.settings.hidden import PREFIX
from hydrodask.settings.model import Settings
from hydrodask.settings.notify import place_files

log = logging.getLogger(__name__)

CONF = Path(__file__).resolve().parents[1] / "conf"
"""The folder with `default.yaml`, `profiles/`, rules and faults."""

_FILES = (
    ("kafka", "password_file"),
    ("kafka", "ca_file"),
    ("documents", "password_file"),
    ("learn", "password_file"),
    ("learn", "ca_file"),
    ("observe", "password_file"),
    ("observe", "ca_file"),
    ("observe", "alertmanager_password_file"),
    ("observe", "alertmanager_ca_file"),
    ("lake", "key_file"),
    ("cluster", "ca_file"),
    ("cluster", "cert_file"),
    ("cluster", "key_file"),
)
"""What is looked for below the data directory, where local services make theirs."""

FORMER = {"notify.zone": "observe.timezone"}
"""Settings that are another's by now."""

_PLAIN = {
    "tuple_type": "want a list, for example [first, second]",
    "list_type": "want a list, for example [first, second]",
    "dict_type": "want a mapping, for example {key: value}",
    "model_type": "want a mapping, for example {key: value}",
    "model_attributes_type": "want a mapping, for example {key: value}",
}
"""What YAML's people are told where pydantic names kinds of Python."""

Tree = dict[str, Any]
Layer = tuple[str, Tree]


class _Environment(Settings, BaseSettings):
    """The settings as pydantic-settings reads them from `HYDRODASK_A__B`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid")


def load(
    *,
    profile: str | None = None,
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    sets_from: str = "--set",
) -> tuple[Settings, dict[str, str]]:
    """Return the settings, and for every dotted key the name of the layer that set it.

    Raises ConfigError, which names each key with its value and layer; that of `sets` is called `sets_from`.
    """
    environ = os.environ if environ is None else environ
    layers = [("default", read_yaml(CONF / "default.yaml"))]
    if profile:
        named = Path(profile).suffix != ".yaml"
        path = CONF / "profiles" / f"{profile}.yaml" if named else Path(profile)
        layers.append((f"profile {profile}", read_yaml(path, profile=profile if named else None)))
    layers += [("environment", _from_environment(environ)), (sets_from, _from_sets(sets, sets_from))]
    merged: Tree = {}
    origins: dict[str, str] = {}
    hidden.learn(flatten(layers[-2][1]))
    for name, tree in layers:
        if name != "environment":
            _look_for_secrets(name, tree)
        _merge(merged, tree, origins, name, "")
    _place_files(merged)
    try:
        return Settings.model_validate(merged), origins
    except ValidationError as error:
        raise ConfigError(_explain(error, origins)) from error


def read_yaml(path: Path, *, profile: str | None = None) -> Tree:
    """Return the mapping in `path`; ConfigError says what is wrong with it."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(_missing(path, profile)) from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"could not read {path}: {error}") from error
    if tree is not None and not isinstance(tree, dict):
        raise ConfigError(f"{path} holds a {type(tree).__name__}; want a mapping")
    return tree or {}


def _missing(path: Path, profile: str | None) -> str:
    """Return what to say of a file that is not there: which are, and which of them may have been meant."""
    if profile is None:
        near = [one.name for one in path.parent.glob("*.yaml")]
        known = ", ".join(sorted(Path(name).stem for name in near)) or "none"
        return f"there is no file {path}{meant(path.name, near)}; known here: {known}"
    shipped = [one.stem for one in path.parent.glob("*.yaml")]
    files = [str(one) for one in Path(profile).parent.glob("*.yaml")]
    guess = meant(profile, shipped) or meant(profile, files) or meant(f"{Path(profile).with_suffix('')}.yaml", files)
    what = f"there is no profile {profile!r}{guess}; known: {', '.join(sorted(shipped)) or 'none'}"
    return f"{what}, or any file whose name ends in .yaml"


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return leaves by dotted key; an empty mapping is a leaf.

    >>> flatten({"kafka": {"group": "a", "client": {}}})
    {'kafka.group': 'a', 'kafka.client': {}}
    """
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what the environment sets, by dotted key. Raises ConfigError."""
    return flatten(_from_environment(environ))


def _from_environment(environ: Mapping[str, str]) -> Tree:
    names = {n.upper(): v for n, v in environ.items() if n.upper().startswith(PREFIX) and n.upper() != VARIABLE}
    names = _without_services(names)
    source = EnvSettingsSource(_Environment, env_prefix=PREFIX, env_nested_delimiter="__")
    source.env_vars = {name.lower(): value for name, value in names.items()}
    try:
        tree = source()
    except ValueError as error:
        raise ConfigError(f"environment: {error.__cause__ or error}") from error
    read = {_environment_name(key) for key in flatten(tree)}
    for name in sorted(names):
        if not any(name == key or key.startswith(f"{name}__") for key in read):
            key = name[len(PREFIX) :].lower().replace("__", ".")
            raise ConfigError(f"environment: {name} sets {key!r}, which is no setting{_meant(key)}")
    return tree


def _without_services(names: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are not of a Service: Kubernetes puts a host and ports of each into every container.

    >>> _without_services({"HYDRODASK_SERVICE_HOST": "10.0.0.1", "HYDRODASK_SERVICE_PORT": "80", "HYDRODASK_PORT": ""})
    {}
    >>> _without_services({"HYDRODASK_KAFKA_PORT": "9092"})
    {'HYDRODASK_KAFKA_PORT': '9092'}
    """
    hosts = (name.removesuffix("SERVICE_HOST") for name in names if name.endswith("_SERVICE_HOST"))
    services = tuple(host for host in hosts if f"{host}SERVICE_PORT" in names)
    theirs = tuple(f"{service}{word}" for service in services for word in ("SERVICE_HOST", "SERVICE_PORT", "PORT"))
    return {n: v for n, v in names.items() if n not in theirs and not n.startswith(tuple(f"{t}_" for t in theirs))}


def _environment_name(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _from_sets(sets: Sequence[str], name: str) -> Tree:
    tree: Tree = {}
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise ConfigError(f"{name} {item!r}: want key=value, for example kafka.start=latest")
        try:
            value = yaml.safe_load(text) if text else None
        except yaml.YAMLError as error:
            shown = key if hidden.secret_by_name(key) else redacted(item)
            raise ConfigError(f"{name} {shown!r}: the value is not YAML; put it into quotes: {key}='…'") from error
        _merge(tree, _nest(key.strip(), value), {}, name, "")
    return tree


def _nest(key: str, value: object) -> Tree:
    """Return `value` under its dotted key; Kafka's own dotted names stay whole.

    >>> _nest("kafka.consumer.fetch.wait.max.ms", 5)
    {'kafka': {'consumer': {'fetch.wait.max.ms': 5}}}
    >>> _nest("topics.each.labels.cleanup.policy", "compact")
    {'topics': {'each': {'labels': {'cleanup.policy': 'compact'}}}}
    """
    parts = key.split(".")
    if parts[0] == "kafka" and len(parts) > 2 and parts[1] in ("client", "consumer", "producer"):
        parts = [parts[0], parts[1], ".".join(parts[2:])]
    elif parts[:2] == ["topics", "each"] and len(parts) > 3:
        parts = [*parts[:3], ".".join(parts[3:])]
    tree: Any = value
    for part in reversed(parts):
        tree = {part: tree}
    return tree  # type: ignore[no-any-return]


def _merge(into: Tree, tree: Tree, origins: dict[str, str], name: str, prefix: str) -> None:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            below = into.get(key)
            into[key] = below if isinstance(below, dict) else {}
            _merge(into[key], value, origins, name, f"{path}.")
        else:
            into[key] = value
            origins[path] = name


def _place_files(merged: Tree) -> None:
    """Look for passwords, keys and certificates below the data directory, where local services make theirs."""
    for section, key in _FILES:
        login = merged.get(section)
        if isinstance(login, dict) and isinstance(login.get(key), str):
            login[key] = str(Path(str(merged.get("data_dir"))) / login[key])
    place_files(merged.get("notify"), Path(str(merged.get("data_dir"))))


def _look_for_secrets(name: str, tree: Tree) -> None:
    """Refuse passwords in files, which are copied and committed, and on the command line, which everybody may list.

    A URL with one in it is taken, as it may have been pasted, and warned of.
    """
    for key, value in flatten(tree).items():
        found = hidden.secrets_in(key, value)
        if found and hidden.secret_by_name(key):
            raise ConfigError(
                f"{key} is set by {name} and holds a secret, which may only come from {hidden.variable(key)}"
            )
        if found:
            hidden.lend(found)
            who = "others on this machine see it in the list of processes" if name == "--set" else "files are copied"
            log.warning(
                "%s is set by %s and holds a password: %s; put it into %s", key, name, who, hidden.variable(key)
            )


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    """Return one clause a problem: key, value, where it came from, what is wrong."""
    clauses = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        origin = origins.get(key) or _changed_below(key, origins)
        if problem["type"] == "extra_forbidden":
            below = next(iter(flatten(problem["input"])), "") if isinstance(problem["input"], dict) else ""
            clauses.append(f"{key} (from {origin}) is no setting{_meant(f'{key}.{below}' if below else key)}")
        elif not key:
            clauses.append(f"{problem['msg'].removeprefix('Value error, ')} (set by {origin})")
        elif isinstance(problem["input"], dict):
            clauses.append(f"{key} (from {origin}): {problem['msg'].removeprefix('Value error, ')}")
        else:
            shown = "" if hidden.secret_by_name(key) else f" has value {redacted(repr(problem['input']))}"
            said = _PLAIN.get(problem["type"], problem["msg"].removeprefix("Value error, "))
            clauses.append(f"{key}{shown} (from {origin}): {said}")
    return "; ".join(clauses)


def _meant(key: str) -> str:
    """Return which setting somebody may have meant, and where all of them are.

    >>> [_meant(key) for key in ("window.lenght", "slide", "kafka_group")]
    ['; did you mean window.length?', '; did you mean window.slide?', '; did you mean kafka.group?']
    """
    if key in FORMER:
        return f" any more: it is {FORMER[key]} now"
    known = list(flatten(read_yaml(CONF / "default.yaml")))
    same = [one for one in known if one.endswith(f".{key}") or one.replace(".", "_") == key.replace(".", "_")]
    return meant(same[0] if len(same) == 1 else key, known) or "; see `hydrodask config show`"


def _changed_below(key: str, origins: Mapping[str, str]) -> str:
    """Return the layers, other than the defaults, that set something below `key`."""
    layers = {origin for name, origin in origins.items() if name.startswith(f"{key}.") or not key}
    return ", ".join(sorted(layers - {"default"})) or "default"
