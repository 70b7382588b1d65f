from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows import arrays
from flows.config import Gate, Train, load
from flows.contract import Saved
from flows.errors import InputError
from flows.recommender import flow, metrics, purchases, sample, split
from flows.recommender.asked import Asked, Filters
from flows.recommender.config import METRICS, Popularity, Preprocess, Svd
from flows.recommender.ranking import top
from flows.recommender.svd import fit

UNTIL = datetime(2018, 1, 1, tzinfo=UTC)
FACTS = {"until": "2018-01-01T00:00:00Z"}
DAY = timedelta(days=1)


def rows(texts: bool = False, size: int = 600) -> pa.Table:
    random = np.random.default_rng(0)
    user, item = random.integers(0, 20, size), random.integers(0, 30, size)
    names = [f"u{n}" for n in user] if texts else user
    return table(names, item, [UNTIL - DAY * (1 + int(n)) for n in random.integers(0, 200, size)])


def table(user: object, item: object, at: list[datetime]) -> pa.Table:
    return pa.table({"user": user, "item": item, "at": pa.array(at, pa.timestamp("us", "UTC"))})


def shards(folder: Path, data: pa.Table, order: int = 0) -> Path:
    folder.mkdir()
    mixed = data.take(pa.array(np.random.default_rng(order).permutation(len(data))))
    for name, part in {"a": mixed.slice(0, 0), "b": mixed.slice(0, 7), "c": mixed.slice(7)}.items():
        pq.write_table(part, folder / f"{name}.parquet")
    return folder


def prepared(root: Path, data: pa.Table, order: int = 0) -> tuple[Path, Path]:
    folders = root / f"training{order}", root / f"holdout{order}"
    for folder in folders:
        folder.mkdir()
    flow.preprocess(Preprocess(), shards(root / f"data{order}", data, order), FACTS, *folders)
    return folders


@pytest.mark.parametrize("texts", [False, True])
@pytest.mark.parametrize("algorithm", ["svd", "popularity"])
def test_from_rows_to_predictions(tmp_path: Path, texts: bool, algorithm: str) -> None:
    training, holdout = prepared(tmp_path, rows(texts))
    options = Svd(factors=4) if algorithm == "svd" else Popularity()
    made = flow.train(Train(algorithm=algorithm), options, training, tmp_path)
    saved = Saved(tmp_path, algorithm, made.format)
    found = flow.evaluate(Gate(metric="ndcg@10", floor=0.01), saved, holdout, None, tmp_path)
    assert found.verdict.passed
    low, mean, high = (found.metrics[f"ndcg@10{end}"] or 0.0 for end in ("_low", "", "_high"))
    assert 0 < low < mean < high
    assert 0 < (found.metrics["coverage@10"] or 0) <= 1
    scores = pq.read_table(tmp_path / "scores.parquet")
    assert scores.column_names == ["unit", *METRICS]
    assert scores["unit"].to_pylist() == split.read_holdout(holdout).users
    model = flow.load(tmp_path, algorithm, made.format)
    nobody = Asked[str, int](user="nobody", count=3)
    known, unknown = model.predict(["u1" if texts else 1, nobody])
    assert (len(known["items"]), len(unknown["items"])) == (10, 3)
    assert known["scores"] == sorted(known["scores"], reverse=True)


def test_the_same_rows_in_other_files_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for order in (1, 2):
        training, holdout = prepared(tmp_path, rows(), order)
        model = tmp_path / f"model{order}"
        model.mkdir()
        flow.train(Train(algorithm="svd"), Svd(factors=4), training, model)
        files = training / split.FILE, holdout / split.FILE, model / "model.safetensors"
        made.append([file.read_bytes() for file in files])
    assert made[0] == made[1]


def test_metrics_by_hand() -> None:
    truth = split.Holdout(np.array([0, 2, 3]), np.array([0, 3, 1], np.int32), [7, 8], [1, 2, 3, 4])
    hit = metrics.hits(np.array([[3, 2, -1], [0, 1, 2]]), truth)
    assert hit.tolist() == [[True, False, False], [False, True, False]]
    ideal = 1 + 1 / np.log2(3)
    assert metrics.ndcg(hit, truth) == pytest.approx([1 / ideal, 1 / np.log2(3)])
    assert metrics.recall(hit, truth) == pytest.approx([1 / 2, 1])
    assert metrics.coverage(np.array([[3, 2], [0, 2]]), 12) == 3 / 12


def trained(root: Path, training: Path, name: str, options: Svd | Popularity) -> Saved:
    folder = root / f"{name}-{options}"
    folder.mkdir()
    made = flow.train(Train(algorithm=name), options, training, folder)
    return Saved(folder, name, made.format, "v20261114-084500-0f1e2d3")


def test_hits_are_what_a_plain_search_finds() -> None:
    random = np.random.default_rng(3)
    bought = [np.sort(random.choice(50, size, replace=False)) for size in random.integers(1, 20, 40)]
    ends = np.cumsum([0, *map(len, bought)])
    truth = split.Holdout(
        ends, np.concatenate(bought).astype(np.int32), list(range(40)), list(range(50))
    )
    ranked = random.integers(-1, 50, (40, 10))
    expected = [np.isin(row, own).tolist() for row, own in zip(ranked, bought, strict=True)]
    assert metrics.hits(ranked, truth).tolist() == expected


