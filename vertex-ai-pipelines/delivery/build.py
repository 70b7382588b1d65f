"""`./scripts/build`: the image of this commit, named by its content, tagged with the commit."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from delivery import builder as engines
from delivery import context, image, kept, lock, provenance, sbom, settings
from delivery.builder import Builder
from delivery.command import run
from delivery.due import OUTPUT
from delivery.git import head
from delivery.provenance import UnsaidError
from delivery.registry import Registry
from delivery.settings import Environment
from flows import config
from flows.errors import InputError, RetrainError

SUBJECTS = Path(".local") / "subjects.txt"  # digests and names, as sha256sum writes them
ALONE = "the image holds its files alone, without base and packages"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/build", description=__doc__)
    main.add_argument("--environment", "--env", help="whose registry and builder (default with --push)")
    which = main.add_mutually_exclusive_group()
    which.add_argument("--group", default="base", help="dependency group (default: %(default)s)")
    which.add_argument("--flows", type=list_in, help="the groups of these flows, as a JSON list")
    main.add_argument("--builder", choices=engines.KINDS, help="instead of the environment's")
    main.add_argument("--base", default="", help="an image instead of the Dockerfile's, by digest")
    does = main.add_mutually_exclusive_group()
    does.add_argument(
        "--push", action="store_true", help="put it into the registry under the commit's tag"
    )
    does.add_argument("--print", action="store_true", help="list the files that the image holds")
    main.add_argument("--json", action="store_true", help="print one JSON object an image")
    main.add_argument("--attested", type=Path, help="the bundle in which GitHub attests what was built")
    main.add_argument(
        "--github-output",
        action="store_true",
        help="set the step's output `subjects`: a file that names what GitHub has to attest, if any",
    )
    return main


def main(argv: list[str]) -> int:
    """Build, push where asked, and say the digest; exit code 1 where no flow's image could be made."""
    arguments = parser().parse_args(argv)
    if arguments.print:
        for name, path in context.files(settings.ROOT).items():
            print(f"{name}  {path.stat().st_size:,} bytes")
        return 0
    asked = arguments.environment
    is_of_one = arguments.push or asked is not None
    environment = settings.load().environment(asked or "") if is_of_one else None
    builder = _builder(environment, arguments)
    groups = [arguments.group] if arguments.flows is None else groups_of(arguments.flows)
    unsaid = list[UnsaidError]()
    done = [group for group in groups if _build(group, environment, builder, arguments, unsaid)]
    if arguments.github_output:
        _tell(unsaid)
    elif unsaid:
        raise unsaid[0]
    return 0 if done or arguments.flows == [] else 1


def publish(
    environment: Environment,
    group: str,
    builder: Builder | None = None,
    bundles: Sequence[bytes] = (),
) -> tuple[str, bool]:
    """This commit's image of `group` in the environment's registry, made where it lacks that content.

    Its digest, and whether it is new; `bundles` are GitHub's word on who built it. Raises UnsaidError
    where that is wanted and not there, InputError for what must not get into an image.
    """
    builder = _at(environment, group, builder or Builder(environment.builder))
    engines.check(settings.ROOT, builder)
    with _alone(group, builder):
        return _published(environment, group, builder, bundles)


def _published(
    environment: Environment, group: str, builder: Builder, bundles: Sequence[bytes]
) -> tuple[str, bool]:
    registry = Registry(f"{environment.artifact_registry}/{group}")
    origin = image.Origin(
        partial(provenance.reusable, environment, registry),
        partial(provenance.attest, environment, registry, bundles=bundles),
    )
    digest, new = image.publish(registry, settings.ROOT, group, head(settings.ROOT), builder, origin)
    if builder.is_whole:
        below = image.below_tag(settings.ROOT, group, builder) if builder.is_shared else digest
        sbom.attach(registry, digest, below, kept.folder(settings.ROOT, group))
    return digest, new


def _at(environment: Environment, group: str, builder: Builder) -> Builder:
    """The builder with the registry's own cache, an image name that nothing runs.

    Where images are attested nothing is taken from there: who may write to it could have put it there.
    """
    if environment.attest != "off":
        return replace(builder, is_shared=False)
    return replace(builder, cache=f"{environment.artifact_registry}/cache:{group}")


