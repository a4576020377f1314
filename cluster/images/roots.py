"""Fill an image's file system from pins: Debian's packages, Python's packages, hydrodask, its bytecode and kernels."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from cluster.images import trimming

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
LOCK = REPOSITORY / "requirements.lock"
PACKAGES = Path("usr/local/lib/python3.11/dist-packages")
DEV_LOCK = REPOSITORY / "requirements-dev.lock"
S3 = ("aiobotocore", "aioitertools", "botocore", "jmespath", "s3fs", "wrapt")
"""The extra `s3`, which only the lock of developers pins; and what else it needs that no training may have brought."""
S3_SHARED = (
    *("aiohappyeyeballs", "aiohttp", "aiosignal", "attrs", "frozenlist", "multidict", "propcache", "python-dateutil"),
    *("six", "yarl"),
)
BUILD_TOOLS = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers")
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108  # the only place that can be written, and a pod's own
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
    "NUMBA_CPU_NAME": "generic",  # kernels that were compiled here run on every machine of the architecture
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
}
"""Of each container, and while its kernels are compiled."""

PYTHON = (
    *("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "busybox-static", "tzdata", "ca-certificates", "media-types"),
    *("python3.11", "python3.11-minimal", "libpython3.11-stdlib", "libpython3.11-minimal", "libexpat1", "libbz2-1.0"),
    *("libcrypt1", "libffi8", "liblzma5", "libnsl2", "libsqlite3-0", "libssl3", "libuuid1"),
)
"""Debian's packages that a Python needs whose other libraries come as wheels."""
UNREAD = (
    *(f"usr/share/{one}" for one in ("applications", "bug", "doc", "doc-base", "info", "lintian", "locale", "man")),
    *("usr/share/pixmaps", "usr/share/zoneinfo/right", "usr/lib/python3.11/pydoc_data"),
    "usr/lib/x86_64-linux-gnu/gconv",  # iconv's tables; Python and Java have their own, and UTF-8 needs none
)
"""Folders of Debian's packages that nobody reads."""

COMMANDS = {
    "hydrodask": "hydrodask.__main__",
    "dask": "dask.__main__",
    "dask-scheduler": "distributed.cli.dask_scheduler",
    "dask-worker": "distributed.cli.dask_worker",
}
TOOLS = (
    *("sh", "cat", "chmod", "cp", "date", "df", "du", "echo", "env", "false", "grep", "head", "hostname", "id", "ln"),
    *("ls", "mkdir", "mv", "nc", "ps", "rm", "sed", "sleep", "tail", "test", "touch", "true"),
)
"""What busybox is asked for, in init containers and by whoever looks into a pod."""


def debian(root: Path, names: Collection[str] | None = None) -> None:
    """Unpack the packages that `debian.txt` pins, or of those the `names`. No script of theirs is run."""
    wanted = pins(names)
    packages = once("debs", json.dumps(wanted).encode(), lambda folder: _download(wanted, folder))
    for name, digest in wanted.items():
        found = hashlib.sha256((packages / name).read_bytes()).hexdigest()
        if found != digest:
            raise SystemExit(
                f"{name} has SHA-256 {found}, want {digest}: delete {packages}, and if that is no help, stop"
            )
        subprocess.run(["dpkg-deb", "--extract", str(packages / name), str(root)], check=True)
    for folder in UNREAD:
        shutil.rmtree(root / folder, ignore_errors=True)
    _settle(root)


def pins(names: Collection[str] | None = None) -> dict[str, str]:
    """Return Debian's packages (file → SHA-256) that have one of the `names`; all without."""
    lines = [line.split() for line in (HERE / "debian.txt").read_text(encoding="utf-8").splitlines()]
    return {file: digest for digest, file in lines if names is None or file.split("_")[0] in names}


def _download(wanted: Collection[str], folder: Path) -> None:
    for name in wanted:
        package, version, _ = name.removesuffix(".deb").rsplit("_", 2)
        version = version.replace("%3a", ":")
        command = ["apt-get", "-o", "APT::Sandbox::User=root", "--quiet=2", "download", f"{package}={version}"]
        if subprocess.run(command, cwd=folder, check=False).returncode != 0:
            raise SystemExit(
                f"could not fetch Debian's package {package} {version}: is `apt-get update` needed? If Debian has "
                "a newer one, put its name and SHA-256 into cluster/images/debian.txt"
            )


