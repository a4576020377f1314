"""A registry behind an MLflow server: its REST interface, by the standard library."""

import json
import os
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from hydrodask.doors.trust import basic, trust
from hydrodask.errors import FatalError, UnreachableError, sentence
from hydrodask.settings import Url

CERT_PATH = "MLFLOW_TRACKING_SERVER_CERT_PATH"
"""Where MLflow's own client looks for the file of an authority."""
_WAIT_S = 20.0
_MODELS_MAX = 1000
_PROXIED = "mlflow-artifacts"
"""The scheme of artefacts that the server hands out itself."""


class Rest:
    """Asks an MLflow server. Methods raise UnreachableError when it does not answer, FatalError when it refuses."""

    def __init__(self, uri: Url, ca_file: Path | None = None) -> None:
        parts = urlsplit(uri.plain())
        self._base = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self._login = _login(parts.username, parts.password)
        others = os.environ.get(CERT_PATH) or os.environ.get("REQUESTS_CA_BUNDLE")
        file = ca_file or (Path(others) if others else None)
        key = "learn.ca_file" if ca_file else f"{CERT_PATH} or REQUESTS_CA_BUNDLE"
        self._trust = trust(file, key) if parts.scheme == "https" else None

    def champions(self) -> list[Mapping[str, Any]]:
        """Return what the registry says of each champion."""
        wanted = {"filter": "name LIKE 'hydrodask-%'", "max_results": str(_MODELS_MAX)}
        found: list[Mapping[str, Any]] = []
        for model in self._ask("registered-models/search", wanted).get("registered_models", []):
            aliases = {one["alias"]: one["version"] for one in model.get("aliases", [])}
            if "champion" in aliases:
                which = {"name": model["name"], "version": str(aliases["champion"])}
                version = self._ask("model-versions/get", which)["model_version"]
                found.append(
                    {
                        "name": version["name"],
                        "version": version["version"],
                        "created_ms": version["creation_timestamp"],
                        "run_id": version.get("run_id", ""),
                        "tags": {tag["key"]: tag.get("value", "") for tag in version.get("tags", [])},
                        "aliases": aliases,
                    }
                )
        return found

    def artifacts(self, run_id: str) -> str:
        """Return the URI of the folder with a run's artefacts."""
        return str(self._ask("runs/get", {"run_id": run_id})["run"]["info"]["artifact_uri"])

    def fetch(self, uri: str) -> bytes | None:
        """Return an artefact that the server hands out itself, None if it is in a file system."""
        parts = urlsplit(uri)
        if parts.scheme != _PROXIED:
            return None
        path = quote(unquote(parts.path).lstrip("/"))
        return self._get(f"{self._base}/api/2.0/mlflow-artifacts/artifacts/{path}")

    def _ask(self, what: str, given: Mapping[str, str]) -> Any:
        answer = self._get(f"{self._base}/api/2.0/mlflow/{what}?{urlencode(given)}")
        try:
            return json.loads(answer)
        except ValueError as error:
            raise FatalError(f"{what} answers no JSON: {sentence(error)}") from error

    def _get(self, url: str) -> bytes:
        asked = Request(url, headers=self._login)  # noqa: S310 - the address is the settings', http or https
        try:
            with urlopen(asked, timeout=_WAIT_S, context=self._trust) as answer:  # noqa: S310 - see above
                return bytes(answer.read())
        except HTTPError as error:
            with error:  # it holds the connection
                raise FatalError(f"{error.code} {error.reason}: {_said(error)}") from error
        except (OSError, HTTPException) as error:
            raise UnreachableError(sentence(error)) from error


def _login(user: str | None, password: str | None) -> dict[str, str]:
    """Return the headers of a login, from the URL or from the variables that MLflow's own client takes."""
    if token := "" if user else os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user = unquote(user or "") or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = unquote(password or "") or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    return basic(user, password) if user else {}


def _said(error: HTTPError) -> str:
    """Return the sentence of a refusal."""
    try:
        return str(json.loads(error.read())["message"]).splitlines()[0][:200]
    except (OSError, ValueError, LookupError, TypeError):
        return "no more is said"
