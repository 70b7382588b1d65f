"""`./scripts/compile`: write the compiled pipelines, for review or for another tool."""

import argparse
import sys
from pathlib import Path

from delivery import components
from delivery.command import run
from delivery.pipeline import PLACEHOLDER, compile_pipeline
from delivery.settings import ROOT
from flows import config

GOLDEN = ROOT / "tests" / "delivery" / "golden"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/compile", description=__doc__)
    main.add_argument("flows", nargs="*", metavar="FLOW", type=config.existing, help="default: all")
    main.add_argument(
        "--image", default=PLACEHOLDER, help="the image by digest (default: a placeholder)"
    )
    main.add_argument(
        "--output", type=Path, default=ROOT / ".local" / "compiled", help="folder (default: %(default)s)"
    )
    main.add_argument("--golden", action="store_true", help="rewrite the files that tests compare with")
    return main


def main(argv: list[str]) -> int:
    """Compile, and say where."""
    arguments = parser().parse_args(argv)
    folder = GOLDEN if arguments.golden else arguments.output
    for name in arguments.flows or config.names():
        path = folder / f"{name}.yaml"
        compile_pipeline(components.load(name), arguments.image, path)
        print(
            f"compiled      {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
