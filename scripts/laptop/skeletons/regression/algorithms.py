"""What learns: your own model goes here, its options into config.py and flow.toml.

Whatever writes an ONNX file of the same form will do, see flows/tabular/graph.py.
"""

from flows.tabular import graph
from flows.tabular.graph import Step
from flows.tabular.rows import Rows
from laptop.skeletons.regression.config import Forest, Ridge


def fit(rows: Rows, options: Ridge | Forest, seed: int) -> list[Step]:
    """The trained model, as the operators of its ONNX file: features → one number.

    Raises InputError where the target is the same in all rows.
    """
    rows.refuse_one_target()
    if isinstance(options, Forest):
        return forest(rows, options, seed)
    return ridge(rows, options)


def ridge(rows: Rows, options: Ridge) -> list[Step]:
    """Linear regression with a penalty, on standardized features."""
    from sklearn.linear_model import Ridge as Estimator
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(rows.features)
    made = Estimator(alpha=options.alpha).fit(scaler.transform(rows.features), rows.target)
    return graph.linear(scaler, made)


def forest(rows: Rows, options: Forest, seed: int) -> list[Step]:
    """A random forest."""
    from sklearn.ensemble import RandomForestRegressor

    made = RandomForestRegressor(options.trees, min_samples_leaf=options.leaf, random_state=seed)
    return graph.forest(made.fit(rows.features, rows.target))