def groups_of(flows: list[str]) -> list[str]:
    """The groups of the images that `flows` run in and are served from, for those that can be read."""
    found = set[str]()
    for name in flows:
        try:
            found |= {config.load(name).image, lock.BASE}
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


def _builder(environment: Environment | None, arguments: argparse.Namespace) -> Builder:
    """The one that is asked for, the environment's, or the first that this machine has.

    Raises InputError where images of files alone would get to where whole ones are used.
    """
    asked: engines.Kind | None = arguments.builder
    if environment and arguments.push and asked == "files" != environment.builder:
        raise InputError(
            f"settings.toml: '{environment.name}' has builder = '{environment.builder}': {ALONE}",
            "push with a builder that makes a whole one: docker or buildah",
        )
    if asked is None and environment:
        asked = environment.builder
        if not arguments.push and not engines.found(asked):
            asked = _without(f"no {asked}")
    kind = asked or next((kind for kind in engines.KINDS[:2] if engines.found(kind)), None)
    return Builder(kind or _without("neither Docker nor buildah"), arguments.base)


def _without(missing: str) -> engines.Kind:
    print(f"builder       {missing} here: {ALONE}, as ./scripts/run uses it", file=sys.stderr)
    return "files"


def _build(
    group: str,
    environment: Environment | None,
    builder: Builder,
    arguments: argparse.Namespace,
    unsaid: list[UnsaidError],
) -> bool:
    """Build one image and say so; False for a group that some flow names and that there is not."""
    try:
        digest, new = _made(group, environment if arguments.push else None, builder, arguments.attested)
    except UnsaidError as error:
        unsaid.append(error)
        print(f"image         {group}@{error.digest[:19]}… · new, no tag before it is attested")
        return True
    except InputError as error:
        if arguments.flows is None:
            raise
        _leave_out(f"image {group}", error)
        return False
    if arguments.json:
        print(json.dumps({"group": group, "digest": digest, "new": new}))
    else:
        known = "unchanged" if arguments.push else "here"
        print(f"image         {group}@{digest[:19]}… · {'new' if new else known}")
    return True


def _tell(unsaid: list[UnsaidError]) -> None:
    """For the step that has GitHub attest them: the file; nothing where there is nothing to attest."""
    path = settings.ROOT / SUBJECTS
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{one.digest.removeprefix('sha256:')}  {one.name}\n" for one in unsaid))
    with Path(os.environ[OUTPUT]).open("a") as file:
        file.write(f"subjects={SUBJECTS if unsaid else ''}\n")


def _made(
    group: str, environment: Environment | None, builder: Builder, attested: Path | None = None
) -> tuple[str, bool]:
    """The image in the environment's registry, or without one on this machine: digest, newness."""
    if environment:
        return publish(environment, group, builder, _bundles(attested) if attested else ())
    engines.check(settings.ROOT, builder)
    with _alone(group, builder):
        made = image.make(settings.ROOT, group, builder)
        if builder.is_whole:
            folder = image.save(made, settings.ROOT, group)
            print(f"layout        oci:{folder.relative_to(settings.ROOT)}", file=sys.stderr)
    return made.digest, False


def _bundles(path: Path) -> list[bytes]:
    """What attests: one bundle a line. Raises InputError for a file that is not there."""
    try:
        return [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        what = f"--attested={path}: {error.strerror}"
        raise InputError(what, "it is the output bundle-path of the step that attests") from None


def _alone(group: str, builder: Builder) -> AbstractContextManager[None]:
    """Files alone are put together in memory."""
    return kept.alone(settings.ROOT, group) if builder.is_whole else nullcontext()


def _leave_out(what: str, error: Exception) -> None:
    """A flow's failure is its own: the submit that misses the image fails, and no other."""
    why = str(error) if isinstance(error, RetrainError) else f"{type(error).__name__}: {error}"
    print(f"build         {what} is left out: {why}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run(main))
