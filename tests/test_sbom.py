"""`make sbom` lists what a platform is made of: each library of the lock, with its version and its hashes."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from hydrodask.doctor.libraries import read_lock
from tests.conftest import needs

ROOT = Path(__file__).resolve().parents[1]


def test_sbom_lists_the_lock(tmp_path: Path) -> None:
    """The Makefile's own command; the document is of CycloneDX."""
    needs(there=importlib.util.find_spec("cyclonedx_py") is not None, what="cyclonedx-bom is not installed")
    recipe = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    found = re.search(r"-m (cyclonedx_py requirements .*) --output-file build/sbom.json", recipe)
    assert found is not None
    command = [sys.executable, "-W", "ignore", "-m", *shlex.split(found[1]), "--output-file", str(tmp_path / "sbom")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    document = json.loads((tmp_path / "sbom").read_bytes())

    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "hydrodask"
    assert {one["name"]: one["version"] for one in document["components"]} == read_lock(
        (ROOT / "requirements.lock").read_text()
    )
    assert all(one["externalReferences"][0]["hashes"] for one in document["components"])
