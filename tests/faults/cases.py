"""Each call that one run makes, and each way in which it can fail."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.worlds import World

KINDS = {
    "error": "error:503",
    "hang": "hang",
    "lost": "lose-reply",
    "twice": "twice",
    "kill-caller": "kill:caller",
    "kill-cloud": "kill:cloud",
}
DENIED = {"403", "PERMISSION_DENIED"}  # where a world ends, the next one goes on
READS = {"GET", "HEAD"}
ASKS = ("Get", "List", "Access")  # how the names of RPCs begin that change nothing
ACCOUNTS = "projects.serviceAccounts"
QUESTIONS = {  # POSTs that change nothing
    "git.upload-pack",
    "oauth2.token",
    "sts.token",
    f"iam.{ACCOUNTS}.getIamPolicy",
    f"iamcredentials.{ACCOUNTS}.generateAccessToken",
}


@dataclass(frozen=True)
class Call:
    """The `nth` call of `method` by a caller of that class, in a run that starts from `world`."""

    world: str
    method: str
    caller: str
    nth: int

    def __str__(self) -> str:
        return f"{self.caller or 'git'} {self.method} {self.nth}"


@dataclass(frozen=True)
class Case:
    """One fault."""

    call: Call
    kind: str

    def __str__(self) -> str:
        return f"{self.call} {self.kind}"


def cases(calls: list[Call]) -> list[Case]:
    """Every call times every kind."""
    return [Case(call, kind) for call in calls for kind in KINDS]


def recorded(folder: Path, worlds: dict[str, World]) -> list[Call]:
    """The calls of one run, told from the worlds at its moments; kept in `folder`."""
    path = folder / "calls.json"
    if not path.exists():
        found = [call for name, world in _stretches(folder, worlds) for call in distinct(name, world)]
        path.write_text(json.dumps([asdict(call) for call in _once(found)]))
    return [Call(**fields) for fields in json.loads(path.read_text())]


def _stretches(folder: Path, worlds: dict[str, World]) -> list[tuple[str, list[str]]]:
    """From which world on, the request log as far as the next one."""
    last = worlds["trained"].copy(folder / "last")
    (last.cloud.root / "calls.log").unlink()
    last.start()
    ended = last.go()
    assert ended.code == 0, ended
    logs = [world.calls() for world in [*list(worlds.values())[1:], last]]
    last.remove()
    return list(zip(worlds, logs, strict=True))


def distinct(world: str, lines: list[str]) -> list[Call]:
    """The first call of each method and class of caller, and every one that changes something."""
    counts: Counter[tuple[str, str]] = Counter()
    found = []
    for line in lines:
        _, label, method, verb, place, result, *_ = line.split()
        if method.startswith("localcloud.") or verb == "FAULT" or result in DENIED:
            continue
        caller = _class(label)
        counts[method, caller] += 1
        nth = counts[method, caller]
        if nth == 1 or _changes(method, verb, place):
            found.append(Call(world, method, caller, nth))
    return found


def _class(label: str) -> str:
    """A pattern for all callers of that class; git names itself only where it must."""
    kind = label.partition("-")[0]
    return "" if label == "-" else f"{kind}-*" if kind in ("job", "run") else label


def _changes(method: str, verb: str, place: str) -> bool:
    name = method.partition(".")[2] if verb != "GRPC" else place.rpartition("/")[2]
    return verb not in READS and not name.startswith(ASKS) and method not in QUESTIONS


def _once(calls: list[Call]) -> list[Call]:
    """A call that an earlier part of the run has made already is one."""
    first: dict[tuple[str, str, int], Call] = {}
    for call in calls:
        first.setdefault((call.method, call.caller, call.nth), call)
    return list(first.values())
