"""Build images without an engine: `python -m cluster.images build hydrodask hydrodask-stream kafka …`."""

import argparse
from pathlib import Path

from cluster.images import roots
from cluster.images.recipes import OURS, RECIPES, build, fill

OUTPUT = roots.REPOSITORY / "build" / "images"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="cluster.images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="write build/images/NAME.tar, its SBOM and the list of sizes")
    building.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; by default ours")
    building.add_argument("--tag", default="", help="instead of the version, or of dev for ours")
    building.add_argument("--output", type=Path, default=OUTPUT, metavar="FOLDER")
    filling = commands.add_parser("root", help="fill a folder; what the Containerfile calls")
    filling.add_argument("--uncompiled", action="store_true", help="without what the image's own Python makes")
    filling.add_argument("name", choices=OURS)
    filling.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.command == "root":
        options.folder.mkdir(parents=True)
        fill(options.name, options.folder, uncompiled=options.uncompiled)
        return
    unknown = set(options.names) - RECIPES.keys()
    if unknown:
        parser.error(f"there is no image {', '.join(sorted(unknown))}; want {', '.join(RECIPES)}")
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.names or OURS:
        print(f"{name} {build(name, options.tag, options.output)}", flush=True)


if __name__ == "__main__":
    main()
