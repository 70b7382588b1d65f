"""A roll-out's actions as a person reads a diff."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from delivery import cost, standby
from delivery.model_registry import CHALLENGER, CHAMPION, DEFAULT
from delivery.rollout import (
    Action,
    Copy,
    Create,
    Deploy,
    Evaluate,
    Point,
    Publish,
    Register,
    Resize,
    Split,
    State,
    Stop,
    Target,
    Undeploy,
    is_drift,
    waiting,
)
from delivery.serving_names import deployed_id

SLOW = "15 to 30 minutes on Vertex AI"
WIDTH = 12


def lines(target: Target, state: State, actions: list[Action]) -> Iterator[str]:
    """The whole difference, with its head, and with what stays on purpose."""
    name = f"{target.environment}/{target.flow}"
    if not actions:
        shares = " · ".join(f"{one.version} {one.traffic} %" for one in target.release.entries)
        yield f"{name}: nothing to do · {shares}"
    else:
        yield f"{name}: {len(actions)} change{'s' if len(actions) > 1 else ''}"
    if actions and is_drift(target, state):
        yield _entry("!", "drift", "it was so after the last deploy: somebody has changed it since")
    for action in actions:
        yield line(action, target, state)
    for one in waiting(target, state):
        assert one.standby
        end = one.standby + standby.length(target.serving.standby)
        down = " · does not answer: a rollback deploys it again" if one.is_down else ""
        yield _entry("=", "stand-by", f"{one.version} · at 0 % until {end:%Y-%m-%d %H:%M} UTC{down}")
    for other in state.seen.others if state.seen else ():
        what = f"{other.id} {other.version} · {other.share} %, not deployed here and left alone"
        yield _entry("=", "other", what)


def brief(action: Action) -> str:
    """An action in a few words, when it is done."""
    named = getattr(action, "entry", None) or getattr(action, "deployed", None)
    kind = type(action).__name__.lower()
    return f"{kind} {named.version}" if named else kind


def line(action: Action, target: Target, state: State) -> str:
    """An action: + what comes, ~ what changes, - what goes."""
    return WORDS[type(action)](action, target, state)


def _entry(sign: str, what: str, text: str) -> str:
    return f"  {sign} {what:<{WIDTH}}{text}"


def _copy(action: Copy, _target: Target, _state: State) -> str:
    count = len(action.files)
    files = f"{count} file{'s' if count > 1 else ''}"
    return _entry("+", "files", f"{action.entry.version} · {files} from S3 to the serving bucket")


def _register(action: Register, *_: Any) -> str:
    return _entry("+", "version", f"{action.entry.version} · in the Model Registry")


def _evaluate(action: Evaluate, *_: Any) -> str:
    return _entry("+", "metrics", f"{action.entry.version} · in the Model Registry")


def _create(_action: Create, target: Target, _state: State) -> str:
    return _entry("+", "endpoint", target.lock)


def _stop(action: Stop, *_: Any) -> str:
    return _entry(
        "!", "drift", f"{action.deployed.version} · at 0 %, does not answer: is deployed again"
    )


def _deploy(action: Deploy, *_: Any) -> str:
    where = f"{action.entry.version} · {_machines(action.machine, action.replicas)}"
    if action.replaces is None:
        return _entry("+", "deploy", f"{where} · {SLOW}")
    price = cost.hourly(action.machine.type, action.replicas[0])
    both = f"until then both cost{f': {price} more' if price else ''}"
    return _entry("±", "replace", f"{where} in place of {action.replaces} · {SLOW}; {both}")


def _resize(action: Resize, *_: Any) -> str:
    before = _range((action.deployed.least, action.deployed.most))
    return _entry("~", "replicas", f"{action.deployed.version} · {before} → {_range(action.replicas)}")


def _split(action: Split, target: Target, state: State) -> str:
    names = _names(target, state)
    both = {**action.before, **action.shares}
    moves = [
        f"{names.get(one, one)} {action.before.get(one, 0)} → {action.shares.get(one, 0)} %"
        for one in both
        if action.before.get(one, 0) != action.shares.get(one, 0)
    ]
    kept = f"kept at 0 % for {target.serving.standby}"
    moves += [f"{names[one]} {kept}" for one in action.standby]
    return _entry("~", "traffic", " · ".join(moves))


def _point(action: Point, *_: Any) -> str:
    moves = [
        f"{name} → {version}"
        for name in (CHAMPION, DEFAULT, CHALLENGER)
        for version, aliases in action.aliases.items()
        if name in aliases
    ]
    moves += [f"{version} by its name" for version, given in action.aliases.items() if version in given]
    moves += [
        f"no {alias[1:]}"
        for aliases in action.aliases.values()
        for alias in aliases
        if alias.startswith("-")
    ]
    return _entry("~", "aliases", " · ".join(moves))


def _publish(action: Publish, _target: Target, state: State) -> str:
    shares = " · ".join(f"{one} {share} %" for one, share in action.wanted.traffic.items())
    if state.is_channel_broken:
        return _entry("~", "channel", f"{shares} · in the place of what is not readable")
    return _entry("~" if state.channel else "+", "channel", shares)


def _undeploy(action: Undeploy, *_: Any) -> str:
    return _entry("-", "undeploy", f"{action.deployed.version} · {action.why}")


def _names(target: Target, state: State) -> dict[str, str]:
    """Versions by deployed model; what is not ours by its id."""
    declared = {deployed_id(e.version, target.machine): e.version for e in target.release.entries}
    there = state.seen.deployed if state.seen else ()
    return {one.id: one.version if one.is_ours else f"{one.id} (not ours)" for one in there} | declared


def _machines(machine: Any, replicas: tuple[int, int]) -> str:
    return f"{_range(replicas)} × {machine}"


def _range(replicas: tuple[int, int]) -> str:
    least, most = replicas
    return str(least) if least == most else f"{least} to {most}"


WORDS: Mapping[type, Callable[..., str]] = {
    Copy: _copy,
    Register: _register,
    Evaluate: _evaluate,
    Create: _create,
    Stop: _stop,
    Deploy: _deploy,
    Resize: _resize,
    Split: _split,
    Point: _point,
    Publish: _publish,
    Undeploy: _undeploy,
}
