"""What promote, ab and rollback share: their command line, and how each edit becomes a pull request."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from delivery import access, edit_body, editing, person, pull, settings
from delivery.edit import Change, Edit
from delivery.edit_body import Told
from delivery.proposal import Outcome
from delivery.releases import Release
from delivery.settings import Environment, Settings
from flows import config
from flows.config import Serving


def parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    """The command line that all of them have."""
    main = argparse.ArgumentParser(prog=f"./scripts/{name}", description=doc)
    main.add_argument("flow", metavar="FLOW", help="which flow")
    main.add_argument("--environment", "--env", default="", help="(default: settings.toml's)")
    main.add_argument("--dry-run", action="store_true", help="print the diff, and change nothing")
    main.add_argument("--json", action="store_true", help="print one JSON object last")
    return main


@dataclass(frozen=True)
class Asked:
    """A command line, looked up: the settings, the environment and how the flow is served there."""

    settings: Settings
    environment: Environment
    flow: str
    serving: Serving

    @classmethod
    def of(cls, flow: str, environment: str) -> "Asked":
        """Raises InputError where there is no such flow or environment."""
        found = settings.load()
        named = found.environment(environment)
        return cls(found, named, flow, config.load(flow).serving_in(named.name))

    def edit(self, repository: Any, change: Callable[[Release | None], Release], command: str) -> Edit:
        """The edit that `change` makes, told with what is known of it now."""

        def tell(one: Change) -> str:
            return edit_body.body(one, Told(self.serving, "", command, _rival(repository, one)))

        return Edit(self.flow, self.environment.name, change, tell, f"call {command} again")


def carry_out(
    asked: Asked,
    change: Callable[[Release | None], Release],
    command: str,
    arguments: argparse.Namespace,
) -> int:
    """Make the edit as a pull request in the person's name, or print it."""
    repository = person.repository(asked.settings.repository)
    whole = f"./scripts/{command} --environment {asked.environment.name}"
    wanted = asked.edit(repository, change, whole)
    with access.named(f"{asked.settings.repository}, {wanted.branch}", wanted.again):
        if arguments.dry_run:
            print(editing.preview(repository, wanted) or "nothing changes")
            return 0
        outcome = editing.bring(repository, wanted)
    _report(outcome)
    if arguments.json:
        print(json.dumps(outcome.as_json()))
    return 0


def _rival(repository: Any, change: Change) -> Any:
    """The flow's open release pull request, by number, and its candidate."""
    request = pull.find(repository, f"release/{change.environment}/{change.flow}").open
    candidate = pull.proposed(request)
    return (request.number, candidate) if request and candidate else None


def _report(outcome: Outcome) -> None:
    link = f" · {outcome.pull.html_url}" if outcome.pull else ""
    print(f"{outcome.state:<14}{outcome.why}{link}", file=sys.stderr)
