"""`./scripts/clean-images`: delete the images that nothing uses and that are old enough."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from delivery import settings
from delivery.command import run
from delivery.image_uses import Uses, uses
from delivery.registry import Registry, Stored
from delivery.settings import Environment, Settings
from flows import config
from flows.errors import RetrainError

DAYS = 30
COMMIT, CONTENT, BELOW = re.compile(r"[0-9a-f]{40}"), "content-", "below-"
Content = Callable[[str], dict[str, Any]]


class Verdict(NamedTuple):
    """One manifest, and why it stays; "" where nothing keeps it."""

    stored: Stored
    why: str


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/clean-images", description=__doc__)
    main.add_argument("--environment", "--env", default="", help="whose registry")
    main.add_argument("--older-than", type=days, default=DAYS, metavar="DAYS")
    main.add_argument("--yes", action="store_true", help="delete; without it, only say what would be")
    return main


def main(argv: list[str]) -> int:
    """Say what would be deleted, and delete it where told to; exit code 1 where that failed."""
    arguments = parser().parse_args(argv)
    found = settings.load()
    environment = found.environment(arguments.environment)
    since = datetime.now(UTC) - timedelta(days=arguments.older_than)
    used = uses(found.repository, sharing(found, environment), since)
    failed = 0
    for name in names(environment):
        registry = Registry(f"{environment.artifact_registry}/{name}")
        verdicts = judge(registry.stored(), reader(registry), used, since)
        show(name, verdicts)
        if arguments.yes:
            failed += delete(registry, [one.stored for one in verdicts if not one.why])
    if not arguments.yes:
        print("nothing is deleted without --yes")
    return 1 if failed else 0


def days(text: str) -> int:
    """A number of days, at least one: what was just pushed is about to be used."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of days from 1 on")
    return int(text)


def sharing(found: Settings, environment: Environment) -> list[Environment]:
    """The environments that have their images where this one has."""
    where = environment.artifact_registry
    return [one for one in found.environments.values() if one.artifact_registry == where]


def names(environment: Environment) -> list[str]:
    """The images that the registry has, of dependency groups that are gone, too."""
    below = Registry(environment.artifact_registry).below()
    return sorted({"base", *below, *(config.load(flow).image for flow in config.names())})


def reader(registry: Registry) -> Content:
    """What an image's manifests say, by digest; each is asked for once, when it is needed."""

    @cache
    def content(digest: str) -> dict[str, Any]:
        found = registry.manifest(digest)
        return dict(json.loads(found[0])) if found else {}

    return content


def judge(stored: Iterable[Stored], content: Content, used: Uses, since: datetime) -> list[Verdict]:
    """Which of an image's manifests stay, and why; `content` has what they say.

    What a manifest that stays needs or is about stays with it: an index's images, an image's SBOM
    and provenance, and the image below that saves the next build its packages.
    """
    found = list(stored)
    kept = {one: why for one in found if (why := _own_reason(one, used, since))}
    more = kept
    while more:
        waiting = [one for one in found if one not in kept]
        more = {one: why for one in waiting if (why := _with_others(one, kept, content))}
        kept |= more
    return [Verdict(one, kept.get(one, "")) for one in found]


def show(name: str, verdicts: list[Verdict]) -> None:
    """Say what becomes of an image's manifests."""
    doomed = [one.stored for one in verdicts if not one.why]
    size = sum(one.size for one in doomed)
    print(f"{name:13} {len(verdicts) - len(doomed)} stay · {len(doomed)} can go, at most {size:,} bytes")
    for why in sorted({one.why for one in verdicts if one.why}):
        print(f"  stay        {sum(one.why == why for one in verdicts)}: {why}")
    for one in doomed:
        tags = ", ".join(tag[:20] for tag in one.tags) or "no tag"
        print(f"  can go      {one.digest[:19]}… of {one.uploaded:%Y-%m-%d} · {tags}")


def delete(registry: Registry, doomed: list[Stored]) -> int:
    """Delete them, tags first; how many could not be.

    An image that got another tag meanwhile is in use again: the registry refuses to delete it.
    """
    failed = 0
    for one in sorted(doomed, key=lambda one: (bool(one.tags), "index" not in one.kind)):
        try:
            for reference in (*one.tags, one.digest):
                registry.delete(reference)
        except RetrainError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
    print(f"deleted       {len(doomed) - failed} of {registry.name}")
    return failed


def _own_reason(one: Stored, used: Uses, since: datetime) -> str:
    """Why a manifest stays whatever becomes of the others; "" where it need not."""
    if one.digest in used.digests:
        return used.digests[one.digest]
    for tag in one.tags:
        if tag in used.commits:
            return used.commits[tag]
        if not COMMIT.fullmatch(tag) and not tag.startswith((CONTENT, BELOW)):
            return f"its tag '{tag}' is not the build's"
    return "it is new" if one.uploaded >= since else ""


def _with_others(one: Stored, kept: Iterable[Stored], content: Content) -> str:
    """Why a manifest stays because of one that does; "" where it need not."""
    own = content(one.digest)
    if (own.get("subject") or {}).get("digest") in {other.digest for other in kept}:
        return "it is about an image that stays"
    if any(one.digest in _digests(content(other.digest), "manifests") for other in kept):
        return "it is part of an index that stays"
    is_below, layers = any(tag.startswith(BELOW) for tag in one.tags), _digests(own, "layers")
    above = (_digests(content(other.digest), "layers") for other in kept if is_below)
    return "an image that stays stands on it" if any(ls[: len(layers)] == layers for ls in above) else ""


def _digests(manifest: dict[str, Any], key: str) -> list[str]:
    return [str(one.get("digest")) for one in manifest.get(key) or []]


if __name__ == "__main__":
    sys.exit(run(main))
