"""flow.toml and what the flow's config.py says of it."""

import pytest

from flows import config
from flows.errors import InputError


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"ndcg@5": "", "mae": ""}, r"metric = 'ndcg@10' is not one of .*; nearest known one: ndcg@5"),
        ({"mae": "", "rmse": ""}, r"flow\.toml: \[gate\] metric .*; known ones: mae, rmse"),
        ({}, r"recommender/config\.py: METRICS is missing"),
    ],
)
def test_a_metric_that_the_flow_does_not_measure_is_refused(
    monkeypatch: pytest.MonkeyPatch, metrics: dict[str, str], said: str
) -> None:
    monkeypatch.setattr("flows.recommender.config.METRICS", metrics)
    with pytest.raises(InputError, match=said):
        config.load("recommender")
