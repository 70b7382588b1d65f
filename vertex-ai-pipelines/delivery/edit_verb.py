"""What promote, ab and rollback share: their command line, and how each edit becomes a pull request."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from delivery import access, edit_body, editing, person, proof, pull, releases, settings
from delivery.edit import Change, Edit
from delivery.edit_body import Told
from delivery.proof import Proof
from delivery.proposal import Outcome
from delivery.releases import Release
from delivery.rollout import Target
from delivery.settings import Environment, Settings
from flows import config
from flows.serving_config import Serving


def parser(name: str, doc: str | None, *environment: str) -> argparse.ArgumentParser:
    """The command line that all of them have; `environment` are further names of that option."""
    main = argparse.ArgumentParser(prog=f"./scripts/{name}", description=doc)
    main.add_argument("flow", metavar="FLOW", type=config.existing, help="which flow")
    names = ("--environment", "--env", *environment)
    main.add_argument(*names, dest="environment", default="", help="(default: settings.toml's)")
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

    def edit(
        self,
        change: Callable[[Release | None], Release],
        tell: Callable[[Change], str],
        command: str,
    ) -> Edit:
        """The edit that `change` makes, as `command` asks for it."""
        again = f"call {self.whole(command)} again"
        return Edit(self.flow, self.environment.name, change, tell, again)

    def whole(self, command: str) -> str:
        """A verb with its arguments, as a person calls it."""
        return f"./scripts/{command} --environment {self.environment.name}"

    def proof(self, repository: Any, change: Change, present: datetime) -> Proof | None:
        """How those that serve have done since main says so; None where nothing serves."""
        if change.current is None:
            return None
        target = Target(self.flow, self.environment.name, change.current, self.serving)
        return proof.gather(self.environment, target, self.since(repository), present)

    def since(self, repository: Any) -> datetime:
        """Since when main says what it says of the flow."""
        where = self.environment.name
        branches = [f"release/{where}/{self.flow}", Edit.branch_of(where, self.flow)]
        return proof.since(repository, releases.path(where, self.flow), branches)

    def told(
        self, repository: Any, change: Change, found: Proof | None, command: str, note: str = ""
    ) -> str:
        """The pull request's body, with the evidence that was `found`."""
        shown = ""
        if found and change.current:
            shown = proof.shown(found, change.current, self.serving, change.is_more)
        rival = _rival(repository, change)
        return edit_body.body(change, Told(self.serving, shown, self.whole(command), rival, note))


def carry_out(
    asked: Asked,
    change: Callable[[Release | None], Release],
    command: str,
    arguments: argparse.Namespace,
    note: str = "",
) -> int:
    """Make the edit as a pull request in the person's name, or print it."""
    repository = person.repository(asked.settings.repository)

    def tell(one: Change) -> str:
        found = asked.proof(repository, one, datetime.now(UTC))
        return asked.told(repository, one, found, command, note)

    wanted = asked.edit(change, tell, command)
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
