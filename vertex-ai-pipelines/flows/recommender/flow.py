"""The recommender's life: the functions of `flows.contract.Flow`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flows import evaluation
from flows.config import Gate, Train
from flows.contract import Evaluated, Facts, Saved, Trained, Window
from flows.evaluation import Measured
from flows.recommender import models, svd
from flows.recommender.config import Popularity, Preprocess, Svd
from flows.recommender.models import TOP, Recommender

if TYPE_CHECKING:  # reads Parquet, which the prediction server does not
    from flows.recommender import split


def get_data(
    table: str,
    options: Any,  # noqa: ARG001
    query: str,
    window: Window,
    project: str,
    destination: str,
) -> Facts:
    """Export user, item and at of each purchase in the window. It has no options."""
    from flows import bigquery
    from flows.recommender import purchases

    facts = bigquery.export(query, table, window, project, destination)
    bigquery.require(purchases.COLUMNS, facts["columns"], "the query's result")
    return facts | {"summary": f"{facts['rows']:,} purchases · {bigquery.period(facts, window)}"}


def preprocess(
    options: Preprocess, data: Path, facts: Facts, training: Path, holdout: Path
) -> tuple[Facts, Facts]:
    """Split by time. Facts count the users and items that only the holdout has."""
    from flows import bigquery
    from flows.recommender import purchases, split

    rows = purchases.read(data)
    begin, before = split.split(rows, datetime.fromisoformat(facts["until"]), options.holdout_days)
    since = {"holdout_from": bigquery.moment(begin)}
    of_training = split.write_training(rows, before, begin, training) | since
    of_holdout = split.write_holdout(rows, before, holdout) | since
    unseen = f"{of_holdout['unseen_users']:,} users and {of_holdout['unseen_items']:,} items"
    print(f"only in the holdout: {unseen}")
    counts = f"{of_training['users']:,} households · {of_training['items']:,} products"
    return of_training | {"summary": f"{counts} · holdout from {begin.date()}"}, of_holdout


def train(config: Train, options: Svd | Popularity, training: Path, model: Path) -> Trained:
    """Fit and write model.safetensors: the same bytes for the same training set, options and seed."""
    from flows.recommender import split

    rows = split.read_training(training)
    facts = {"users": len(rows.users), "items": len(rows.items)}
    if isinstance(options, Popularity):
        models.write_popularity(model, rows)
        return Trained(models.FORMAT, facts, config.algorithm)
    own = svd.history(rows, options.half_life_days)
    factors = svd.fit(own, options, config.seed)
    total = float(own.data @ own.data)
    own.data *= np.float32(options.repeat)
    models.write_svd(model, rows, factors, own)
    explained = float((factors[0] ** 2).sum()) / total
    summary = f"{config.algorithm} · {options.factors} factors"
    return Trained(models.FORMAT, facts | {"explained": explained}, summary)


def evaluate(gate: Gate, model: Saved, holdout: Path, champion: Saved | None, scores: Path) -> Evaluated:
    """NDCG@10 and recall@10 of every user of the holdout; coverage, of the model's whole catalogue.

    Protocol: time split; all items are candidates, those bought before too; users that training
    did not see get what is popular and count like the others.
    """
    from flows.recommender import split

    truth = split.read_holdout(holdout)

    def measure(saved: Saved) -> Measured:
        return _measure(load(saved.folder, saved.algorithm, saved.format), truth)

    return evaluation.evaluate(gate, measure, model, champion, scores)


def load(model: Path, algorithm: str, format: str) -> Recommender:  # noqa: A002
    """The model in a folder, as its manifest names algorithm and format."""
    return models.read(model, algorithm, format)


def _measure(model: Recommender, truth: "split.Holdout") -> Measured:
    """Each user's metrics; the model's items may be others than the holdout's."""
    from flows.recommender import metrics

    ranked, _ = model.best(truth.users, TOP)
    known = {item: place for place, item in enumerate(truth.items)}
    places = np.array([known.get(item, -1) for item in model.items], np.int64)[ranked]
    hit = metrics.hits(places, truth)
    scores = {f"ndcg@{TOP}": metrics.ndcg(hit, truth), f"recall@{TOP}": metrics.recall(hit, truth)}
    coverage = metrics.coverage(ranked, len(model.items))
    return Measured(truth.users, scores, {f"coverage@{TOP}": coverage})
