"""Rules for workflows and their jobs: rights, queues, ends."""

from collections.abc import Callable, Iterator

from delivery.workflow_file import Node, WorkflowFile

Breaks = Iterator[tuple[int, str, str]]

RUNNERS = {"ubuntu-24.04"}
LONGEST = 240  # minutes a job may have
LEVELS = {"": 0, "none": 0, "read": 1, "write": 2}
REPLACEABLE = {"ci", "tick"}  # a newer run of these does all that one which waited would have done
REQUIRED, ALWAYS = "required", "always()"


def no_rights_by_default(file: WorkflowFile) -> Breaks:
    """A workflow starts with no rights at all."""
    found = file.root.at("permissions")
    if file.is_workflow and (found is None or found.value != {}):
        yield found.line if found else 1, "rights for all jobs", "set permissions: {} at the top"


def rights_have_reasons(file: WorkflowFile) -> Breaks:
    """A job names what it may do, and why."""
    for key, job in file.jobs.items():
        granted = job.at("permissions")
        if granted is None:
            yield job.line, f"job '{key}' has no permissions", "list what it needs, or write {}"
        elif granted.text:
            yield granted.line, f"job '{key}' may '{granted.text}'", "list what it needs, or write {}"
        for name, right in granted.table.items() if granted else ():
            if not file.comment(right.line):
                yield right.line, f"no reason for {name}: {right.text}", "say it behind: # to …"


def checkouts_may_read(file: WorkflowFile) -> Breaks:
    """A job that checks out may read: in a private repository it could not otherwise."""
    for key, job in file.jobs.items():
        steps = job.at("steps")
        uses = [step.say("uses") for step in steps.items] if steps else []
        may_read = LEVELS.get(_rights(job).get("contents", ""), 0) > 0
        if not may_read and any(used.startswith("actions/checkout@") for used in uses):
            yield job.line, f"job '{key}' may not check out", "grant contents: read"


def callees_have_their_callers_rights(others: list[WorkflowFile]) -> Callable[[WorkflowFile], Breaks]:
    """The rule that a called workflow asks for no more than its caller has, or GitHub refuses both."""
    known = {f"./{file.path}": file for file in others}

    def rule(file: WorkflowFile) -> Breaks:
        for job in file.jobs.values():
            callee = known.get(job.say("uses"))
            for inner in callee.jobs.values() if callee else ():
                for name, right in _rights(inner).items():
                    if LEVELS.get(right, 2) > LEVELS.get(_rights(job).get(name, ""), 0):
                        what = f"{job.say('uses')} asks for {name}: {right}"
                        yield job.line, what, "grant it here, or ask for less there"

    return rule


def groups_are_their_own(file: WorkflowFile) -> Breaks:
    """Two workflows never wait for each other: a group begins with its file's name, as a literal."""
    if not file.is_workflow:
        return
    if (found := file.root.at("concurrency")) is None:
        yield 1, "it has no concurrency", f"set group: {file.stem}"
    for scope in [file.root, *file.jobs.values()]:
        if found := scope.at("concurrency"):
            group = found.say("group") or found.text
            if group != file.stem and not group.startswith(f"{file.stem}-${{{{"):
                yield found.line, f"group '{group}' is not {file.stem}'s alone", f"write {file.stem}"
            if "github.workflow" in group:
                yield found.line, "a called workflow would wait for its caller", f"write {file.stem}"


def nothing_is_lost_in_a_queue(file: WorkflowFile) -> Breaks:
    """A run that waits is not dropped for a newer one, unless that one does its work too."""
    for scope in [file.root, *file.jobs.values()] if file.is_workflow else []:
        if (found := scope.at("concurrency")) is None:
            continue
        if not found.say("cancel-in-progress"):
            yield found.line, "it does not say what a newer run does", "set cancel-in-progress"
        if file.stem not in REPLACEABLE:
            if found.say("cancel-in-progress") not in ("", "false"):
                yield found.line, "a newer run cancels this one", "set cancel-in-progress: false"
            if found.say("queue") != "max":
                yield found.line, "a third run would cancel the second", "set queue: max"


def runners_are_known(file: WorkflowFile) -> Breaks:
    """A job whose runner nobody has never starts."""
    for key, job in file.jobs.items():
        found = job.at("runs-on")
        if found is None and job.at("uses") is None:
            yield job.line, f"job '{key}' has no runner", f"set runs-on: {', '.join(sorted(RUNNERS))}"
        if found and found.text not in RUNNERS:
            known = ", ".join(sorted(RUNNERS))
            yield found.line, f"runner '{found.text}' is not known", f"name one of: {known}"


def jobs_end(file: WorkflowFile) -> Breaks:
    """No job waits for ever."""
    for key, job in file.jobs.items():
        limit = job.say("timeout-minutes")
        if job.at("uses") is None and not (limit.isdigit() and 0 < int(limit) <= LONGEST):
            mend = f"set timeout-minutes, at most {LONGEST}"
            yield job.line, f"job '{key}' has no good time limit", mend


def required_needs_all(file: WorkflowFile) -> Breaks:
    """The one required job looks at every other one, however they ended."""
    if (job := file.jobs.get(REQUIRED)) is None:
        return
    if job.say("if") != ALWAYS:
        yield job.line, "a required job that is skipped counts as passed", f"set if: {ALWAYS}"
    needs = job.at("needs")
    named = {item.text for item in needs.items} if needs else set()
    if missing := sorted(set(file.jobs) - named - {REQUIRED}):
        yield job.line, f"it does not look at {', '.join(missing)}", "name them in its needs"
    for event in ("pull_request", "merge_group"):
        if event not in file.triggers:
            yield 1, f"the required job waits for ever in a {event}", f"add {event} to its triggers"
        for key in ("paths", "paths-ignore"):
            if found := file.root.at("on", event, key):
                yield found.line, "a change that it passes over would wait for ever", "let a job plan it"


def _rights(job: Node) -> dict[str, str]:
    """What a job may do: name → none, read or write."""
    granted = job.at("permissions")
    return {name: right.text for name, right in granted.table.items()} if granted else {}
