"""Why a roll-out may not begin: what a person has to put right first."""

from delivery.rollout import State, Target
from flows.errors import InputError


def found(target: Target, state: State) -> InputError | None:
    """The first obstacle; None where there is none."""
    return _busy(target, state) or _bare(target, state)


def _busy(target: Target, state: State) -> InputError | None:
    """Somebody else's model on an adopted endpoint has traffic."""
    busy = [one for one in state.seen.others if one.share] if state.seen else []
    if not busy or not target.serving.endpoint:
        return None
    return InputError(
        f"endpoint {target.serving.endpoint}: {busy[0].id} was not deployed here, and has"
        f" {busy[0].share} % of the traffic",
        "give it 0 % first, or let this flow have an endpoint of its own",
    )


def _bare(target: Target, state: State) -> InputError | None:
    """A version was registered when no endpoint was to serve it."""
    known = [state.registered.get(entry.version) for entry in target.release.entries]
    bare = [one for one in known if one and not one.files]
    if not bare or not target.is_on_endpoint:
        return None
    return InputError(
        f"{target.environment}/{target.flow}: {bare[0].version} is in the Model Registry without files,"
        " registered when nothing was to serve it: no endpoint can",
        'put kind = "store" back in flow.toml, or train again and release that version alone',
    )
