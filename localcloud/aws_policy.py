"""IAM policy documents of AWS: which statement decides on an action, and what trust policies ask."""

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from localcloud.errors import ApiError

Document = Mapping[str, Any]
Context = Mapping[str, str]


def _like(pattern: str, value: str) -> bool:
    # Only * and ? are wildcards there.
    return fnmatchcase(value, pattern.replace("[", "[[]"))


OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, found: wanted == found,
    "StringEqualsIgnoreCase": lambda wanted, found: wanted.lower() == found.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda wanted, found: wanted.lower() == found.lower(),
}


def decision(
    documents: Iterable[Document], action: str, resource: str, context: Context, principal: str = ""
) -> bool | None:
    """False where a statement denies, True where one allows, None where none speaks of it.

    `principal` is an ARN or a provider, for policies that name principals. Raises UNIMPLEMENTED for
    a condition whose operator is not served.
    """
    effects = {
        statement["Effect"]
        for document in documents
        for statement in _many(document.get("Statement", []))
        if _names(statement, "Action", action, fold=True)
        and ("Principal" in statement or _names(statement, "Resource", resource))
        and _is_principal(statement.get("Principal"), principal)
        and ("Resource" not in statement or _names(statement, "Resource", resource))
        and _holds(statement.get("Condition", {}), context)
    }
    return False if "Deny" in effects else True if "Allow" in effects else None


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _names(statement: Mapping[str, Any], key: str, value: str, fold: bool = False) -> bool:
    """Whether the statement's `key`, or its Not-form, is about `value`."""
    wanted = statement.get(key, statement.get(f"Not{key}", []))
    value = value.lower() if fold else value
    found = any(_like(str(one).lower() if fold else str(one), value) for one in _many(wanted))
    return found == (key in statement)


def _is_principal(wanted: Any, principal: str) -> bool:
    if wanted is None or wanted == "*":
        return True
    account = ":".join(principal.split(":")[:5]) + ":root"
    names = [str(one) for group in dict(wanted).values() for one in _many(group)]
    return any(one in ("*", principal, account) for one in names)


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    return all(
        _condition(operator, key, [str(one) for one in _many(wanted)], context)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _condition(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    found = next((value for name, value in context.items() if name.lower() == key.lower()), None)
    if operator == "Null":
        return (found is None) == (wanted == ["true"])
    name = operator.removesuffix("IfExists")
    positive = re.sub("^(String|Arn)Not", r"\1", name)
    if positive not in OPERATORS:
        words = f"the local cloud does not serve the condition operator {operator} in AWS policies"
        raise ApiError("UNIMPLEMENTED", words, reason="NotImplemented")
    if found is None:
        return name != operator or positive != name
    return any(OPERATORS[positive](one, found) for one in wanted) == (positive == name)
