"""Images without an engine: the same bytes every time, only what is pinned, nothing that an image must not hold."""

import hashlib
import json
import os
import re
import tarfile
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from cluster.images import contents, oci, roots, servers
from cluster.images.recipes import RECIPES
from hydrodask.doctor.libraries import read_lock
from hydrodask.services import SERVICES, Options

IMAGES = Path(roots.__file__).parent
CONTAINERFILE = IMAGES / "Containerfile"
LEARNING = {
    "dask-ml",
    "matplotlib",
    "mlflow",
    "mlflow-skinny",
    "onnx",
    "scikit-learn",
    "scipy",
    "skl2onnx",
    "skops",
    "xgboost-cpu",
}


def tree(root: Path, *, times: int, umask: int, names: list[str]) -> Path:
    """Make the same files as another would have made them: other times, rights of others, order."""
    before = os.umask(umask)
    try:
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {name}\n")
            path.chmod(path.stat().st_mode | (0o4100 if name.startswith("bin") else 0))
            os.utime(path, (times, times))
        (root / "link").symlink_to("bin/tool")
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
    finally:
        os.umask(before)
    return root


def layer_of(root: Path, into: Path) -> str:
    """Return the digest of a folder as a layer."""
    return oci.pack(root, oci.paths(root), into)


def test_the_same_files_are_the_same_image(tmp_path: Path) -> None:
    """Times, the builder's umask and the order in which files were made change no byte; nothing is setuid."""
    names = ["bin/tool", "etc/passwd", "lib/a.py", "lib/b.py"]
    one = tree(tmp_path / "one", times=0, umask=0o022, names=names)
    other = tree(tmp_path / "other", times=10**9, umask=0o077, names=names[::-1])

    image = oci.Image(name="localhost/some:1", command=["tool"])
    digests = []
    for root in (one, other):
        layer = root.with_suffix(".layer")
        layer_of(root, layer)
        digests.append((oci.write(root.with_suffix(".tar"), image, [layer]), root.with_suffix(".tar").read_bytes()))

    assert digests[0] == digests[1]
    with tarfile.open(one.with_suffix(".layer")) as archive:
        rights = {member.name: oct(member.mode) for member in archive}
    assert {name: mode for name, mode in rights.items() if mode not in {"0o644", "0o755"}} == {
        "link": "0o777",
        "tmp": "0o1777",
    }
    assert {name for name, mode in rights.items() if mode == "0o644"} == {"etc/passwd", "lib/a.py", "lib/b.py"}


