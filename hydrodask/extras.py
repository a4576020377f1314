"""What is installed only with an extra, and the sentence for who needs it and has it not."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from hydrodask.errors import ConfigError

EXTRAS = {
    "learn": (
        *("cronsim", "dask_ml", "joblib", "matplotlib", "mlflow", "onnx", "scipy", "skl2onnx", "sklearn", "skops"),
        "xgboost",
    ),
    "dashboard": ("bokeh",),
    "frame": ("pandas",),
    "hdfs": ("hdfs_native", "requests"),
    "mongo": ("bson", "pymongo"),
    "s3": ("botocore", "s3fs"),
    "kubernetes": ("kubernetes",),
    "testing": ("greenlet",),
}
"""The modules of each extra that we import, or that fsspec imports for us."""

FILE_SYSTEMS = {"hdfs": "hdfs_native", "webhdfs": "requests", "s3": "s3fs"}
"""What each kind of file system needs."""


def extra_of(module: str) -> str | None:
    """Return the extra that a module comes with.

    >>> extra_of("sklearn.ensemble"), extra_of("numpy")
    ('learn', None)
    """
    top = module.partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if top in modules), None)


def command(extra: str) -> str:
    """Return what installs an extra.

    >>> command("learn")
    "pip install 'hydrodask[learn]'"
    """
    return f"pip install 'hydrodask[{extra}]'"


def lacking(module: str) -> str:
    """Return the sentence for a module that is not there, nothing for one that is."""
    try:
        there = find_spec(module) is not None
    except ImportError:
        there = False
    return "" if there else _sentence(module)


def absent(error: BaseException) -> ConfigError | None:
    """Return our error for that of an import, if the module comes with an extra."""
    if not isinstance(error, ImportError) or not error.name or extra_of(error.name) is None:
        return None
    return ConfigError(_sentence(error.name))


@contextmanager
def needed() -> Iterator[None]:
    """Raise ConfigError, with the command that installs it, when an import in the block lacks an extra."""
    try:
        yield
    except ImportError as error:
        if (ours := absent(error)) is not None:
            raise ours from error
        raise


def _sentence(module: str) -> str:
    top = module.partition(".")[0]
    extra = extra_of(top)
    return f"this needs {top}, which is not installed" + (f": {command(extra)}" if extra else "")
