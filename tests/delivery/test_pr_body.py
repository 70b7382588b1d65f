"""The release pull request's body: what people read, and the line that programs read."""

import json
from pathlib import Path
from typing import Any

import pytest

from delivery import markdown
from delivery.candidate import candidate_of, line
from delivery.pr_body import body, title
from flows.errors import InputError
from flows.manifest import Verdict
from tests.delivery.evidence import CHAMPION, GATE, VERSION, candidate, evidence, manifest, verdict

GOLDEN = Path(__file__).parent / "golden" / "pull_request.md"


def test_the_body_is_as_reviewed() -> None:
    # To change it on purpose: write `body(evidence())` to the file, and read the difference.
    assert body(evidence()) == GOLDEN.read_text()


def test_the_title_says_what_where() -> None:
    assert title(candidate()) == f"Release recommender {VERSION} to local"


FIRST: dict[str, Any] = {
    "verdict": Verdict(passed=True, reasons=("it keeps to the floor", "first release")),
    "metrics": {"ndcg@10": 0.0508, "ndcg@10_low": 0.0481, "ndcg@10_high": 0.0536},
}


def test_the_first_release_has_no_champion() -> None:
    text = body(evidence(manifest(**FIRST), with_champion=False))
    assert "it is the first one there" in text
    assert "| metric | candidate |\n" in text
    assert "| `ndcg@10` | 0.0508 [0.0481, 0.0536] |\n" in text
    assert "| verdict | **passed** |\n" in text
    assert 'x-axis ["floor", "candidate"]' in text
    prune = "./scripts/deploy recommender --environment local --prune"
    assert f"revert it. It goes on serving until somebody runs `{prune}`." in text
    assert CHAMPION not in text
    assert "by now" not in text


def test_both_columns_are_of_the_same_holdout() -> None:
    text = body(evidence())
    row = (
        "| `ndcg@10` | 0.0508 [0.0481, 0.0536] | 0.0409 [0.0385, 0.0432] | +0.0099 [+0.0075, +0.0123] |"
    )
    assert row in text
    assert "| `coverage@10` | 0.25 | 0.003 | +0.247 |" in text
    assert "same 2,469 units" in text
    assert "| may be worse by | 0.000818, 2 % of the champion's |" in text
    assert "bar [0.03, 0.0409, 0.0508]" in text


@pytest.mark.parametrize(
    ("changed", "gate", "shown"),
    [
        ({"decision": "undecided"}, {}, "undecided, and `on_undecided` is `pass`"),
        ({"margin": None}, {}, "nothing: a relative margin does not fit"),
        ({}, {"margin_kind": "absolute"}, "| may be worse by | 0.000818 |"),
        ({"low": None, "high": None, "difference": -0.01}, {}, "| difference in `ndcg@10` | -0.01 |"),
    ],
)
def test_what_the_gate_said_is_in_the_table(
    changed: dict[str, object], gate: dict[str, str], shown: str
) -> None:
    config = {"gate": {**GATE, "on_undecided": "pass", **gate}}
    assert shown in body(evidence(manifest(verdict=verdict(**changed), config=config)))


def test_the_gates_metric_stands_first() -> None:
    text = body(evidence())
    assert text.index("| `ndcg@10` |") < text.index("| `coverage@10` |")


def test_a_champion_that_could_not_be_compared_shows_its_own_numbers() -> None:
    said = Verdict(passed=True, reasons=("not comparable",), champion=CHAMPION)
    config = {"gate": {**GATE, "on_incomparable": "pass"}}
    own = {"ndcg@10": 0.0508}
    text = body(evidence(manifest(verdict=said, config=config, metrics=own)))
    assert "| `ndcg@10` | 0.0508 | 0.0405 | +0.0103 |" in text
    assert "from its own holdout" in text
    assert "**passed**: not comparable, and `on_incomparable` is `pass`" in text


def test_a_champion_that_came_since_is_named() -> None:
    assert f"**The champion is `{CHAMPION}` by now" in body(evidence(manifest(**FIRST)))
    assert "**There is no champion by now" in body(evidence(with_champion=False))


