"""The vendors' descriptions of their REST interfaces: which calls there are, and what each may hold.

schemas/*.json are digests of Google's discovery documents and of GitHub's OpenAPI description;
tests/fidelity/make_schemas.py makes them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "schemas"
TYPES: dict[str, Any] = {
    **{"string": str, "integer": int, "number": (int, float), "boolean": bool},
    **{"object": dict, "array": list, "null": type(None)},
}

Schema = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a value: "unknown", "missing" or "type", at a dotted place, for a name."""

    kind: str
    at: str
    name: str
    value: Any = None
    schema: Schema | None = None


@dataclass(frozen=True)
class Operation:
    """One call of a vendor's interface."""

    name: str
    verb: str
    paths: tuple[str, ...]
    query: Schema
    needs: tuple[str, ...]
    body: Schema | None
    answers: dict[str, Schema | None]


class Description:
    """One vendor's interface: its operations by name, and the schemas that they refer to."""

    def __init__(self, name: str) -> None:
        content = json.loads((FOLDER / f"{name}.json").read_text())
        self.source, self.schemas = str(content["source"]), content["schemas"]
        self.operations = {key: _operation(key, value) for key, value in content["methods"].items()}
        self._by_path = {
            (one.verb, normal(path)): one for one in self.operations.values() for path in one.paths
        }

    def find(self, verb: str, template: str) -> Operation | None:
        """The operation at a path template, whatever its fields are called."""
        return self._by_path.get((verb, normal(template)))

    def named(self, verb: str, path: str) -> Operation | None:
        """The operation that a raw path calls."""
        for (known, template), operation in self._by_path.items():
            if known == verb and re.fullmatch(template.replace("{}", "[^/]+"), path):
                return operation
        return None

    def follow(self, schema: Schema | None) -> Schema:
        """The schema itself where it is only a reference."""
        while schema and "$ref" in schema:
            schema = self.schemas[schema["$ref"]]
        return self._joined(schema) if schema and "allOf" in schema else schema or {}

    def _joined(self, schema: Schema) -> Schema:
        """One schema for those that must hold together."""
        parts = [self.follow(one) for one in schema["allOf"]]
        properties = {key: one for part in parts for key, one in part.get("properties", {}).items()}
        required = [name for part in parts for name in part.get("required", [])]
        nullable = schema.get("nullable", any(part.get("nullable") for part in parts))
        return {"type": "object", "properties": properties, "required": required, "nullable": nullable}

    def child(self, node: Any, name: str) -> Any:
        """What stands below a field of a schema, for a mask; None where there is no such field."""
        schema = self.follow(node)
        if schema.get("type") == "array":
            return self.child(schema["items"], name)
        found = schema.get("properties", {}).get(name)
        if found is None and schema.get("additionalProperties"):
            found = schema["additionalProperties"]
        if found is None and schema.get("type") == "any":
            return schema
        return self.follow(found) if found else None

    def problems(self, schema: Schema | None, value: Any, at: str = "") -> Iterator[Problem]:
        """What is wrong with a value: names that are not known, are missing, or hold another type."""
        known = self.follow(schema)
        branches = [*known.get("oneOf", []), *known.get("anyOf", [])]
        if branches and "properties" not in known:
            yield from min((list(self.problems(one, value, at)) for one in branches), key=len)
        elif not _fits(known, value):
            place, _, name = at.rpartition(".")
            yield Problem("type", place, name, value, known)
        elif isinstance(value, dict):
            yield from self._table(known, value, at)
        elif isinstance(value, list):
            for number, one in enumerate(value):
                yield from self.problems(known.get("items"), one, f"{at}[{number}]")

    def _table(self, schema: Schema, value: dict[str, Any], at: str) -> Iterator[Problem]:
        properties, more = schema.get("properties", {}), schema.get("additionalProperties")
        free = "properties" not in schema or more is True
        for name in schema.get("required", []):
            if name not in value:
                yield Problem("missing", at, name)
        for name, one in value.items():
            if name in properties or isinstance(more, dict):
                yield from self.problems(properties.get(name, more), one, f"{at}.{name}".strip("."))
            elif not free:
                yield Problem("unknown", at, name, one)


def _operation(name: str, content: dict[str, Any]) -> Operation:
    return Operation(
        name,
        content["verb"],
        tuple(content["paths"]),
        content["query"],
        tuple(content["needs"]),
        content["body"],
        content["answers"],
    )


def _fits(schema: Schema, value: Any) -> bool:
    """Whether a value is of the schema's type, as leniently as the vendors read it."""
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    if value is None:
        return not kinds or bool(schema.get("nullable")) or "null" in kinds or "format" in schema
    return not kinds or any(isinstance(value, TYPES.get(kind, object)) for kind in kinds)


def normal(path: str) -> str:
    """A path template without the names of its fields."""
    return re.sub(r"\{[^}]*\}", "{}", path).rstrip("/")


@cache
def description(name: str) -> Description:
    """The description of "storage", "bigquery" or "github", read once."""
    return Description(name)
