"""`./scripts/build`: the image of this commit, named by its content, tagged with the commit."""

import argparse
import json
import sys

from delivery import image, settings
from delivery.command import run
from delivery.git import head
from delivery.registry import Registry


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/build", description=__doc__)
    main.add_argument(
        "--environment", "--env", default="", help="whose registry (default: settings.toml's)"
    )
    main.add_argument("--group", default="base", help="dependency group (default: %(default)s)")
    main.add_argument(
        "--push", action="store_true", help="put it into the registry under the commit's tag"
    )
    main.add_argument("--print", action="store_true", help="list the files that the image holds")
    main.add_argument("--json", action="store_true", help="print one JSON object")
    return main


def main(argv: list[str]) -> int:
    """Build, push where asked, and say the digest."""
    arguments = parser().parse_args(argv)
    root = settings.ROOT
    if arguments.print:
        for name, path in image.files(root).items():
            print(f"{name}  {path.stat().st_size:,} bytes")
        return 0
    if arguments.push:
        environment = settings.load().environment(arguments.environment)
        registry = Registry(f"{environment.artifact_registry}/{arguments.group}")
        digest, new = image.publish(registry, root, arguments.group, head(root))
    else:
        digest, new = image.build_local(root, arguments.group).digest, True
    if arguments.json:
        print(json.dumps({"group": arguments.group, "digest": digest, "new": new}))
    else:
        print(f"image         {arguments.group}@{digest[:19]}… · {'built' if new else 'unchanged'}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
