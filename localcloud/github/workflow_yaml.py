"""YAML as GitHub reads it: `on` and `yes` are words, dates are text, a key stands once."""

import re
from typing import Any

import yaml

BOOLEAN, TIMESTAMP = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in found if tag not in (BOOLEAN, TIMESTAMP)]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = set[Any]()
        for key, _ in node.value:
            if key.value in found:
                raise yaml.MarkedYAMLError(
                    problem=f"'{key.value}' is already defined", problem_mark=key.start_mark
                )
            found.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(BOOLEAN, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))


def load(text: bytes) -> Any:
    """The document. Raises yaml.YAMLError, RecursionError or ValueError where it is none."""
    return yaml.load(text, _Loader)  # noqa: S506 – a SafeLoader