def test_an_archive_says_what_it_holds(tmp_path: Path) -> None:
    """Each blob has the digest that it is called by, and the configuration names user, command and layers."""
    root = tree(tmp_path / "root", times=0, umask=0o022, names=["bin/tool"])
    digest = layer_of(root, tmp_path / "layer")
    written = oci.write(tmp_path / "a.tar", oci.Image(name="localhost/some:1", command=["tool"]), [tmp_path / "layer"])

    with tarfile.open(tmp_path / "a.tar") as archive:
        files = {name: file.read() for name in archive.getnames() if (file := archive.extractfile(name))}
    blobs = {name.rpartition("/")[2]: blob for name, blob in files.items() if name.startswith("blobs/sha256/")}
    assert {name: hashlib.sha256(blob).hexdigest() for name, blob in blobs.items()} == {name: name for name in blobs}
    index = json.loads(files["index.json"])["manifests"][0]
    assert index["digest"] == written
    assert index["annotations"]["io.containerd.image.name"] == "localhost/some:1"
    manifest = json.loads(blobs[written.removeprefix("sha256:")])
    config = json.loads(blobs[manifest["config"]["digest"].removeprefix("sha256:")])
    assert [layer["digest"] for layer in manifest["layers"]] == config["rootfs"]["diff_ids"] == [digest]
    assert config["config"]["User"] == "10001:10001"
    assert config["config"]["Cmd"] == ["tool"]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("usr/bin/gcc", "", "makes or fetches programs"),
        ("usr/local/bin/pip", "", "makes or fetches programs"),
        ("etc/key.pem", f"-----BEGIN PRIVATE KEY-----\n{'A' * 64}\n", "holds a private key"),
        ("usr/lib/some/tests/test_it.py", "", "holds tests"),
    ],
)
def test_what_no_image_may_hold_is_refused(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    """Compilers, package managers, private keys and tests."""
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(text)

    problems = contents.refuse(tmp_path, oci.paths(tmp_path))
    assert [complaint in problem for problem in problems] == [True]


def test_the_list_of_contents_and_sizes(tmp_path: Path) -> None:
    """The SBOM names Debian's packages with their hashes and Python's with their versions; the sizes add up."""
    library = tmp_path / contents.PACKAGES / "some_library-1.2.dist-info"
    library.mkdir(parents=True)
    (library / "METADATA").write_text("Metadata-Version: 2.1\nName: some_library\nVersion: 1.2\n")
    document = json.loads(contents.sbom(tmp_path, "some", {"libc6_2.36-9_amd64.deb": "ab" * 32}))

    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == ("CycloneDX", "some")
    assert [one["purl"] for one in document["components"]] == [
        "pkg:deb/debian/libc6@2.36-9?arch=amd64",
        "pkg:pypi/some-library@1.2",
    ]
    assert document["components"][0]["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/large").write_bytes(bytes(3_000_000))
    table = contents.sizes(tmp_path, oci.paths(tmp_path)).splitlines()
    assert table[0].split() == ["3.0", "MB", "usr/bin"]
    assert table[-1].split() == ["3.0", "MB", "together"]


def test_everything_is_pinned_by_its_hash() -> None:
    """Debian's packages of each recipe, and Python's: of the lock, which has hashes, and without those of the build."""
    pinned = roots.pins()
    assert {len(digest) for digest in pinned.values()} == {64}
    known = {name.split("_")[0] for name in pinned}
    assert [(name, one) for name, recipe in RECIPES.items() for one in set(recipe.debian) - known] == []
    assert {one for recipe in RECIPES.values() for one in recipe.debian} == known

    lock = roots.LOCK.read_text(encoding="utf-8")
    everything = roots.only(lock, None)
    assert set(read_lock(everything)) == set(read_lock(lock)) - {
        "editables",
        "hatchling",
        "pathspec",
        "pluggy",
        "trove-classifiers",
    }
    entries = re.split(r"(?m)^(?=[a-z0-9])", everything)[1:]
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_image_without_training_is_closed() -> None:
    """Its packages are of the lock, whatever one needs is among them, and none of the trainer's is."""
    names = set(roots.stream_names())
    plots = {"contourpy", "narwhals", "pillow", "xyzservices"}  # Bokeh asks for them, for plots that our page has not
    versions = read_lock(roots.LOCK.read_text(encoding="utf-8"))
    assert names | set(roots.S3_SHARED) <= versions.keys()
    assert set(roots.S3) <= read_lock(roots.DEV_LOCK.read_text(encoding="utf-8")).keys()
    asked = [Requirement(one) for one in requires("hydrodask") or []]
    extras = ("", "dashboard", "hdfs", "mongo")
    wanted = {one.name for one in asked if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in extras)}
    assert wanted - {"cryptography"} <= names  # who starts a cluster makes certificates; workers are given theirs
    names |= {*roots.S3, *roots.S3_SHARED}
    assert names & LEARNING == set()
    missing = []
    for name in names:
        for needed in map(Requirement, requires(name) or []):
            found = re.sub("[-_.]+", "-", needed.name).lower()
            if (needed.marker is None or needed.marker.evaluate({"extra": ""})) and found not in names | plots:
                missing.append((name, found))
    assert missing == []


def test_servers_have_the_versions_of_the_local_services(tmp_path: Path) -> None:
    """Tests on Kubernetes run what the other tests run."""
    tags = {"hdfs": "hadoop", "mongodb": "mongo"}
    versions = {tags.get(name, name): make(tmp_path, Options()).version for name, make in SERVICES.items()}

    assert {name: recipe.tag for name, recipe in RECIPES.items() if not name.startswith("hydrodask")} == versions
    assert servers.KAFKA.startswith("#!/bin/sh\nexec java ")


def test_the_containerfile_makes_the_same() -> None:
    """Its base is pinned by digest; the last stage has nothing but files, the recipe's environment, and is not root."""
    text = CONTAINERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    stages = [re.split(r"\n", stage) for stage in re.split(r"(?m)^FROM ", text)[1:]]
    froms = [stage[0].split()[0] for stage in stages]
    assert froms[1:] == ["scratch", "scratch"]
    assert re.fullmatch(r"docker\.io/library/debian:bookworm-slim@sha256:[0-9a-f]{64}", froms[0])
    last = [line.split(maxsplit=1) for line in stages[-1][1:] if line and not line.startswith("#")]
    done: dict[str, list[str]] = {}
    for word, rest in last:
        done.setdefault(word, []).append(rest)
    recipe = RECIPES["hydrodask"]

    assert set(done) == {"COPY", "ENV", "USER", "WORKDIR", "CMD"}
    assert done["COPY"] == ["--from=compiled / /"]
    assert dict(pair.split("=", 1) for pair in done["ENV"][0].split()) == recipe.environment
    assert done["USER"] == [recipe.user]
    assert int(recipe.user.partition(":")[0]) > 0
    assert json.loads(done["CMD"][0]) == list(recipe.command)
    # Nothing but pins decides what is in it: no pip without hashes, no secret that would stay in a layer.
    assert [line for line in text.splitlines() if re.match(r"(ADD|ARG .*(PASSWORD|TOKEN|SECRET|KEY))", line)] == []
    assert "pip install" not in text
    copied = {word for line in stages[0] if line.startswith("COPY") for word in line.split()}
    assert {roots.LOCK.name, roots.DEV_LOCK.name, "pyproject.toml", "cluster", "hydrodask"} <= copied
