"""How an endpoint's requests are split between its deployed models, in percent."""

from collections.abc import Iterable, Mapping

from localcloud.serving_names import invalid

WHOLE = 100
NEW = "0"  # stands for the model that is being deployed
Split = dict[str, int]


def check(split: Mapping[str, int], ids: Iterable[str], field: str = "traffic_split") -> None:
    """Raises INVALID_ARGUMENT where a split names others than `ids`, or is not of 100 percent.

    An empty split is one: the endpoint takes no requests.
    """
    problems = []
    known = set(ids)
    if unknown := sorted(set(split) - known):
        problems.append((field, f"No DeployedModel of the endpoint has the ID {', '.join(unknown)}."))
    if any(not 0 <= share <= WHOLE for share in split.values()):
        problems.append((field, "Each share must be between 0 and 100 percent."))
    if split and sum(split.values()) != WHOLE:
        problems.append((field, f"The shares must add up to 100; they are {sum(split.values())}."))
    if problems:
        raise invalid(problems)


def with_new(split: Mapping[str, int], deployed: str) -> Split:
    """A deployment's split, with the id of the new deployed model for what stands for it."""
    return {deployed if key == NEW else key: share for key, share in split.items()}
