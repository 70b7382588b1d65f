"""flow.toml and what the flow's config.py says of it."""

from typing import Any

import pytest

from flows import config
from flows.errors import InputError
from flows.tables import Table, load_toml

WHERE = config.FLOWS / "recommender" / "flow.toml"  # a folder with a query


class Own(Table):
    """The options of a flow with one algorithm."""

    class Preprocess(Table):
        shops: tuple[str, ...] = ("north", "south")

    class Train(Table):
        class Plain(Table):
            layers: tuple[int, ...] = (5, 6)

        plain: Plain = Plain()

    preprocess: Preprocess = Preprocess()
    train: Train = Train()


def parsed(**preprocess: Any) -> config.FlowConfig:
    raw = load_toml(WHERE) | {"train": {"algorithm": "plain"}, "preprocess": preprocess}
    return config.parse("shops", raw, Own, WHERE)


def test_options_are_as_json_has_them() -> None:
    found = parsed(shops=["east"])
    assert (found.preprocess, found.train.options) == ({"shops": ["east"]}, {"layers": [5, 6]})


def test_a_text_in_a_list_may_not_break_the_json_around_it() -> None:
    with pytest.raises(InputError, match="shops = 'the \"east\"' holds a quote"):
        parsed(shops=["west", 'the "east"'])


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
