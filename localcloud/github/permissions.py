"""What a workflow's `permissions` grant to its token."""

from collections.abc import Iterator, Mapping
from typing import Any

ANY = ("none", "read", "write")
KNOWN = {
    **dict.fromkeys(
        [
            "actions",
            "artifact-metadata",
            "attestations",
            "checks",
            "contents",
            "deployments",
            "discussions",
            "issues",
            "packages",
            "pages",
            "pull-requests",
            "repository-projects",
            "security-events",
            "statuses",
        ],
        ANY,
    ),
    "id-token": ("none", "write"),
    "models": ("none", "read"),
}
DEFAULT = {"contents": "read", "packages": "read"}  # new repositories' own default

Grants = Mapping[str, str]


def granted(given: Any, fallback: Grants = DEFAULT) -> Grants:
    """The level of each permission; `fallback` where none are given."""
    if given is None:
        return fallback
    if isinstance(given, str):
        level = given.removesuffix("-all")
        return {name: level for name, levels in KNOWN.items() if level in levels}
    return {str(name): str(level) for name, level in given.items()}


def lowered(grants: Grants) -> Grants:
    """What is left of them for code from a fork: nothing that writes, so no identity either."""
    return {
        name: "read" if "read" in KNOWN.get(name, ()) and level != "none" else "none"
        for name, level in grants.items()
    }


def excess(asked: Grants, allowed: Grants) -> str:
    """What `asked` holds beyond `allowed`, as GitHub words it; empty: nothing."""
    order = ANY.index
    wrong = {
        name: (level, allowed.get(name, "none"))
        for name, level in sorted(asked.items())
        if order(level) > order(allowed.get(name, "none"))
    }
    wanted = ", ".join(f"{name}: {level}" for name, (level, _) in wrong.items())
    most = ", ".join(f"{name}: {level}" for name, (_, level) in wrong.items())
    return f"requesting '{wanted}', but is only allowed '{most}'" if wrong else ""


def faults(given: Any) -> Iterator[str]:
    """What GitHub does not know in a `permissions` value."""
    if isinstance(given, dict):
        for name, level in given.items():
            if level not in KNOWN.get(name, ()):
                yield f"Unexpected value '{name if name not in KNOWN else level}' in permissions"
    elif given not in (None, "read-all", "write-all"):
        yield f"Unexpected value '{given}' in permissions"
