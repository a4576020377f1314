"""The API server accepts the chart: each set of values, by `kubectl apply --dry-run=server`."""

import json
from pathlib import Path

import pytest

from tests import charted
from tests.kubernetes.kit import Kit

SPACES = ("rigs", "rigs-kafka", "rigs-storage", "rigs-observe")
UNKNOWN = "monitoring.coreos.com"
"""Kinds of a Prometheus operator, which the kit has not."""


@pytest.mark.parametrize("name", charted.SETS)
def test_the_server_accepts_the_chart(kit: Kit, tmp_path: Path, name: str) -> None:
    """It finds wrong types, unknown versions and values that its own checks refuse, as Helm's linter does not."""
    text = charted.rendered(charted.helm("helm 4", tmp_path), charted.SETS[name])
    found = [one for one in charted.objects(text) if not one["apiVersion"].startswith(UNKNOWN)]
    whole = {"apiVersion": "v1", "kind": "List", "items": found}
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one}} for one in SPACES]
    try:
        kit.apply(*spaces)
        said = kit.kubectl("apply", "--dry-run=server", "--filename=-", stdin=json.dumps(whole))
    finally:
        kit.kubectl("delete", "namespace", *SPACES, "--ignore-not-found", "--timeout=60s")

    assert said.count("(server dry run)") == len(found)
