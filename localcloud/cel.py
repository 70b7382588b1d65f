"""Expressions in CEL: what a credential maps to, and under which conditions something holds."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

LENGTH = 4096  # characters of an expression at most
# A name that the library keeps for itself, as a root: google.subject.
RESERVED = {"google": "google_"}
MACROS = {"has", "map", "filter", "all", "exists", "exists_one", "dyn"}


class CelError(Exception):
    """An expression that cannot be read, calls what is not served, or has no value here."""


def check(text: str) -> None:
    """Raises CelError where `text` can never be evaluated."""
    if len(text) > LENGTH:
        raise CelError(f"it has more than {LENGTH} characters")
    _program(text)


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """The value of an expression over JSON values, as a value of CEL's types. Raises CelError."""
    from celpy.adapter import json_to_cel
    from celpy.evaluation import CELEvalError

    given = {RESERVED.get(name, name): json_to_cel(value) for name, value in names.items()}
    try:
        return _program(text).evaluate(given)
    except CELEvalError as error:
        words = str(error.args[0] if error.args else error)
        raise CelError(words.partition(" (in activation")[0]) from None


def holds(text: str, names: Mapping[str, Any]) -> bool:
    """Whether a condition is true; one that has no value here is not."""
    from celpy.celtypes import BoolType

    try:
        value = evaluate(text, names)
    except CelError:
        return False
    return isinstance(value, BoolType) and bool(value)


@lru_cache(256)
def _program(text: str) -> Any:
    from celpy import Environment
    from celpy.celparser import CELParseError

    environment = Environment()
    try:
        tree: Any = environment.compile(text)
    except CELParseError as error:
        raise CelError(f"it cannot be read: {error.args[0]}") from None
    for node in tree.iter_subtrees():
        _check_call(node)
        if node.data == "ident" and str(node.children[0]) in RESERVED:
            node.children[0] = node.children[0].update(value=RESERVED[str(node.children[0])])
    return environment.program(tree, functions=_functions())


def _check_call(node: Any) -> None:
    """Raises CelError for a call of a function that is not there."""
    from celpy.evaluation import base_functions

    place = {"ident_arg": 0, "dot_ident_arg": 0, "member_dot_arg": 1}.get(node.data)
    name = str(node.children[place]) if place is not None else ""
    if name and name not in {*base_functions, *_functions(), *MACROS}:
        raise CelError(f"the local cloud does not serve the function {name}() of CEL")


def _functions() -> dict[str, Any]:
    """What Google adds to the language, as far as it is served."""
    return {"extract": extract, "split": split}


def extract(text: Any, template: Any) -> Any:
    """What stands at `{name}` of a template such as "repo:{name}:"; nothing where it does not fit."""
    from celpy.celtypes import StringType

    before, _, rest = str(template).partition("{")
    after = rest.partition("}")[2]
    start = str(text).find(before)
    if start < 0:
        return StringType("")
    found = str(text)[start + len(before) :]
    end = found.find(after) if after else len(found)
    return StringType(found[: max(end, 0)])


def split(text: Any, separator: Any) -> Any:
    """The parts of a text between separators."""
    from celpy.celtypes import ListType, StringType

    return ListType([StringType(one) for one in str(text).split(str(separator))])
