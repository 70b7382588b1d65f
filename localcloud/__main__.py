"""The local cloud's command: up, down, status, env, token, logs, fault, pr, merge, runs, app, tick, …"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from localcloud.client import Client, ClientError
from localcloud.cloud import World
from localcloud.logs import print_logs
from localcloud.shown import merge, pr, runs
from localcloud.tick import arguments as tick_arguments
from localcloud.tick import tick

Verb = Callable[[Client, argparse.Namespace], int]


def parser() -> argparse.ArgumentParser:
    """The command line; the world's names are usually filled in by ./scripts/localcloud."""
    main = argparse.ArgumentParser(
        prog="localcloud", description="Google Cloud, AWS and GitHub in one local process."
    )
    main.add_argument("--root", type=Path, default=Path(".local/cloud"), help=argparse.SUPPRESS)
    for name in ("project", "project-number", "region", "repository", "aws-region"):
        main.add_argument(f"--{name}", default="", help=argparse.SUPPRESS)
    verbs = main.add_subparsers(dest="verb", required=True, metavar="VERB")
    start = verbs.add_parser("up", help="start it, unless it runs")
    start.add_argument("--port", type=int, help="where it listens (default: 8443, or any free one)")
    stop = verbs.add_parser("down", help="stop it; what it holds stays under .local/")
    stop.add_argument("--erase", action="store_true", help="and forget all that it holds")
    verbs.add_parser("services", help="list every call that is served, by service and method")
    verbs.add_parser("status", help="say whether it runs, and where")
    show = verbs.add_parser("env", help='shell lines for eval "$(./scripts/localcloud env)"')
    show.add_argument("--json", action="store_true", help="the same as JSON: set, unset")
    token = verbs.add_parser("token", help="print an access token for Google Cloud, for curl")
    for one in (show, token):
        one.add_argument("--as", dest="account", default="", metavar="ACCOUNT", help="as this account")
    logs = verbs.add_parser("logs", help="what it and its jobs wrote")
    logs.add_argument(
        "what", nargs="?", help="calls, server, a pipeline job[/STEP], or run-N of a workflow"
    )
    logs.add_argument("-n", "--lines", type=int, default=0, help="only the last N lines")
    _fault_parser(verbs.add_parser("fault", help="break a call on purpose"))
    pull = verbs.add_parser("pr", help="print a pull request (or an issue) of the local GitHub")
    pull.add_argument("number", type=int)
    merged = verbs.add_parser("merge", help="merge a pull request of the local GitHub")
    merged.add_argument("number", type=int)
    ran = verbs.add_parser("runs", help="list the newest workflow runs of the local GitHub")
    ran.add_argument("--cancel", type=int, metavar="N", help="cancel the run of that number first")
    app = verbs.add_parser("app", help="make a GitHub App and print its payload for Secret Manager")
    app.add_argument("name")
    app.add_argument("permissions", nargs="+", metavar="NAME=ACCESS", help="for example actions=write")
    tick_arguments(verbs.add_parser("tick", help="run the workflows whose schedule is due, and wait"))
    verbs.add_parser("trusted-root", help="print whom to trust for attestations, as gh does")
    return main


def _fault_parser(fault: argparse.ArgumentParser) -> None:
    does = fault.add_subparsers(dest="what", required=True, metavar="add | list | clear")
    add = does.add_parser("add", help="the Nth call of METHOD from now on breaks, once")
    add.add_argument(
        "method", metavar="METHOD", help="as calls.log names it, or a pattern such as 's3.*'"
    )
    add.add_argument(
        "--do",
        required=True,
        metavar="ACTION",
        help="error:CODE (a google.rpc code or an HTTP status), hang, lose-reply, twice, kill:caller"
        " (SIGKILL; kill is the same), kill:cloud (SIGKILL after the work)",
    )
    add.add_argument("--nth", type=int, default=1, metavar="N", help="(default: %(default)s)")
    add.add_argument(
        "--caller", default="*", metavar="PATTERN", help="for example 'job-*' (default: all)"
    )
    does.add_parser("list", help="what is armed, and what has happened")
    does.add_parser("clear", help="forget all")


def up(client: Client, arguments: argparse.Namespace) -> int:
    """Start it and say where it is."""
    running = client.status()
    status = client.up(_world(arguments), arguments.port)
    print(f"local cloud   127.0.0.1:{status['port']} · {'already up' if running else 'up'}")
    return 0


