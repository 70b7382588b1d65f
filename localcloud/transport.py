"""What belongs to every Google REST call and to no method: alt, fields, prettyPrint."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from localcloud.errors import ApiError, bad_request
from localcloud.http import Request, Response

# Parameters of the front end, with or without a "$" before them.
COMMON = {
    *("access_token", "alt", "callback", "fields", "httpMethod", "key", "oauth_token", "prettyPrint"),
    *("quotaUser", "uploadType", "uploadProtocol", "upload_protocol", "upload_id", "userIp", ".xgafv"),
}
TOKEN = re.compile(r"[()/,]|[^()/,]+")

Mask = dict[str, Any]
Child = Callable[[Any, str], Any]


def own_fields(request: Request) -> dict[str, list[str]]:
    """The method's own fields of a query, each with all its values."""
    names = (name for name in request.query if name.removeprefix("$") not in COMMON)
    return {name: request.query.all(name) for name in names}


def parameter(request: Request, name: str) -> str:
    """One of the front end's parameters."""
    return request.query.get(name) or request.query.get(f"${name}", "")


def wants_numbers(request: Request) -> bool:
    """Whether enums are asked for as numbers: `$alt=json;enum-encoding=int`."""
    return "enum-encoding=int" in parameter(request, "alt")


def check_alt(request: Request, served: tuple[str, ...] = ("json",)) -> None:
    """Raises INVALID_ARGUMENT where another form of answer is asked for than is served."""
    asked = parameter(request, "alt")
    if asked.partition(";")[0] not in ("", *served):
        raise bad_request(
            [("alt", f"Invalid value at 'alt': \"{asked}\" is not one of {', '.join(served)}.")]
        )


def shaped(request: Request, response: Response, node: Any, child: Child) -> Response:
    """The answer with the fields that `fields` selects, printed as asked; `child` knows what is there.

    `child(node, name)` gives what stands below a field of the answer's type, or None.
    """
    if isinstance(response.body, bytes) or response.status >= 300:
        return response
    body = response.body
    text = parameter(request, "fields") or request.headers.get("x-goog-fieldmask", "")
    if text:
        mask = parse_mask(text)
        _check(mask, node, child)
        body = select(mask, body)
    pretty = parameter(request, "prettyPrint").lower() not in ("false", "0")
    return replace(response, body=body, pretty=pretty)


def parse_mask(text: str) -> Mask:
    """A mask such as `items(id,name),next` or `a/b` as a tree; an empty tree is the whole field."""
    tokens = TOKEN.findall(text.replace(" ", ""))
    tree, rest = _fields(tokens)
    if rest:
        raise _invalid(text)
    return tree


def _fields(tokens: list[str]) -> tuple[Mask, list[str]]:
    tree: Mask = {}
    while tokens and tokens[0] != ")":
        tokens = _field(tree, tokens)
        if tokens and tokens[0] == ",":
            tokens = tokens[1:]
    return tree, tokens


def _field(tree: Mask, tokens: list[str]) -> list[str]:
    """Read one name and what stands below it into the tree; the tokens that are left."""
    name, rest = tokens[0], tokens[1:]
    if name in "(/,":
        raise _invalid(name)
    below: Mask = tree.setdefault(name, {})
    if rest[:1] == ["/"] and rest[1:]:
        return _field(below, rest[1:])
    if rest[:1] == ["("]:
        inner, rest = _fields(rest[1:])
        if rest[:1] != [")"]:
            raise _invalid(name)
        below.update(inner)
        return rest[1:]
    return rest


def select(mask: Mask, value: Any) -> Any:
    """What a mask leaves of a JSON value; lists are passed through."""
    if isinstance(value, list):
        return [select(mask, one) for one in value]
    if not mask or not isinstance(value, dict):
        return value
    if "*" in mask:
        return {key: select(mask["*"], one) for key, one in value.items()}
    return {key: select(mask[key], one) for key, one in value.items() if key in mask}


def _check(mask: Mask, node: Any, child: Child) -> None:
    for name, below in mask.items():
        found = node if name == "*" else child(node, name)
        if found is None:
            raise _invalid(name)
        if name != "*":
            _check(below, found, child)


def _invalid(name: str) -> ApiError:
    words = f"Invalid field selection {name}"
    return ApiError("INVALID_ARGUMENT", words, reason="invalidParameter")
