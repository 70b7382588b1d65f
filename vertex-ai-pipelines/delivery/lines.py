"""Where in a TOML file something stands: for errors."""

import re
from collections.abc import Mapping
from typing import NamedTuple

HEAD = re.compile(r"\s*\[\s*(?P<name>[\w.-]+)\s*\]")
KEY = re.compile(r"""\s*["']?(?P<name>[\w-]+)["']?\s*=""")
# How tomllib and flows.tables say where: by line, by a key of a table, by a dotted name.
SYNTAX = re.compile(r"\(at line (?P<line>\d+), column \d+\)")
UNKNOWN = re.compile(r"unknown key '(?P<key>[^']+)' at (?:\[(?P<table>[\w.-]+)\]|the top level)")
VALUE = re.compile(r"at `(?P<name>[\w.-]+)`")


class Source(NamedTuple):
    """A file's name, and the line (from 1) of each table and key in it, by dotted name."""

    name: str
    lines: Mapping[str, int] = {}

    @classmethod
    def of(cls, name: str, text: str) -> "Source":
        """The source of a TOML text; of what stands there twice, the first counts."""
        lines, table = {"": 1}, ""
        for number, line in enumerate(text.splitlines(), 1):
            if head := HEAD.match(line):
                table = head["name"]
                lines.setdefault(table, number)
            elif key := KEY.match(line):
                lines.setdefault(f"{table}.{key['name']}".lstrip("."), number)
        return cls(name, lines)

    def at(self, key: str) -> str:
        """NAME:LINE of a key, or of its table where the key is not there; NAME where neither is."""
        line = self.lines.get(key) or self.lines.get(key.rpartition(".")[0])
        return f"{self.name}:{line}" if line else self.name

    def at_error(self, message: str) -> str:
        """NAME:LINE of what an error's message is about."""
        if syntax := SYNTAX.search(message):
            return f"{self.name}:{syntax['line']}"
        if unknown := UNKNOWN.search(message):
            return self.at(f"{unknown['table'] or ''}.{unknown['key']}".lstrip("."))
        value = VALUE.search(message)
        return self.at(value["name"] if value else "")
