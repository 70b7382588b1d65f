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


def overridden(assignments: str) -> config.FlowConfig:
    return config.load("recommender", assignments=assignments)


def test_assignments_change_one_run() -> None:
    found = overridden("train.factors=16 gate.floor=0.1 data.days=30 preprocess.holdout_days=7")
    assert (found.train.options["factors"], found.gate.floor) == (16, 0.1)
    assert (found.data.days, found.preprocess["holdout_days"]) == (30, 7)
    unchanged = config.load("recommender")
    assert found.train.options == {**unchanged.train.options, "factors": 16}
    assert (found.schedule, found.serving) == (unchanged.schedule, unchanged.serving)


@pytest.mark.parametrize(
    "assignments", ["train.svd.factors=16", "train.factors=16", " train.factors=16\n"]
)
def test_an_algorithm_s_key_may_stand_in_train(assignments: str) -> None:
    assert overridden(assignments).train.options["factors"] == 16


@pytest.mark.parametrize("assignments", ["train.algorithm=popularity", 'train.algorithm="popularity"'])
def test_a_plain_word_is_a_text(assignments: str) -> None:
    found = overridden(assignments)
    assert (found.train.algorithm, found.train.options) == ("popularity", {})


def test_a_machine_is_overridden_for_one_step() -> None:
    found = overridden('resources.train.memory="16G"')
    assert (found.machine("train").memory, found.machine("evaluate").memory) == ("16G", "8G")


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        ("train.factors", "'train.factors' is no assignment"),
        ("train.factors= 16", "'train.factors=' is no assignment"),
        ("--again", "'--again' is no assignment"),
        ("schedule=x", "'schedule' is not a run's; known tables: data"),
        ("tran.factors=1", "'tran' is not a run's; nearest known table: train"),
        ("serving.ladder=[100]", "'serving' is not a run's"),
        ("gate=1", "'gate' is not a run's"),
        ("train.factors=1 train.factors=2", "Cannot overwrite a value"),
        ("train.factor=16", r"unknown key 'factor' at \[svd\]; nearest known key: factors"),
        ("train.factors=many", "Expected `int`, got `str`"),
        ("train.seed=-1", r"Expected `int` >= 0 - at `seed`"),
        ("train.seed=4294967296", r"Expected `int` <= 4294967295 - at `seed`"),
        ("train.algorithm=svm", r"\[train\] algorithm = 'svm' is not one of this flow's"),
        ("gate.metric=ndcg@11", "metric = 'ndcg@11' is not one of this flow's"),
        ("resources.train.retries=11", r"Expected `int` <= 10 - at `resources.*retries`"),
        ("gate.goal=most", "Invalid enum value 'most'"),
    ],
)
def test_wrong_assignments_are_refused_as_flow_toml_is(assignments: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        overridden(assignments)
