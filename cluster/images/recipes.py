"""How each image is made: which parts, one layer each, who it runs as, how large it may be."""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cluster.images import contents, oci, roots, servers

LACKS = ("hydrodask.testing.simulation",)
"""What no image has libraries for: the extra `testing`, for people who write flows."""
STREAM_LACKS = (*LACKS, "hydrodask.learn.", "hydrodask.cli.", "hydrodask.flows.train", "hydrodask.doors.certificates")
"""What the image of workers has no libraries for: the trainer, commands about models, making certificates."""
Part = Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an image is made: Debian's packages, Python's or a server's, and hydrodask; one layer each."""

    tag: str
    debian: Collection[str]
    parts: Sequence[Part]
    bytes_max: int
    user: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": roots.ENVIRONMENT["PATH"]})


def _ours(names: Collection[str] | None, lacks: Sequence[str], bytes_max: int) -> Recipe:
    return Recipe(
        tag="dev",
        debian=roots.PYTHON,
        parts=[partial(roots.platform_packages, names=names), roots.hydrodask, partial(roots.compiled, lacks=lacks)],
        bytes_max=bytes_max,
        user="10001:10001",
        command=["hydrodask", "--help"],
        environment=roots.ENVIRONMENT,
    )


def _server(tag: str, part: Part, user: int, *command: str, debian: Sequence[str] = ()) -> Recipe:
    return Recipe(
        tag=tag,
        debian=[*servers.C_LIBRARIES, *debian],
        parts=[part],
        bytes_max=700_000_000,
        user=f"{user}:{user}",
        command=command,
    )


RECIPES = {
    "hydrodask": _ours(None, LACKS, 850_000_000),
    "hydrodask-stream": _ours(roots.stream_names(), STREAM_LACKS, 500_000_000),
    "kafka": _server("4.4.0", servers.kafka, 1000, "/opt/kafka/bin/kafka-server-start.sh"),
    "hadoop": _server("3.5.0", servers.hadoop, 1000, "hdfs"),
    "mongo": _server("6.0.5", servers.mongo, 999, "mongod", debian=servers.MONGODB),
    "prometheus": _server("2.42.0", servers.prometheus, 65534, "/bin/prometheus"),
    "pushgateway": _server("1.5.1", servers.pushgateway, 65534, "/bin/pushgateway"),
    "alertmanager": _server("0.25.0", servers.alertmanager, 65534, "/bin/alertmanager"),
    "mlflow": Recipe(
        tag="3.17.2",
        debian=roots.PYTHON,
        parts=[servers.mlflow],
        bytes_max=900_000_000,
        user="10001:10001",
        command=["mlflow", "server"],
        environment=roots.ENVIRONMENT,
    ),
}
OURS = ("hydrodask", "hydrodask-stream")


def fill(name: str, root: Path, *, uncompiled: bool = False) -> list[set[str]]:
    """Fill `root` by a recipe, `uncompiled` without what its own Python makes; return what each layer holds.

    Raises SystemExit when the image would be too large, or holds what no image may.
    """
    recipe = RECIPES[name]
    roots.debian(root, recipe.debian)
    layers = [set(oci.paths(root))]
    for part in recipe.parts[:-1] if uncompiled else recipe.parts:
        part(root)
    (root / contents.SBOM).parent.mkdir(parents=True)
    (root / contents.SBOM).write_bytes(contents.sbom(root, name, roots.pins(recipe.debian)))
    names = oci.paths(root)
    ours = {path for path in set(names) - layers[0] if contents.is_ours(path)}
    layers += [set(names) - layers[0] - ours, ours]
    problems = contents.refuse(root, names)
    total = contents.total(root, names)
    if total > recipe.bytes_max:
        problems.append(f"it takes {total / 1e6:.0f} MB, and may take {recipe.bytes_max / 1e6:.0f}")
    if problems:
        raise SystemExit(f"{name} cannot be an image: " + "; ".join(problems[:10]) + f"\n{contents.sizes(root, names)}")
    return layers


def build(name: str, tag: str, output: Path) -> str:
    """Write `name`.tar with its list of contents and of sizes beside it; return the image's digest."""
    recipe = RECIPES[name]
    work = output / f".{name}"
    shutil.rmtree(work, ignore_errors=True)
    root = work / "root"
    root.mkdir(parents=True)
    try:
        layers = []
        for number, names in enumerate(fill(name, root)):
            layers.append(work / f"layer-{number}")
            oci.pack(root, sorted(names), layers[-1])
        image = oci.Image(
            name=f"localhost/{name}:{tag or recipe.tag}",
            user=recipe.user,
            environment=recipe.environment,
            command=recipe.command,
            labels={"org.opencontainers.image.title": name, "org.opencontainers.image.licenses": "Apache-2.0"},
        )
        digest = oci.write(output / f"{name}.tar", image, layers)
        shutil.copy(root / contents.SBOM, output / f"{name}.cdx.json")
        (output / f"{name}.sizes.txt").write_text(contents.sizes(root, oci.paths(root)), encoding="utf-8")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return digest
