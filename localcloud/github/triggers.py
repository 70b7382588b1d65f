"""What starts workflow runs: pushes, pull requests, the button and the clock."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from localcloud.errors import ApiError
from localcloud.github import calls, startup
from localcloud.github.concurrency import group, locks
from localcloud.github.contexts import contexts
from localcloud.github.errors import GitHubError, not_found
from localcloud.github.events import Event, common, pull_request, push
from localcloud.github.expression_values import ExpressionError
from localcloud.github.expressions import filled
from localcloud.github.filters import fires
from localcloud.github.heads import is_own
from localcloud.github.identity import ACTOR
from localcloud.github.repository import Repositories, Repository
from localcloud.github.runner import Runner
from localcloud.github.runs import Run
from localcloud.github.schedule import TIME, Cron, crons, due, wrong
from localcloud.github.tracker import Record, Tracker
from localcloud.github.workflows import Workflow, files, parsed, read

Start = tuple[Repository, Workflow, Event, list[str]]  # a run's, and why GitHub refuses the file

BOT = "github-actions[bot]"  # what its token does starts no runs, but by the button
DISABLED = "Cannot trigger a 'workflow_dispatch' on a disabled workflow"
FIRST = 86400  # seconds before the first tick in which what fell due is still run


class Triggers:
    """Makes runs of the events of all repositories. `__call__` is a push hook."""

    def __init__(self, runner: Runner, repositories: Repositories, tracker: Tracker) -> None:
        self.runner, self.repositories, self.tracker = runner, repositories, tracker

    def __call__(self, where: Repository, ref: str, before: str, after: str) -> None:
        """A ref moved."""
        if ACTOR.get() != BOT:
            self._fire(where, push(where, (ref, before, after), ACTOR.get()))

    def pulled(self, where: Repository, record: Record, activity: str) -> None:
        """A pull request was opened, closed, reopened, or its head moved (synchronize)."""
        off = where.record["private"] and not is_own(where, record["pull"])  # as GitHub's default is
        if ACTOR.get() != BOT and not off:
            self._fire(where, pull_request(self.tracker, where, record, activity, ACTOR.get()))

    def _fire(self, where: Repository, event: Event | None) -> None:
        if event is None or where.is_off:  # its workflows are off until its owner turns them on
            return
        for path, blob in files(where, event.sha).items():
            workflow, faults = _read(where, path, blob)
            broken = bool(faults) and event.name == "push" and bool(event.base)
            if broken or fires(workflow, event):
                self._start(where, workflow, event, faults)
        self.runner.pump()

    def dispatch(self, where: Repository, path: str, given: tuple[str, Any], actor: str) -> Run:
        """Press a workflow's button at a ref, with inputs. Raises GitHubError (404, 422)."""
        if where.is_off:
            raise GitHubError(422, DISABLED)
        ref, commit = _ref(where, given[0])
        workflow = read(where, commit, path)
        if workflow is None:
            raise not_found()
        if faults := startup.faults(workflow):
            raise GitHubError(422, f"failed to parse workflow: {path}: {'; '.join(faults)}")
        inputs = workflow.inputs(given[1] or {})
        shown = {"inputs": inputs, "ref": ref, "workflow": path}
        event = Event(
            name="workflow_dispatch",
            actor=actor,
            ref=ref,
            sha=commit,
            head_sha=commit,
            payload=lambda: {**shown, **common(where, actor)},
            fields={"inputs": inputs},
        )
        run = self._start(where, workflow, event, [])
        self.runner.pump()
        return run

    def now(self) -> datetime:
        """What the clock shows: the time, or where its hand stands if that is later."""
        now, last = datetime.now(UTC).replace(microsecond=0), self._hand()
        return max(now, last) if last else now

    def _hand(self) -> datetime | None:
        known = self.repositories.store.get("github-clock", "hand")
        return datetime.fromisoformat(known["at"]) if known else None

    def tick(self, at: datetime) -> list[Run]:
        """Put the clock's hand forward, and run once what fell due since. Raises INVALID_ARGUMENT."""
        store = self.repositories.store
        with self.repositories.writing:
            last = self._hand()
            if last and at < last:
                raise ApiError(
                    "INVALID_ARGUMENT", f"the clock stands at {last:{TIME}} and goes forward only"
                )
            after = last or datetime.fromtimestamp(at.timestamp() - FIRST, UTC)
            heads = [one for one in self.repositories.list() if one.head and not one.is_off]
            fallen = [one for where in heads for one in self._due(where, (after, at))]
            with self.runner.lock:
                with store.transaction():  # what fell due is there to be run, or falls due again
                    store.put("github-clock", "hand", {"at": at.isoformat()})
                    made = [self._made(*one) for one in fallen]
                found = [self._entered(*one) for one in made]
        self.runner.pump()
        return found

    def _due(self, where: Repository, span: tuple[datetime, datetime]) -> Iterator[Start]:
        for path, blob in files(where, where.head).items():
            workflow, faults = _read(where, path, blob)
            for cron in crons(workflow):
                if not wrong(cron) and due(cron, *span):
                    yield where, workflow, _scheduled(where, path, cron, span[1]), faults

    def _start(self, where: Repository, workflow: Workflow, event: Event, faults: list[str]) -> Run:
        """A run of the event: queued, or ended at once where GitHub would refuse to start it."""
        with self.runner.lock:
            return self._entered(*self._made(where, workflow, event, faults))

    def _made(
        self, where: Repository, workflow: Workflow, event: Event, faults: list[str]
    ) -> tuple[Run, list[str]]:
        """A new run, kept as what waits for its turn, and why GitHub would refuse to start it."""

        def reader(uses: str) -> Workflow | None:
            return self._used(where, event.sha, uses)

        if not faults:
            faults = [*startup.unknown_labels(workflow), *calls.faults(workflow, reader)]
        run = self.runner.runs.create(where, workflow, _fields(event))
        try:
            run |= {} if faults else _settled(where, run, workflow, reader)
        except ExpressionError as error:
            faults = [str(error)]
        return self.runner.runs.save(run), [f"{workflow.path}: {fault}" for fault in faults]

    def _entered(self, run: Run, faults: list[str]) -> Run:
        return self.runner.refuse(run, faults) if faults else self.runner.admit(run)

    def _used(self, where: Repository, commit: str, uses: str) -> Workflow | None:
        """The reusable workflow of that name; an unreadable one is an empty one."""
        path = uses.removeprefix("./")
        if path == uses:
            name, _, ref = uses.partition("@")
            owner, repository, path = [*name.split("/", 2), "", ""][:3]
            found = self.repositories.find(owner, repository)
            there = found.resolve(ref) if found and ref else None
            if not (found and there):
                return None
            where, commit = found, there
        blob = files(where, commit).get(path)
        return _read(where, path, blob)[0] if blob else None


