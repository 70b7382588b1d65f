"""What learns: your own model goes here, its options into config.py and flow.toml.

Whatever writes an ONNX file of the same form will do, see flows/tabular/graph.py.
"""

from flows.arrays import Ids
from flows.tabular import graph
from flows.tabular.graph import Step
from flows.tabular.rows import Rows
from laptop.skeletons.classification.config import Forest, Logistic


def fit(rows: Rows, options: Logistic | Forest, seed: int) -> tuple[list[Step], Ids]:
    """The trained model, as the operators of its ONNX file: features → each label's probability.

    Raises InputError where there is only one label.
    """
    rows.refuse_one_target()
    if isinstance(options, Forest):
        return forest(rows, options, seed)
    return logistic(rows, options)


def logistic(rows: Rows, options: Logistic) -> tuple[list[Step], Ids]:
    """Logistic regression, on standardized features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(rows.features)
    estimator = LogisticRegression(C=options.c, max_iter=1000)
    estimator.fit(scaler.transform(rows.features), rows.target)
    return graph.logistic(scaler, estimator), estimator.classes_.tolist()


def forest(rows: Rows, options: Forest, seed: int) -> tuple[list[Step], Ids]:
    """A random forest."""
    from sklearn.ensemble import RandomForestClassifier

    estimator = RandomForestClassifier(options.trees, min_samples_leaf=options.leaf, random_state=seed)
    estimator.fit(rows.features, rows.target)
    return graph.forest(estimator), estimator.classes_.tolist()
