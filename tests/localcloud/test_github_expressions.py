"""GitHub's expressions and filter patterns, each as GitHub's own documentation has them."""

from typing import Any

import pytest

from localcloud.github.expression_values import ExpressionError
from localcloud.github.expressions import evaluate, filled, value
from localcloud.github.patterns import selected

CONTEXTS: dict[str, Any] = {
    "github": {
        "ref": "refs/heads/main",
        "workflow": "CI",
        "event_name": "push",
        "event": {
            "number": 7,
            "commits": [{"id": "a", "labels": [{"name": "x"}]}, {"id": "b", "labels": []}],
            "pull_request": None,
        },
    },
    "inputs": {"flow-name": "svd", "again": False, "size": 3},
    "vars": {},
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("github.ref", "refs/heads/main"),
        ("GITHUB.Event_Name", "push"),
        ("github['workflow']", "CI"),
        ("inputs.flow-name", "svd"),
        ("inputs.none.deeper", None),
        ("vars.ANY", None),
        ("github.event.pull_request.number || github.ref", "refs/heads/main"),
        ("github.event.number", 7),
        ("github.event.commits[1].id", "b"),
        ("github.event.commits[2].id", None),
        ("github.event.commits.*.id", ["a", "b"]),
        ("github.event.commits.*.labels.*.name", ["x"]),
        ("github.event_name == 'PUSH' && 'yes' || 'no'", "yes"),
        ("inputs.again && 'yes' || 'no'", "no"),
        ("!inputs.again", True),
        ("!(true && false) != false", True),
        ("inputs.size >= 3 && inputs.size < 4", True),
        ("'b' > 'A'", True),
        ("null == 0", True),
        ("'' == 0 && '0x10' == 16", True),
        ("'x' == 0", False),
        ("1e2 == 100 && -1.5 < .5", True),
        ("'it''s'", "it's"),
        ("contains('Hello', 'ELL')", True),
        ('contains(fromJSON(\'["push", "schedule"]\'), github.event_name)', True),
        ("startsWith(github.ref, 'refs/heads/')", True),
        ("endsWith(github.ref, '/dev')", False),
        ("format('{0}-{{{1}}}-{0}', 'a', inputs.size)", "a-{3}-a"),
        ("join(github.event.commits.*.id, '+')", "a+b"),
        ("join('alone')", "alone"),
        ("toJSON(inputs.again)", "false"),
        ("fromJSON('{\"a\": [1]}').a[0]", 1),
        ("false && fromJSON('no JSON')", False),
    ],
)
def test_expressions(expression: str, expected: object) -> None:
    assert evaluate(expression, CONTEXTS) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("secrets.KEY", "Unrecognized named-value: 'secrets'"),
        ("now()", "Unrecognized function: 'now'"),
        ("github.ref ==", "Unexpected"),
        ("github.ref = 'x'", "Unexpected symbol"),
        ("(github.ref", "Unexpected end"),
        ("github.ref github.sha", "Unexpected symbol: 'github'"),
        ("contains('a')", "contains does not take 1 arguments"),
        ("format('{1}', 'a')", "format has no argument 1"),
        ("fromJSON('{')", "fromJSON"),
        ("", "Unexpected"),
    ],
)
def test_wrong_expressions(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        evaluate(expression, CONTEXTS)
    assert message in str(error.value)


def test_text_with_expressions() -> None:
    assert filled("ci-${{ github.ref }}-${{inputs.size}}", CONTEXTS) == "ci-refs/heads/main-3"
    assert filled("${{ inputs.again }}/${{ github.event.pull_request }}", CONTEXTS) == "false/"
    assert filled("${{ '}}' }} $ {{ }}", CONTEXTS) == "}} $ {{ }}"
    assert value(" ${{ inputs.again }} ", CONTEXTS) is False
    assert value(True, CONTEXTS) is True
    with pytest.raises(ExpressionError, match="is not closed"):
        filled("ci-${{ github.ref", CONTEXTS)


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("main", ["main"], ["main2", "a/main"]),
        ("*", ["main"], ["releases/1"]),
        ("**", ["main", "releases/1"], []),
        ("*feature", ["mona-feature", "feature"], ["a/feature", "features"]),
        ("releases/**", ["releases/10", "releases/beta/2"], ["release/1", "releases"]),
        ("v[12].[0-9]+.[0-9]+", ["v1.10.1", "v2.0.0"], ["v3.0.0", "v1.x.0"]),
        ("*.jsx?", ["page.js", "page.jsx"], ["page.ts", "a/page.js"]),
        ("**.js", ["index.js", "js/index.js"], ["index.jsx"]),
        ("docs/*", ["docs/a.md"], ["docs/a/b.md"]),
        ("docs/**/*.md", ["docs/a.md", "docs/a/b.md"], ["docs.md", "docs/a.txt"]),
        ("**/docs/**", ["docs/a.md", "x/docs/a/b.txt"], ["xdocs/a.md", "docs"]),
        ("**/*src/**", ["a/src/app.js", "my-src/code/app.js"], ["srcs/app.js"]),
        ("**/README.md", ["README.md", "js/README.md"], ["MYREADME.md"]),
        ("**/*-post.md", ["my-post.md", "path/their-post.md"], ["post.md"]),
        ("a\\*b", ["a*b"], ["axb"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_patterns(pattern: str, taken: list[str], left: list[str]) -> None:
    assert [name for name in [*taken, *left] if selected([pattern], name)] == taken


def test_the_last_pattern_that_fits_decides() -> None:
    patterns = ["sub-project/**", "!sub-project/docs/**", "sub-project/docs/keep.md"]
    names = ["sub-project/a", "sub-project/docs/a", "sub-project/docs/keep.md", "other"]
    assert [name for name in names if selected(patterns, name)] == [names[0], names[2]]
    assert not selected(["!docs/**"], "other")