def _read(where: Repository, path: str, blob: str) -> tuple[Workflow, list[str]]:
    """A workflow file, and why GitHub refuses it."""
    try:
        found = parsed(where, path, blob)
    except GitHubError as error:
        return Workflow(path, {}), [error.message]
    return found, startup.faults(found)


def _fields(event: Event) -> Run:
    return {
        "event": event.name,
        "actor": event.actor,
        "ref": event.ref,
        "sha": event.sha,
        "head_sha": event.head_sha,
        "head_branch": event.head_branch,
        "payload": event.payload(),
        "concurrency": None,
        "locks": [],
        "inputs": {},
        **({"display_title": event.title} if event.title else {}),
        **event.fields,
    }


def _settled(where: Repository, run: Run, workflow: Workflow, reader: calls.Reader) -> Run:
    """Title and concurrency of a new run, evaluated. Raises ExpressionError."""
    known = contexts(where, run, workflow)
    named = filled(str(workflow.content.get("run-name") or ""), known).strip()
    own = group(workflow.content.get("concurrency"), known)
    held = locks(workflow, reader, known)
    if own and own["group"].lower() in held:
        raise ExpressionError(
            f"a deadlock: the workflow and a job want concurrency group '{own['group']}'"
        )
    title = {"display_title": named} if named else {}
    return {**title, "concurrency": own, "locks": held}


def _scheduled(where: Repository, path: str, cron: Cron, at: datetime) -> Event:
    now = at.astimezone(UTC).strftime(TIME)
    shown = {"schedule": cron.line, "workflow": path, **common(where, where.owner)}
    return Event(
        name="schedule",
        actor=where.owner,
        ref=f"refs/heads/{where.default_branch}",
        sha=str(where.head),
        head_sha=str(where.head),
        payload=lambda: shown,
        fields={"created_at": now, "now": now},
    )


def _ref(where: Repository, given: str) -> tuple[str, str]:
    names = [given] if given.startswith("refs/") else [f"refs/heads/{given}", f"refs/tags/{given}"]
    for name in names:
        commit = where.ref(f"{name}^{{commit}}")
        if commit:
            return name, commit
    raise GitHubError(422, f"No ref found for: {given}")
