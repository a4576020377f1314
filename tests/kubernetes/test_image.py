"""The image in a cluster: the same every time, and content with another user and a root that cannot be written."""

import hashlib
import json
import os
import sys
import tarfile
from pathlib import Path

import pytest

from cluster.images.__main__ import OUTPUT
from cluster.images.recipes import build
from tests.kubernetes.containerfile import made
from tests.kubernetes.kit import ROOT, Kit, pod

STARTS = """
import json, os, pathlib, time
began_s = time.monotonic()
import hydrodask.worker.step
from hydrodask import kernels
from hydrodask.worker.warm import warm_up
warm_up()
took_s = time.monotonic() - began_s
written = os.access("/usr/local", os.W_OK)
brought = {path.name for path in (kernels.PACKAGE / "__pycache__" / f"kernels-{kernels.digest()}").iterdir()}
used = {path.name for path in kernels.folder().iterdir()}
print(json.dumps({"uid": os.getuid(), "written": written, "took_s": took_s, "compiled": len(used - brought)}))
"""

STREAMS = """
import importlib.util, json
import distributed.cli.dask_scheduler, distributed.cli.dask_worker
import hydrodask.learn.rest, hydrodask.learn.score.inference, hydrodask.learn.shelf
import hydrodask.observe.preload, hydrodask.worker.host, hydrodask.worker.preload, hydrodask.worker.step
from hydrodask.worker.warm import warm_up
warm_up()
training = ("cryptography", "matplotlib", "mlflow", "scipy", "sklearn", "skops", "xgboost")
print(json.dumps([name for name in training if importlib.util.find_spec(name)]))
"""


def test_twice_the_same(ours: str, tmp_path: Path) -> None:
    """Built again, from the same commit, the image has the same digest, and no file of it is setuid."""
    assert build("hydrodask", "", tmp_path) == ours

    with tarfile.open(OUTPUT / "hydrodask.tar") as archive:
        for member in archive:
            blob = archive.extractfile(member)
            assert blob is not None
            if member.name.startswith("blobs/") and member.size > 1_000_000:
                with tarfile.open(fileobj=blob) as layer:
                    assert [one.name for one in layer if one.isreg() and one.mode not in {0o644, 0o755}] == []


def test_the_containerfile_makes_the_same_files(ours: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its steps, done one by one without an engine, leave the files that are in our archive, byte for byte."""
    assert ours
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # a Python that has pip
    root = made(ROOT / "cluster" / "images" / "Containerfile", "compiled", tmp_path)
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file() and not path.is_symlink()}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()}

    assert digests == packed(OUTPUT / "hydrodask.tar")


def packed(archive: Path) -> dict[str, str]:
    """Return the files in an archive's layers, and their digests."""
    found = {}
    with tarfile.open(archive) as outer:
        for member in outer:
            blob = outer.extractfile(member)
            if blob is not None and member.name.startswith("blobs/") and member.size > 1_000_000:
                with tarfile.open(fileobj=blob) as layer:
                    for one in layer:
                        if one.isreg():
                            file = layer.extractfile(one)
                            assert file is not None
                            found[one.name] = hashlib.sha256(file.read()).hexdigest()
    return found


def test_it_starts_as_anybody_with_nothing_to_write(kit: Kit, ours: str, namespace: str) -> None:
    """As a user that it has never heard of, on a read-only root: no kernel is compiled, and it takes seconds."""
    assert ours
    image = "localhost/hydrodask:dev"
    place = f"--namespace={namespace}"
    kit.kubectl(
        "apply", place, "--filename=-", stdin=json.dumps(pod("start", image, ["python3", "-c", STARTS], uid=12345))
    )
    kit.until("the pod has ended", lambda: ended(kit, namespace, "start"), 120)
    said = json.loads(kit.kubectl("logs", place, "start"))

    assert (said["uid"], said["written"], said["compiled"]) == (12345, False, 0)
    assert said["took_s"] < 30, said  # two seconds on a machine that does nothing else; compiling alone takes nine


def test_the_image_without_training_runs_workers_and_scheduler(kit: Kit, namespace: str) -> None:
    """It has what a step, scoring with champions, the page and Dask's processes need, and nothing of the trainer's."""
    build("hydrodask-stream", "", OUTPUT)
    kit.call("load-image", str(OUTPUT / "hydrodask-stream.tar"), timeout_s=300)
    place, image = f"--namespace={namespace}", "localhost/hydrodask-stream:dev"
    kit.kubectl(
        "apply", place, "--filename=-", stdin=json.dumps(pod("one", image, ["python3", "-c", STREAMS], uid=12345))
    )
    kit.until("the pod has ended", lambda: ended(kit, namespace, "one"), 120)

    assert json.loads(kit.kubectl("logs", place, "one")) == []


def ended(kit: Kit, namespace: str, name: str) -> bool:
    """Say whether a pod has done what it was made for."""
    phase = kit.get("pod", f"--namespace={namespace}", name)["status"]["phase"]
    assert phase != "Failed", kit.kubectl("logs", f"--namespace={namespace}", name)
    return bool(phase == "Succeeded")
