"""Policy documents of AWS when they are put: what is malformed, or not served, is refused by name."""

import json
from collections.abc import Iterator
from typing import Any

from localcloud.aws_errors import refusal
from localcloud.aws_policy import many, operator_of

COMMON = {"Sid", "Effect", "Action", "NotAction", "Condition"}
RESOURCE = {"Resource", "NotResource"}
# By kind: the fields that a statement may have.
FIELDS = {
    "identity": COMMON | RESOURCE,
    "trust": COMMON | {"Principal"},
    "bucket": COMMON | RESOURCE | {"Principal"},
}
PRINCIPALS = {"AWS", "Federated"}


def check_document(text: str | bytes, kind: str) -> None:
    """Raises MalformedPolicy for a bucket's, MalformedPolicyDocument for a `kind` of IAM's."""
    try:
        found = next(_faults(json.loads(text), kind), "")
    except (ValueError, AttributeError, KeyError, TypeError):
        found = "This policy contains invalid Json"
    if found:
        code = "MalformedPolicy" if kind == "bucket" else "MalformedPolicyDocument"
        raise refusal(code, found)


def _faults(document: dict[str, Any], kind: str) -> Iterator[str]:
    if "${" in json.dumps(document):
        yield "the local cloud does not serve policy variables in AWS policies"
    for statement in many(document["Statement"]):
        yield from _of_statement(statement, kind)


def _of_statement(statement: dict[str, Any], kind: str) -> Iterator[str]:
    for field in sorted(statement.keys() - FIELDS[kind]):
        yield f"the local cloud does not serve {field} in {kind} policies of AWS"
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield "Missing required field Effect, or it is neither Allow nor Deny"
    needed = [("Action", "NotAction")] + ([] if kind == "trust" else [("Resource", "NotResource")])
    for one, other in needed:
        if (one in statement) == (other in statement) or not statement.get(one, statement.get(other)):
            yield f"A statement needs either {one} or {other}"
    if kind != "identity":
        yield from _of_principal(statement.get("Principal"))
    for operator in statement.get("Condition", {}):
        operator_of(operator)


def _of_principal(wanted: Any) -> Iterator[str]:
    if not wanted:
        yield "Missing required field Principal"
    elif wanted != "*":
        for group in sorted(wanted.keys() - PRINCIPALS):
            yield f"the local cloud does not serve principals of the kind {group}"
