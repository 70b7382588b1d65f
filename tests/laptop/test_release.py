"""What `run --release` says of what serves: the challenger's next step, and how it is undone."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from delivery import releases
from laptop.release import _asked, following, undoing
from tests.delivery import evidence
from tests.delivery.evidence import CHAMPION, OLD, VERSION


def released(champion: str, challenger: str = "", share: int = 0) -> releases.Release:
    alone = releases.alone(evidence.model(evidence.manifest(champion)))
    if not challenger:
        return alone
    return releases.propose(alone, evidence.model(evidence.manifest(challenger)), share)


def test_the_challenger_s_next_step_is_the_ladder_s() -> None:
    both = released(CHAMPION, VERSION, 50)
    other = "./scripts/ab recommender SHARE gives it any other share"
    assert following("recommender", both, (10, 50, 90, 100)) == (
        f"./scripts/promote recommender gives the challenger 90 % · {other}"
    )
    assert following("recommender", both, (50, 100)) == (
        f"./scripts/promote recommender makes the challenger champion, alone · {other}"
    )


def test_a_first_release_is_undone_by_a_revert_and_prune() -> None:
    first = released(OLD)
    assert undoing("recommender", first, [first]) == (
        "revert the merge, then ./scripts/deploy recommender --environment local --prune"
    )


def test_what_has_something_before_it_is_rolled_back() -> None:
    back = "./scripts/rollback recommender, or revert the merge"
    assert undoing("recommender", released(CHAMPION), [released(CHAMPION), released(OLD)]) == back
    assert undoing("recommender", released(OLD, VERSION, 10), []) == back


def test_a_sample_without_an_example_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "flows.linnerud.sample", SimpleNamespace(INSTANCES=[]))
    environment: Any = None
    assert _asked(environment, "endpoints/one", "linnerud") is None
    assert "has no INSTANCES" in capsys.readouterr().err
