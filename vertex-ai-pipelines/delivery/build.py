"""`./scripts/build`: the image of this commit, named by its content, tagged with the commit."""

import argparse
import json
import sys

import msgspec

from delivery import image, settings
from delivery.command import run
from delivery.git import head
from delivery.registry import Registry
from delivery.settings import Environment
from flows import config
from flows.errors import InputError, RetrainError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/build", description=__doc__)
    main.add_argument(
        "--environment", "--env", default="", help="whose registry (default: settings.toml's)"
    )
    which = main.add_mutually_exclusive_group()
    which.add_argument("--group", default="base", help="dependency group (default: %(default)s)")
    which.add_argument("--flows", type=list_in, help="the groups of these flows, as a JSON list")
    main.add_argument(
        "--push", action="store_true", help="put it into the registry under the commit's tag"
    )
    main.add_argument("--print", action="store_true", help="list the files that the image holds")
    main.add_argument("--json", action="store_true", help="print one JSON object an image")
    return main


def main(argv: list[str]) -> int:
    """Build, push where asked, and say the digest; exit code 1 where no flow's image could be made."""
    arguments = parser().parse_args(argv)
    if arguments.print:
        for name, path in image.files(settings.ROOT).items():
            print(f"{name}  {path.stat().st_size:,} bytes")
        return 0
    environment = settings.load().environment(arguments.environment) if arguments.push else None
    groups = [arguments.group] if arguments.flows is None else groups_of(arguments.flows)
    done = [group for group in groups if _build(group, environment, arguments)]
    return 0 if done or arguments.flows == [] else 1


def publish(environment: Environment, group: str) -> tuple[str, bool]:
    """This commit's image of `group` in the environment's registry, made where it lacks that content.

    Its digest, and whether it is new.
    """
    registry = Registry(f"{environment.artifact_registry}/{group}")
    return image.publish(registry, settings.ROOT, group, head(settings.ROOT))


def groups_of(flows: list[str]) -> list[str]:
    """The groups of the images that `flows` run in; without one that cannot be read, as submit says."""
    found = set[str]()
    for name in flows:
        try:
            found.add(config.load(name).image)
        except Exception as error:  # its config.py is the flow's own code
            _leave_out(f"flow {name}", error)
    return sorted(found)


def list_in(text: str) -> list[str]:
    """The JSON list of names that a command line's `text` is."""
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.MsgspecError:
        what = f"'{text}' is no JSON list of flows; ./scripts/due prints one"
        raise argparse.ArgumentTypeError(what) from None


def _build(group: str, environment: Environment | None, arguments: argparse.Namespace) -> bool:
    """Build one image and say so; False for a group that some flow names and that there is not."""
    try:
        digest, new = (
            publish(environment, group)
            if environment
            else (image.build_local(settings.ROOT, group).digest, True)
        )
    except InputError as error:
        if arguments.flows is None:
            raise
        _leave_out(f"image {group}", error)
        return False
    if arguments.json:
        print(json.dumps({"group": group, "digest": digest, "new": new}))
    else:
        print(f"image         {group}@{digest[:19]}… · {'built' if new else 'unchanged'}")
    return True


def _leave_out(what: str, error: Exception) -> None:
    """A flow's failure is its own: the submit that misses the image fails, and no other."""
    why = error.what if isinstance(error, RetrainError) else f"{type(error).__name__}: {error}"
    print(f"build         {what} is left out: {why}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run(main))
