"""Expressions in CEL: their values, and what is refused before it is needed."""

from typing import Any

import pytest

from localcloud import cel

NAMES = {
    "assertion": {"sub": "repo:acme/models:ref:refs/heads/main", "number": 3, "google": "claim"},
    "google": {"subject": "me", "groups": ["admins"]},
    "attribute": {"a": "b"},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("assertion.sub.extract('repo:{name}:ref')", "acme/models"),
        ("assertion.sub.extract('{owner}/')", "repo:acme"),
        ("assertion.sub.extract('heads/{branch}')", "main"),
        ("assertion.sub.extract('tags/{tag}')", ""),
        ("assertion.sub.extract('repo:{name}?')", ""),
        ("assertion.sub.split(':')[1]", "acme/models"),
        ("google.subject + '/' + string(assertion.number)", "me/3"),
        ("'google.subject'", "google.subject"),
        ("assertion.google", "claim"),
    ],
)
def test_expressions_have_values(text: str, value: str) -> None:
    cel.check(text)
    assert str(cel.evaluate(text, NAMES)) == value


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("'admins' in google.groups && attribute.a == 'b'", True),
        ("['a', 'b'].exists(one, one == attribute.a)", True),
        ("has(assertion.email)", False),
        ("assertion.email == 'a'", False),
        ("assertion.email == 'a' || true", True),
        ("assertion.number", False),
        ("unknown", False),
    ],
)
def test_conditions_hold_only_where_they_are_true(text: str, holds: bool) -> None:
    cel.check(text)
    assert cel.holds(text, NAMES) is holds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("assertion.sub ==", "it cannot be read"),
        ("assertion.sub.lower()", r"does not serve the function lower\(\)"),
        ("lookup('a')", r"does not serve the function lookup\(\)"),
        ("'" + "a" * cel.LENGTH + "'", "more than 4096 characters"),
    ],
)
def test_what_can_never_be_evaluated_is_refused(text: Any, words: str) -> None:
    with pytest.raises(cel.CelError, match=words):
        cel.check(text)