def test_an_empty_holdout_is_refused(tmp_path: Path) -> None:
    training, _ = prepared(tmp_path, rows())
    model = trained(tmp_path, training, "svd", Svd(factors=4))
    empty: arrays.Arrays = {"ends": np.zeros(1, np.int64), "item": np.empty(0, np.int32)}
    arrays.save(tmp_path / split.FILE, empty | arrays.pack("users", []) | arrays.pack("items", []), {})
    with pytest.raises(InputError, match="the holdout is empty"):
        flow.evaluate(Gate(metric="ndcg@10"), model, tmp_path, None, tmp_path)


def test_a_champion_of_another_algorithm_is_compared(tmp_path: Path) -> None:
    training, holdout = prepared(tmp_path, rows(size=6000))
    model = trained(tmp_path, training, "svd", Svd(factors=4))
    champion = trained(tmp_path, training, "popularity", Popularity())
    found = flow.evaluate(Gate(metric="recall@10"), model, holdout, champion, tmp_path)
    alone = flow.evaluate(Gate(metric="recall@10"), champion, holdout, None, tmp_path)
    assert found.verdict.comparison is not None
    assert found.verdict.comparison.champion == alone.metrics["recall@10"]
    theirs = {k.removeprefix("champion_"): v for k, v in found.metrics.items() if "champion_" in k}
    assert theirs == alone.metrics


def test_a_filter_for_all_users_is_looked_up_once(tmp_path: Path) -> None:
    class Counted(dict[Any, int]):
        def get(self, key: Any, default: Any = None) -> Any:
            asked.append(key)
            return super().get(key, default)

    asked = list[Any]()
    training, _ = prepared(tmp_path, rows())
    saved = trained(tmp_path, training, "popularity", Popularity())
    model = flow.load(saved.folder, saved.algorithm, saved.format)
    model._places = Counted(model._places)
    unlike = [one["items"] for one in model.predict([1, 2, 3], Filters(exclude=model.items[:5]))]
    assert asked == model.items[:5]
    assert not {item for items in unlike for item in items} & set(asked)


def test_a_champion_without_an_array_is_not_comparable(tmp_path: Path) -> None:
    training, holdout = prepared(tmp_path, rows())
    model = trained(tmp_path, training, "svd", Svd(factors=4))
    champion = trained(tmp_path, training, "popularity", Popularity())
    loaded, facts = arrays.load(champion.folder / "model.safetensors")
    del loaded["item_factors"]
    arrays.save(champion.folder / "model.safetensors", loaded, facts)
    found = flow.evaluate(Gate(metric="ndcg@10"), model, holdout, champion, tmp_path)
    assert not found.verdict.passed
    assert "it has no array 'item_factors'" in found.verdict.reasons[0]


def test_what_only_the_holdout_has_is_counted(tmp_path: Path) -> None:
    old, new = UNTIL - 60 * DAY, UNTIL - DAY
    data = table([1, 2, 1, 9], [5, 6, 5, 8], [old, old, new, new])
    folder = shards(tmp_path / "data", data)
    _, facts = flow.preprocess(Preprocess(), folder, FACTS, tmp_path, tmp_path)
    assert (facts["unseen_users"], facts["unseen_items"], facts["holdout_users"]) == (1, 1, 2)


@pytest.mark.parametrize(("days", "side"), [(60, "holdout"), (1, "training set")])
def test_an_empty_side_is_refused(tmp_path: Path, days: int, side: str) -> None:
    data = table([1, 2], [5, 6], [UNTIL - days * DAY] * 2)
    with pytest.raises(InputError, match=f"the {side} is empty"):
        flow.preprocess(Preprocess(), shards(tmp_path / "data", data), FACTS, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (table([1.5], [1], [UNTIL - DAY]), "column 'user' is double, expected INT64 or STRING"),
        (
            table([1], [None], [UNTIL - DAY]).cast(
                pa.schema({"user": "int64", "item": "int64", "at": pa.timestamp("us", "UTC")})
            ),
            "column 'item' is null in 1 rows",
        ),
        (
            pa.table({"user": [1], "item": [1], "at": ["2017"]}),
            "column 'at' is string, expected TIMESTAMP",
        ),
        (pa.table({"user": [1], "item": [1]}), "has no column 'at'; its columns: user, item"),
    ],
)
def test_a_wrong_column_is_named(tmp_path: Path, data: pa.Table, words: str) -> None:
    with pytest.raises(InputError, match=words):
        purchases.read(shards(tmp_path / "data", data))


def test_svd_recovers_a_low_rank_matrix() -> None:
    from scipy.sparse import csr_array

    random = np.random.default_rng(0)
    low = (random.random((60, 3)) @ random.random((3, 80))).astype(np.float32)
    users, items = fit(csr_array(low), Svd(factors=3), 0)
    assert users @ items.T == pytest.approx(low, abs=1e-4)


@pytest.mark.parametrize("items", [5, 100, 1000, 1037])
def test_top_is_a_full_sort(items: int) -> None:
    scores = np.random.default_rng(0).integers(0, 10**6, (20, items)).astype(np.float32)
    places, values = top(scores, 10)
    assert values == pytest.approx(-np.sort(-scores, axis=1)[:, :10])
    assert np.take_along_axis(scores, places, 1) == pytest.approx(values)


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot open a model of als in onnx"):
        flow.load(tmp_path, "als", "onnx")


def test_flow_toml_is_valid_and_the_sample_has_its_columns(tmp_path: Path) -> None:
    found = load("recommender")
    assert (found.train.algorithm, found.train.options["factors"]) == ("svd", 32)
    name, path = sample.table(tmp_path)
    assert name == found.data.table
    assert {"household_id", "product_id", "transaction_timestamp"} <= set(
        pq.ParquetFile(path).schema_arrow.names
    )
