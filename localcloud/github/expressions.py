"""GitHub's expression language: what stands between `${{` and `}}`, and text that holds such."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from localcloud.github.expression_values import FUNCTIONS, ExpressionError, equal, number, text, truth

Contexts = Mapping[str, Any]
Node = Callable[[Contexts], Any]

TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+))"
    r"|(?P<string>'(?:[^']|'')*')|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<sign>&&|\|\||[=!<>]=|[!<>()\[\].,*]))"
)
OPENING = "${{"
EXPRESSION = re.compile(r"\$\{\{((?:[^'}]|\}(?!\})|'(?:[^']|'')*')*)\}\}")
LITERALS = {"true": True, "false": False, "null": None, "nan": math.nan, "infinity": math.inf}
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, two: one < two,
    "<=": lambda one, two: one <= two,
    ">": lambda one, two: one > two,
    ">=": lambda one, two: one >= two,
}


def evaluate(expression: str, contexts: Contexts) -> Any:
    """An expression's value; `contexts` are the names that it may use. Raises ExpressionError."""
    return _Parser(expression).whole()(contexts)


def value(given: Any, contexts: Contexts) -> Any:
    """A YAML value with its expressions evaluated; of one expression alone, its very value."""
    if not isinstance(given, str):
        return given
    alone = EXPRESSION.fullmatch(given.strip())
    return evaluate(alone[1], contexts) if alone else filled(given, contexts)


def filled(given: str, contexts: Contexts) -> str:
    """Text with each expression in it replaced by its value. Raises ExpressionError."""
    done = EXPRESSION.sub(lambda found: text(evaluate(found[1], contexts)), given)
    if OPENING in EXPRESSION.sub("", given):
        raise ExpressionError(f"the expression is not closed: {given}")
    return done


class _Parser:
    """Reads one expression into a function of the contexts."""

    def __init__(self, source: str) -> None:
        self.source, self.tokens, at = source, list[tuple[str, str]](), 0
        while source[at:].strip():
            found = TOKEN.match(source, at)
            if found is None:
                raise ExpressionError(f"Unexpected symbol: '{source[at:].strip()}' in: {source.strip()}")
            self.tokens.append((str(found.lastgroup), found[0].strip()))
            at = found.end()
        self.tokens.reverse()

    def whole(self) -> Node:
        node = self._either()
        if self.tokens:
            raise self._wrong()
        return node

    def _wrong(self) -> ExpressionError:
        found = f"Unexpected symbol: '{self.tokens[-1][1]}'" if self.tokens else "Unexpected end"
        return ExpressionError(f"{found} in: {self.source.strip()}")

    def _take(self, *signs: str) -> str:
        if self.tokens and self.tokens[-1][0] == "sign" and self.tokens[-1][1] in signs:
            return self.tokens.pop()[1]
        return ""

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise self._wrong()

    def _either(self) -> Node:
        node = self._both()
        while self._take("||"):
            node = _or(node, self._both())
        return node

    def _both(self) -> Node:
        node = self._equality()
        while self._take("&&"):
            node = _and(node, self._equality())
        return node

    def _equality(self) -> Node:
        node = self._order()
        while sign := self._take("==", "!="):
            node = _equals(node, self._order(), sign == "==")
        return node

    def _order(self) -> Node:
        node = self._unary()
        while sign := self._take(*ORDERS):
            node = _compare(node, self._unary(), ORDERS[sign])
        return node

    def _unary(self) -> Node:
        if self._take("!"):
            inner = self._unary()
            return lambda contexts: not truth(inner(contexts))
        return self._followed(self._primary())

    def _followed(self, node: Node) -> Node:
        while sign := self._take(".", "["):
            node = _member(node, self._key() if sign == "." else self._index())
        return node

    def _key(self) -> Node:
        if self._take("*"):
            return lambda _: ALL
        kind, name = self.tokens.pop() if self.tokens else ("", "")
        if kind != "name":
            raise self._wrong()
        return lambda _: name

    def _index(self) -> Node:
        inner: Node = (lambda _: ALL) if self._take("*") else self._either()
        self._need("]")
        return inner

    def _primary(self) -> Node:
        if self._take("("):
            inner = self._either()
            self._need(")")
            return inner
        kind, token = self.tokens.pop() if self.tokens else ("", "")
        if kind == "name":
            return self._call(token) if self._take("(") else _named(token)
        if kind not in ("number", "string"):
            raise ExpressionError(f"Unexpected symbol: '{token}' in: {self.source.strip()}")
        constant = number(token) if kind == "number" else token[1:-1].replace("''", "'")
        return lambda _: constant

    def _call(self, name: str) -> Node:
        function = FUNCTIONS.get(name.lower())
        if function is None:
            raise ExpressionError(f"Unrecognized function: '{name}'")
        arguments: list[Node] = []
        while not self._take(")"):
            if arguments:
                self._need(",")
            arguments.append(self._either())
        return lambda contexts: _applied(name, function, [one(contexts) for one in arguments])


ALL = object()  # the `*` of github.event.commits.*.id


def _applied(name: str, function: Callable[..., Any], arguments: list[Any]) -> Any:
    try:
        return function(*arguments)
    except TypeError:
        raise ExpressionError(f"{name} does not take {len(arguments)} arguments") from None
    except json.JSONDecodeError as error:
        raise ExpressionError(f"{name}: {error}") from None


def _named(name: str) -> Node:
    if name.lower() in LITERALS:
        return lambda _: LITERALS[name.lower()]

    def find(contexts: Contexts) -> Any:
        if name.lower() not in contexts:
            raise ExpressionError(f"Unrecognized named-value: '{name}'")
        return contexts[name.lower()]

    return find


def _or(one: Node, two: Node) -> Node:
    return lambda contexts: found if truth(found := one(contexts)) else two(contexts)


def _and(one: Node, two: Node) -> Node:
    return lambda contexts: two(contexts) if truth(found := one(contexts)) else found


def _equals(one: Node, two: Node, wanted: bool) -> Node:
    return lambda contexts: equal(one(contexts), two(contexts)) is wanted


def _compare(one: Node, two: Node, order: Callable[[Any, Any], bool]) -> Node:
    def compare(contexts: Contexts) -> bool:
        left, right = one(contexts), two(contexts)
        if isinstance(left, str) and isinstance(right, str):
            return order(left.lower(), right.lower())
        return order(number(left), number(right))

    return compare


def _member(node: Node, key: Node) -> Node:
    return lambda contexts: _get(node(contexts), key(contexts))


class _Many(list[Any]):
    """What `*` found: the next name is asked of each."""


def _get(holder: Any, key: Any) -> Any:
    if isinstance(holder, _Many):
        found = [_get(one, key) for one in holder]
        if key is ALL:
            return _Many(inner for one in found for inner in one)
        return _Many(one for one in found if one is not None)
    if key is ALL:
        inside = holder.values() if isinstance(holder, Mapping) else holder
        return _Many(inside if isinstance(holder, Mapping | list) else [])
    if isinstance(holder, Mapping):
        wanted = text(key).lower()
        return next((held for name, held in holder.items() if str(name).lower() == wanted), None)
    place = number(key)
    if isinstance(holder, list) and 0 <= place < len(holder):
        return holder[int(place)]
    return None