def down(client: Client, arguments: argparse.Namespace) -> int:
    """Stop it."""
    print("local cloud   stopped" if client.down() else "local cloud   was not running")
    if arguments.erase:
        shutil.rmtree(client.root, ignore_errors=True)
        print("local cloud   erased")
    return 0


def status(client: Client, _: argparse.Namespace) -> int:
    """Say whether it runs."""
    found = client.status()
    if found is None:
        print("local cloud   not running · start it with ./scripts/localcloud up")
        return 1
    world = found["world"]
    print(f"local cloud   127.0.0.1:{found['port']} · process {found['pid']} · {client.root}")
    print(f"              project {world['project']} · repository {world['repository']}")
    if found["faults"]:
        print(f"faults        {found['faults']} armed · ./scripts/localcloud fault list")
    for host in dict.fromkeys(found["refused"]):
        print(f"refused       {host} · nothing leaves this machine")
    return 0


def services(_: Client, __: argparse.Namespace) -> int:
    """Every call that is served, under its vendor's name for it."""
    from localcloud.services import served

    for one in served():
        print(f"{one.service:16} {one.transport:11} {one.method:64} {one.address}")
    return 0


def env(client: Client, arguments: argparse.Namespace) -> int:
    """The owner's environment; starts the local cloud where it is not running."""
    client.up(_world(arguments), None)
    found = client.environment(arguments.account)
    print(json.dumps({"set": found.set, "unset": found.unset}) if arguments.json else found.shell())
    return 0


def token(client: Client, arguments: argparse.Namespace) -> int:
    """An access token of the owner's, or of an account's."""
    print(client.token(arguments.account))
    return 0


def logs(client: Client, arguments: argparse.Namespace) -> int:
    """The list of logs, or one of them."""
    found = client.status()
    if found and found["faults"]:
        print(f"{found['faults']} faults are armed: ./scripts/localcloud fault list", file=sys.stderr)
    return print_logs(client.root, arguments.what, arguments.lines)


def fault(client: Client, arguments: argparse.Namespace) -> int:
    """Arm a fault, list all, or forget them."""
    if arguments.what == "clear":
        client.ask("DELETE", "/faults")
        return 0
    if arguments.what == "add":
        action = "kill:caller" if arguments.do == "kill" else arguments.do
        order = {"method": arguments.method, "action": action, "nth": arguments.nth}
        client.ask("POST", "/faults", order | {"caller": arguments.caller})
    for one in client.ask("GET", "/faults")["faults"]:
        when = f"happened to {one['hit']}" if one["hit"] else f"waits, {one['seen']} calls seen"
        print(
            f"{one['number']:>3}  {one['method']}, call {one['nth']} of {one['caller']}:"
            f" {one['action']} · {when}"
        )
    return 0


def app(client: Client, arguments: argparse.Namespace) -> int:
    """A GitHub App's payload for Secret Manager, printed once: only its public key is kept."""
    pairs = (permission.partition("=") for permission in arguments.permissions)
    payload = client.ask("POST", f"/apps/{arguments.name}", {name: access for name, _, access in pairs})
    print(json.dumps(payload))
    return 0


def trusted_root(client: Client, _: argparse.Namespace) -> int:
    """Sigstore's trusted roots, one a line."""
    for root in client.ask("GET", "/trusted-roots")["roots"]:
        print(json.dumps(root))
    return 0


VERBS: dict[str, Verb] = {
    "up": up,
    "down": down,
    "services": services,
    "status": status,
    "env": env,
    "token": token,
    "logs": logs,
    "fault": fault,
    "pr": pr,
    "merge": merge,
    "runs": runs,
    "app": app,
    "tick": tick,
    "trusted-root": trusted_root,
}


def _world(arguments: argparse.Namespace) -> World:
    return World(
        project=arguments.project,
        project_number=arguments.project_number,
        region=arguments.region,
        repository=arguments.repository,
        aws_region=arguments.aws_region,
    )


def main(argv: list[str]) -> int:
    """Run one verb."""
    arguments = parser().parse_args(argv)
    try:
        return VERBS[arguments.verb](Client(arguments.root), arguments)
    except ClientError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return failure.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
