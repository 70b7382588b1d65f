"""The filter language of Google's list calls (AIP-160): parsed, checked against a message, applied."""

import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor

from localcloud.errors import ApiError
from localcloud.values import Resolver, compare, contains, text_of

TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign><=|>=|!=|=|<|>|:)"""
    r"""|(?P<mark>[()])|(?P<minus>-(?=[\w(\"']))|(?P<word>[^\s()<>=!:"']+))"""
)
Test = Callable[[Any], bool]
Token = tuple[str, str]


def matcher(text: str, descriptor: Descriptor, resolver: Resolver) -> Test:
    """Whether a message passes a filter. Raises INVALID_ARGUMENT where it is none for such messages."""
    parser = _Parser(_tokens(text), descriptor, resolver)
    return parser.whole(text) if text.strip() else lambda _: True


def _tokens(text: str) -> list[Token]:
    found, at = list[Token](), 0
    while text[at:].strip():
        token = TOKEN.match(text, at)
        if token is None or token.lastgroup is None:
            raise _invalid(f"it cannot be read from '{text[at:].strip()}' on")
        found.append((token.lastgroup, token[token.lastgroup]))
        at = token.end()
    return found


def _invalid(why: str) -> ApiError:
    return ApiError("INVALID_ARGUMENT", f"Invalid filter: {why}.")


class _Parser:
    """Recursive descent, one function for each rule of the grammar; OR binds closer than AND."""

    def __init__(self, tokens: list[Token], descriptor: Descriptor, resolver: Resolver) -> None:
        self.tokens, self.descriptor, self.resolver = tokens, descriptor, resolver

    def whole(self, text: str) -> Test:
        test = self.expression()
        if self.tokens:
            raise _invalid(f"'{self.tokens[0][1]}' is not expected in '{text}'")
        return test

    def expression(self) -> Test:
        """Factors, joined by AND or by nothing."""
        tests = [self.factor()]
        while self.tokens and not self._next("mark", ")"):
            self._take("word", "AND")
            tests.append(self.factor())
        return lambda one: all(test(one) for test in tests)

    def factor(self) -> Test:
        """Terms, joined by OR."""
        tests = [self.term()]
        while self._take("word", "OR"):
            tests.append(self.term())
        return lambda one: any(test(one) for test in tests)

    def term(self) -> Test:
        """A restriction or a group, perhaps turned round by NOT or a minus."""
        if self._take("word", "NOT") or self._take("minus", "-"):
            test = self.term()
            return lambda one: not test(one)
        if self._take("mark", "("):
            test = self.expression()
            if not self._take("mark", ")"):
                raise _invalid("a parenthesis is not closed")
            return test
        return self.restriction()

    def restriction(self) -> Test:
        """A field compared with a value; a value alone is sought everywhere in the message."""
        kind, left = self._value()
        if not self.tokens or self.tokens[0][0] != "sign":
            return lambda one: contains(text_of(one), left)
        if kind == "quoted":
            raise _invalid(f"'{left}' is no field")
        sign = self.tokens.pop(0)[1]
        return self._comparison(left, sign, self._value()[1])

    def _comparison(self, name: str, sign: str, wanted: str) -> Test:
        read = self.resolver.reader(self.descriptor, name)
        if read is None:
            raise _invalid(f"'{name}' is not a field of {self.descriptor.name}")
        return lambda one: compare(read(one), sign, wanted)

    def _value(self) -> Token:
        if not self.tokens or self.tokens[0][0] not in ("word", "quoted", "minus"):
            raise _invalid(
                f"a value is expected before '{self.tokens[0][1] if self.tokens else 'the end'}'"
            )
        kind, text = self.tokens.pop(0)
        if kind == "minus":
            return "word", f"-{self._value()[1]}"
        return kind, re.sub(r"\\(.)", r"\1", text[1:-1]) if kind == "quoted" else text

    def _next(self, kind: str, text: str) -> bool:
        return bool(self.tokens) and self.tokens[0] == (kind, text)

    def _take(self, kind: str, text: str) -> bool:
        found = self._next(kind, text)
        if found:
            self.tokens.pop(0)
        return found
