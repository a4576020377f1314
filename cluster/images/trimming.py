"""What libraries bring and no platform needs: tests, headers, symbols, scripts that no page loads."""

import hashlib
import shutil
import subprocess
from pathlib import Path

FOLDERS = (
    "**/tests",
    "onnx/backend/test",
    "onnxruntime/transformers",  # these make and change models; we run them
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "tornado/test",
    "pyarrow/include",
    "pyarrow/src",
    "numpy/_core/include",
    "bokeh/server/static/js/lib",  # types, for people who write extensions; and of the language's own library
    "bokeh/server/static/lib",
    "matplotlib/mpl-data/sample_data",
    "matplotlib/mpl-data/fonts/pdfcorefonts",
)
"""Of each library; none is imported by what is left, which the import of all our modules shows."""

FILES = (
    *("**/*.pyx", "**/*.pxd", "**/*.pxi", "**/*.pyi", "**/*.a", "**/*.h", "**/*.hpp"),
    *("pyarrow/libarrow_flight*", "pyarrow/libarrow_python_flight*", "pyarrow/_flight*"),
    "bokeh/server/static/js/compiler.js",
    "bokeh/server/static/js/bokeh-mathjax*",  # formulas in plots
    "numpy/_core/_simd.*",  # what numpy's own tests try instructions by
    "onnxruntime/capi/libonnxruntime.so*",  # for programs in C: Python's module has all of it once more
    "fontTools/**/*.so",  # faster twins of modules in Python, for people who make fonts
)
PAGES = "mlflow/server/js"
"""MLflow's pages; only its server shows them."""

SCRIPTS = "bokeh/server/static/js"


SERVICES = ("s3", "sso", "sso-oidc", "sts")
"""Of the hundreds that botocore describes: the store, and how one logs in to it."""


def trim(packages: Path, *, pages: bool = False) -> None:
    """Remove from a folder of Python packages what is not needed; with `pages` MLflow's pages stay."""
    for pattern in FOLDERS if pages else (*FOLDERS, PAGES):
        for folder in sorted(packages.glob(pattern)):
            if folder.is_dir():
                shutil.rmtree(folder)
    for pattern in FILES:
        for path in sorted(packages.glob(pattern)):
            path.unlink(missing_ok=True)
    for minified in sorted((packages / SCRIPTS).glob("*.min.js")):
        minified.with_name(minified.name.replace(".min.js", ".js")).unlink(missing_ok=True)
    for service in sorted((packages / "botocore/data").glob("*/")):
        if service.is_dir() and service.name not in SERVICES:
            shutil.rmtree(service)
    _strip(packages)


def _strip(packages: Path) -> None:
    """Take symbols out of compiled modules, and let copies under another name be links."""
    known: dict[str, Path] = {}
    for path in sorted(packages.glob("**/*.so*")):
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            first = known.setdefault(hashlib.file_digest(file, "sha256").hexdigest(), path)
        if first is not path and first.parent == path.parent:
            path.unlink()
            path.symlink_to(first.name)
        elif not path.parent.name.endswith(".libs"):  # those were rewritten for their wheel, and don't outlive it
            subprocess.run(["strip", "--strip-unneeded", str(path)], check=True)
