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
    documents: Iterable[Document], action: str, resource: str, context: Context, *principals: str
) -> bool | None:
    """False where a statement denies, True where one allows, None where none speaks of it.

    `principals` are all names of who asks, ARNs or a provider, where the policy is a resource's: each
    of its statements must name one of them. Raises UNIMPLEMENTED for what is not served.
    """
    trusts = bool(principals) and action.startswith("sts:")  # such a policy has no other resource
    effects = {
        statement["Effect"]
        for document in documents
        for statement in many(document.get("Statement", []))
        if _names(statement, "Action", action, fold=True)
        and (trusts or _names(statement, "Resource", resource))
        and (not principals or _is_principal(statement, principals))
        and _holds(statement.get("Condition", {}), context)
    }
    return False if "Deny" in effects else True if "Allow" in effects else None


def many(value: Any) -> list[Any]:
    """A list, or one alone."""
    return value if isinstance(value, list) else [value]


def _names(statement: Mapping[str, Any], key: str, value: str, fold: bool = False) -> bool:
    """Whether the statement's `key`, or its Not-form, is about `value`."""
    if not statement.keys() & {key, f"Not{key}"}:
        return False
    wanted = statement.get(key, statement.get(f"Not{key}"))
    value = value.lower() if fold else value
    found = any(_like(str(one).lower() if fold else str(one), value) for one in many(wanted))
    return found == (key in statement)


def _is_principal(statement: Mapping[str, Any], principals: tuple[str, ...]) -> bool:
    """Whether the statement is about one of them; an account is all in it where it denies.

    Where an account is allowed, the identities' own policies decide: that grants nothing here.
    """
    if "NotPrincipal" in statement:
        raise _unserved("NotPrincipal")
    wanted = statement.get("Principal", {})
    if wanted == "*" or "*" in many(wanted.get("AWS", [])):
        return True
    accounts = {one.split(":")[4] for one in principals if one.startswith("arn:aws:")}
    whole = accounts | {f"arn:aws:iam::{one}:root" for one in accounts}
    about = {*principals, *(whole if statement["Effect"] == "Deny" else ())}
    return any(str(one) in about for group in wanted.values() for one in many(group))


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    return all(
        _condition(operator, key, [str(one) for one in many(wanted)], context)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _condition(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    found = next((value for name, value in context.items() if name.lower() == key.lower()), None)
    if operator == "Null":
        return (found is None) == (wanted == ["true"])
    name, positive = operator_of(operator)
    if found is None:
        return name != operator or positive != name
    return any(OPERATORS[positive](one, found) for one in wanted) == (positive == name)


def operator_of(operator: str) -> tuple[str, str]:
    """Its name without IfExists, and that without Not. Raises UNIMPLEMENTED."""
    name = operator.removesuffix("IfExists")
    positive = re.sub("^(String|Arn)Not", r"\1", name)
    if positive not in OPERATORS and operator != "Null":
        raise _unserved(f"the condition operator {operator}")
    return name, positive


def _unserved(what: str) -> ApiError:
    words = f"the local cloud does not serve {what} in AWS policies"
    return ApiError("UNIMPLEMENTED", words, reason="NotImplemented")