def _settle(root: Path) -> None:
    """Do what the packages' scripts would: users, certificates in one file, names of tools."""
    for folder in ("dev", "etc", "proc", "sys", "tmp", "usr/local/bin", PACKAGES):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    etc = root / "etc"
    users = (
        "root:x:0:0:root:/:/bin/false",
        "hydrodask:x:10001:10001::/tmp:/bin/false",
        "nobody:x:65534:65534::/:/bin/false",
    )
    (etc / "passwd").write_text("\n".join(users) + "\n")
    (etc / "group").write_text("root:x:0:\nhydrodask:x:10001:\nnogroup:x:65534:\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    if authorities:
        (etc / "ssl/certs").mkdir(parents=True, exist_ok=True)
        (etc / "ssl/certs/ca-certificates.crt").write_bytes(b"".join(path.read_bytes() for path in authorities))
    for tool in TOOLS:
        if not (root / "bin" / tool).exists():
            (root / "bin" / tool).symlink_to("busybox")
    if (root / "usr/bin/python3.11").exists() and not (root / "usr/bin/python3").exists():
        (root / "usr/bin/python3").symlink_to("python3.11")


def platform_packages(root: Path, names: Collection[str] | None = None) -> None:
    """Install what the platform's lock pins, or of that only the `names`, and the extra for object stores."""
    text = only(LOCK.read_text(encoding="utf-8"), None if names is None else {*names, *S3_SHARED})
    _python_packages(root, text + only(DEV_LOCK.read_text(encoding="utf-8"), S3), pages=False)


def python_packages(root: Path, lock: Path, *, pages: bool) -> None:
    """Install what a lock pins by hashes."""
    _python_packages(root, only(lock.read_text(encoding="utf-8"), None), pages=pages)


def _python_packages(root: Path, text: str, *, pages: bool) -> None:
    """Install the entries of a lock; nothing is compiled and nothing looked up."""
    folder = once("packages", text.encode(), lambda folder: _pip(text, folder))
    shutil.copytree(folder, root / PACKAGES, symlinks=True, dirs_exist_ok=True)
    trimming.trim(root / PACKAGES, pages=pages)


def stream_names() -> list[str]:
    """Return the packages of the image without training."""
    return (HERE / "stream.txt").read_text(encoding="utf-8").split()


def only(lock: str, names: Collection[str] | None) -> str:
    """Return a lock's entries that have one of the `names`, and each other than the build's tools without names."""
    entries = re.split(r"(?m)^(?=[a-z0-9])", lock)[1:]
    found = {entry.split("==")[0]: entry for entry in entries}
    if names is None:
        names = found.keys() - set(BUILD_TOOLS) | {"packaging"}
    return "".join(found[name] for name in sorted(names))


def _pip(lock: str, folder: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(lock)
        file.flush()
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-compile"]
        wheels = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", "3.11"]
        subprocess.run([*command, *wheels, "--target", str(folder), "--requirement", file.name], check=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)
    shutil.rmtree(folder / "share", ignore_errors=True)


def hydrodask(root: Path) -> None:
    """Put our wheel and its commands there."""
    tools = only(LOCK.read_text(encoding="utf-8"), BUILD_TOOLS)
    hatchling = once("build-tools", tools.encode(), lambda folder: _pip(tools, folder))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
        environment = os.environ | {"PYTHONPATH": str(hatchling)}
        subprocess.run(
            command, cwd=REPOSITORY, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            wheel.extractall(root / PACKAGES)
    for name, module in COMMANDS.items():
        # The guard matters: a nanny's worker imports this file again.
        text = f'#!/usr/bin/python3\nfrom {module} import main\n\nif __name__ == "__main__":\n    main()\n'
        (root / "usr/local/bin" / name).write_text(text)
        (root / "usr/local/bin" / name).chmod(0o755)


def compiled(root: Path, *, lacks: Sequence[str] = ()) -> None:
    """Make what the image's own Python has to make; only modules below those of `lacks` may miss a library."""
    lacking = compile_inside(root, kernels=True)
    wrong = [line for line in lacking if not line.startswith(tuple(lacks))]
    if wrong:
        raise SystemExit(f"{len(wrong)} modules cannot be imported: {'; '.join(wrong[:10])}")


def compile_inside(root: Path, *names: str, kernels: bool = False) -> list[str]:
    """Make bytecode of what importing the modules `names` brings, by default a platform's; and our kernels.

    Return the modules that lack a library.
    """
    _inside(root, "sources", *names)
    _inside(root, "bytecode")
    if kernels:
        _inside(root, "kernels")
    lacking = list(json.loads((root / "tmp/sources.json").read_text(encoding="utf-8"))["lacking"])
    for left in (root / "tmp").iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    for left in (root / "dev").iterdir():
        left.unlink()
    return lacking


def _inside(root: Path, task: str, *names: str) -> None:
    """Run a task of `inside` in the root."""
    enter = ["unshare", "--map-root-user", "--mount", "--pid", "--fork", f"--root={root}", "--mount-proc"]
    # Sets of strings are in the same order each time, and so is what is made of them.
    environment = ENVIRONMENT | {"PYTHONHASHSEED": "0"}
    command = [*enter, "/usr/bin/python3", "-W", "ignore", "-", task, *names]
    with (HERE / "inside.py").open("rb") as script:
        subprocess.run(command, env=environment, stdin=script, stdout=subprocess.DEVNULL, check=True)


def once(kind: str, key: bytes, fill: Callable[[Path], None]) -> Path:
    """Return a folder of the cache that `fill` has filled once for `key`, whole or not at all."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hydrodask" / "images"
    folder = base / f"{kind}-{hashlib.sha256(key).hexdigest()[:16]}"
    if not folder.exists():
        base.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=base))
        try:
            fill(fresh)
            with contextlib.suppress(OSError):  # another was faster
                fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder
