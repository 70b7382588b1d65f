"""Assignments such as `train.factors=16`, put into a flow.toml for one run."""

import copy
import json
import re
import tomllib
from typing import Any

from flows.errors import InputError
from flows.tables import hint

TABLES = ("data", "preprocess", "train", "gate", "resources")  # what a run is told
ASSIGNMENT = re.compile(r"(?P<key>[A-Za-z_][\w.-]*)=(?P<value>\S+)")
MEND = "write TABLE.KEY=VALUE, separated by spaces: train.factors=16 gate.floor=0.1"


def apply(raw: dict[str, Any], text: str) -> dict[str, Any]:
    """A copy of `raw`, a parsed flow.toml, with the assignments in `text`.

    Values are TOML's, without spaces; a plain word is a text. A key of [train] that is not its own is
    the chosen algorithm's. Raises InputError for what is no assignment, or not of a run.
    """
    changed = copy.deepcopy(raw)
    for table, keys in _assigned(text).items():
        if table not in TABLES or not isinstance(keys, dict):
            nearest = hint(table, TABLES, "table")
            raise InputError(f"--overrides: '{table}' is not a run's; {nearest}", MEND)
        _merge(changed.setdefault(table, {}), keys)
    return _into_algorithm(changed, raw)


def _assigned(text: str) -> dict[str, Any]:
    """The assignments as tables."""
    lines = [_line(word) for word in text.split()]
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"--overrides: {text!r}: {error}", MEND) from None


def _line(word: str) -> str:
    found = ASSIGNMENT.fullmatch(word)
    if found is None:
        raise InputError(f"--overrides: '{word}' is no assignment", MEND)
    try:
        tomllib.loads(word)
    except tomllib.TOMLDecodeError:
        return f"{found['key']} = {json.dumps(found['value'])}"
    return word


def _merge(table: dict[str, Any], keys: dict[str, Any]) -> None:
    for key, value in keys.items():
        if isinstance(value, dict) and isinstance(table.get(key), dict):
            _merge(table[key], value)
        else:
            table[key] = value


def _into_algorithm(changed: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    """Move the new keys of [train] that are values into the table of the algorithm."""
    train, own = changed.get("train", {}), {"algorithm", "seed", *raw.get("train", {})}
    new = [key for key, value in train.items() if key not in own and not isinstance(value, dict)]
    for key in new:
        train.setdefault(str(train.get("algorithm")), {})[key] = train.pop(key)
    return changed
