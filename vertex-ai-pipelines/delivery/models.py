"""`./scripts/models`: released models, for a product's server. The standard library and boto3 alone."""

import argparse
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from delivery import fetching, git
from delivery.command import run
from delivery.fetching import Released
from flows.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("champion", "challenger")
VERSION = re.compile(r"v\d{8}-\d{6}-[0-9a-f]{7}(-[1-9]\d*)?")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/models", description=__doc__)
    verbs = main.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("fetch", help="a released model's files, checked, in a new folder")
    one.add_argument(
        "model", metavar="FLOW[@champion|@challenger|@VERSION]", help="(default: @champion)"
    )
    one.add_argument(
        "folder", type=Path, metavar="DIR", help="made with all of the files, or not at all"
    )
    one.add_argument("--from", dest="source", choices=["s3"], default="s3", help="(default: s3)")
    one.add_argument(
        "--sha256", default="", help="the hash of a version's manifest that is not known here"
    )
    every = verbs.add_parser("list", help="what serves, as the channel says")
    every.add_argument("model", metavar="FLOW", help="which flow")
    for verb in (one, every):
        verb.add_argument("--environment", "--env", default="", help="(default: settings.toml's)")
        verb.add_argument("--json", action="store_true", help="print one JSON object last")
    return main


class Store(NamedTuple):
    """An environment's model store, with a client of boto3's for it; `buckets` may hold its models."""

    environment: str
    bucket: str
    client: Any
    buckets: frozenset[str]

    def channel(self, flow: str) -> dict[str, Any]:
        """What serves of `flow`. Raises InputError where nothing does."""
        try:
            data = fetching.small(self.client, self.bucket, f"channels/{self.environment}/{flow}.json")
        except InputError:
            if not flows() or flow in flows():
                raise
            known = f"name one of: {', '.join(flows())}"
            raise InputError(f"there is no flow '{flow}'", known) from None
        found: dict[str, Any] = json.loads(data)
        if found.get("schema") != 1:
            raise InputError(
                f"{self.environment}, {flow}: the channel's schema is {found.get('schema')!r}, not 1",
                "take this program from the repository's main",
            )
        return found


def flows() -> list[str]:
    """The flows of this checkout."""
    return sorted(path.parent.name for path in ROOT.glob("vertex-ai-pipelines/flows/*/flow.toml"))


def main(argv: list[str]) -> int:
    """Fetch a model, or list what serves."""
    arguments = parser().parse_args(argv)
    flow, _, which = arguments.model.partition("@")
    if not flow.isidentifier() or (which and arguments.verb == "list"):
        raise InputError(
            f"'{arguments.model}' names no flow", "write FLOW or, to fetch one, FLOW@champion"
        )
    if arguments.verb == "fetch":
        _check(which or ROLES[0], arguments.sha256)
    store = opened(ROOT / "settings.toml", arguments.environment)
    if arguments.verb == "list":
        return listed(store, flow, arguments.json)
    released = found(store, flow, which or ROLES[0], arguments.sha256)
    is_new = fetching.fetch(store.client, released, arguments.folder)
    print(f"{flow} {released.version}: {'fetched' if is_new else 'there already'}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"flow": flow, **released._asdict(), "folder": str(arguments.folder)}))
    return 0


def _check(which: str, sha256: str) -> None:
    """Raises InputError for what cannot be meant."""
    if which not in ROLES and not VERSION.fullmatch(which):
        raise InputError(
            f"'{which}' is no version", "name champion, challenger, or one like v20261121-084500-abc1234"
        )
    if sha256 and not fetching.SHA256.fullmatch(sha256):
        raise InputError(f"--sha256: '{sha256}' is no SHA-256", "give its 64 hexadecimal digits")


def opened(path: Path, name: str) -> Store:
    """The environment's model store; boto3 finds the caller's credentials. Raises InputError."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise InputError("boto3 is not here", "pip install boto3") from None
    settings = tomllib.loads(path.read_text())
    environments = settings["environments"]
    name = name or settings.get("default_environment") or next(iter(environments))
    if name not in environments:
        known = ", ".join(environments)
        raise InputError(f"{path.name} has no environment '{name}'", f"name one of: {known}")
    found = environments[name]
    config = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=10, read_timeout=60)
    client = boto3.client("s3", region_name=found["aws_region"], config=config)
    buckets = frozenset(_buckets(environments, name))
    return Store(name, found["model_store"].removeprefix("s3://"), client, buckets)


def _buckets(environments: dict[str, Any], name: str) -> Iterator[str]:
    """The environment's bucket, and those of the environments that it takes models from."""
    left = dict(environments)
    while found := left.pop(name, None):
        yield found["model_store"].removeprefix("s3://")
        name = found.get("promotes_from", "")


def found(store: Store, flow: str, which: str, sha256: str) -> Released:
    """The model that is meant, with the hash that it was released with. Raises InputError.

    What may write a channel decides by it what is fetched, but only from a bucket that settings name.
    """
    released = _said(store, flow, which, sha256)
    if released.bucket not in store.buckets:
        raise InputError(
            f"{flow} {released.version}: s3://{released.bucket} is no model store of {store.environment}"
            " in settings.toml, nor of what it promotes from",
            "take this program from the repository's main, or look at who has written the channel",
        )
    return released


def _said(store: Store, flow: str, which: str, sha256: str) -> Released:
    """The same, from wherever it says to be."""
    if which not in ROLES and sha256:
        address = f"s3://{store.bucket}/models/{flow}/{which}/{fetching.MANIFEST}"
        return Released.of({"version": which, "manifest": address, "sha256": sha256}, which)
    where, channel = f"the channel of {flow} in {store.environment}", store.channel(flow)
    if which in ROLES:
        if not channel.get(which):
            raise InputError(
                f"{where}: there is no {which}", "./scripts/models list shows what there is"
            )
        return Released.of(channel[which], where)
    tables = [*(channel.get(role) for role in ROLES), *declared(store.environment, flow)]
    for table in tables:
        if isinstance(table, dict) and table.get("version") == which:
            return Released.of(table, where)
    raise InputError(
        f"{flow} {which}: neither its channel nor this checkout's history says its hash",
        "give --sha256: main's releases/ said it when it was released",
    )


def declared(environment: str, flow: str) -> list[Any]:
    """The entries that this checkout's releases/ have had, the newest first; none where git has none."""
    path, tables = f"releases/{environment}/{flow}.toml", list[Any]()
    commits = git.history(ROOT, "HEAD", [path]) if shutil.which("git") else []
    for commit in commits:
        try:
            tables += tomllib.loads(git.text(ROOT, commit, path) or "").values()
        except tomllib.TOMLDecodeError:
            continue
    return tables


def listed(store: Store, flow: str, is_json: bool) -> int:
    """Print what serves."""
    channel = store.channel(flow)
    for role in ROLES:
        if channel.get(role):
            one = Released.of(channel[role], f"the channel of {flow}")
            share = channel.get("traffic", {}).get(one.version, 0)
            print(f"{role:<12}{one.version:<32}{share:>4} %  {one.sha256[:12]}")
    if is_json:
        print(json.dumps({"flow": flow, "environment": store.environment, **channel}))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