def test_the_last_line_is_for_programs() -> None:
    last = body(evidence()).splitlines()[-1]
    assert last == line(candidate())
    table = json.loads(last.removeprefix("<!-- retrain ").removesuffix(" -->"))
    assert list(table) == ["schema", "flow", "environment", "version", "manifest", "sha256"]
    assert candidate_of(body(evidence())) == candidate()
    assert candidate_of(body(evidence()).replace("\n", "\r\n") + "\r\n") == candidate()


@pytest.mark.parametrize("text", [None, "", "Thanks!", line(candidate()) + "\nand more"])
def test_a_body_without_the_line_has_no_candidate(text: str | None) -> None:
    assert candidate_of(text) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"schema":1', '"schema":2', "schema"),
        ('"flow"', '"flw"', "nearest known key: flow"),
        (" -->", "", "broken"),
        ("{", "[", "broken"),
        ('"local"', "1", "environment"),
        ('"flow":"recommender",', "", "flow"),
    ],
)
def test_a_broken_line_is_refused(old: str, new: str, said: str) -> None:
    assert old in line(candidate())
    with pytest.raises(InputError, match=said):
        candidate_of(line(candidate()).replace(old, new, 1))


def test_text_from_outside_cannot_act() -> None:
    nasty = (
        "a | b\n\n| c | <img src=x> --> <!-- retrain {} --> **bold** [link](https://evil.example)"
        " `code` @acme/admins #1 \x1b[31m"
    )
    said = Verdict(passed=True, reasons=(nasty,), champion="x`|@admins")
    data = {"rows | x": nasty, "users": 2469, "share": 0.25, "none": None}
    text = body(evidence(manifest(verdict=said, data=data, metrics={"a|`b": 1.0, "loss": None})))
    assert text.count("<!--") == 1
    assert "<img" not in text
    assert "\x1b" not in text
    assert "@acme" not in text
    assert "**bold**" not in text
    assert "[link](" not in text
    assert candidate_of(text) is not None
    tables = [row for row in text.splitlines() if row.startswith("|")]
    assert all(row.replace("\\|", "").count("|") in (3, 5) for row in tables)
    assert "| `users` | 2,469 |" in text


def test_long_text_is_cut_and_long_lists_too() -> None:
    said = Verdict(passed=True, reasons=("x" * 70_000,) * 100)
    metrics: dict[str, float | None] = {f"m{i}": 0.5 for i in range(1000)}
    text = body(
        evidence(manifest(verdict=said, metrics=metrics, data=dict.fromkeys(metrics, "y" * 999)))
    )
    assert len(text) < 65_536


def test_without_two_bars_there_is_no_plot() -> None:
    plain = manifest(config={"gate": {"metric": "ndcg@10"}})
    assert "```mermaid" in body(evidence(plain))
    alone = manifest(**FIRST, config={"gate": {"metric": "ndcg@10"}})
    assert "```mermaid" not in body(evidence(alone, with_champion=False))
    assert "```mermaid" not in body(evidence(manifest(config={})))
    assert "```mermaid" not in body(evidence(manifest(config={"gate": "?"})))


def test_bars_begin_at_zero_or_below_the_least() -> None:
    assert "y-axis 0 --> 0.55" in markdown.bars("m", {"a": 0.5, "b": 0.25})
    assert "y-axis -1.1 --> 0.1" in markdown.bars("m", {"a": -1.0, "b": 0.0})
    assert 'title "a?b"' in markdown.bars('a"b', {"x": 1.0})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.05083, "0.05083"),
        (0.123456, "0.1235"),
        (1469307, "1,469,307"),
        (3.0, "3"),
        (12345.6, "12,346"),
    ],
)
def test_numbers_are_readable(value: float | None, shown: str) -> None:
    assert markdown.number(value) == shown


def test_how_training_went_is_told_by_turns() -> None:
    series = {"loss": (2.0, 1.0, 0.5), "a`b": tuple(float(n) for n in range(250)), "once": (1.0,)}
    text = body(evidence(manifest(series=series)))
    assert "| `loss` | 2 | 0.5 | 2 | 0.5 |" in text
    assert "x-axis 1 --> 3\n    line [2, 1, 0.5]" in text
    assert "`once`" not in text
    (many,) = [row for row in text.splitlines() if row.startswith("    line [0, 3, 6")]
    assert many.count(",") < 100
    assert "### Training" not in body(evidence(manifest()))
