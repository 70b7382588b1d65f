"""One small model for every server: a perceptron as scikit-learn has it, and as an ONNX file."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

ONNX, PICKLE = "model.onnx", "model.pkl"
INSTANCE = [86.6, 91.4, 50.0]
HIDDEN = 8


class Model:
    """Three numbers for three numbers, by ONNX Runtime on one thread."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path.read_bytes(), options)

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:  # noqa: ARG002
        """One row for each instance."""
        rows = np.array(instances, np.float64)
        found: list[Any] = self._session.run(["answers"], {"rows": rows})[0].tolist()
        return found


def make(folder: Path) -> list[float]:
    """Write both files; what they answer to INSTANCE."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(0)
    rows = random.uniform(50, 110, (64, 3))
    targets = np.tanh((rows - 80) @ random.normal(0, 0.02, (3, 3)))
    network = MLPRegressor(
        hidden_layer_sizes=(HIDDEN,), activation="tanh", solver="lbfgs", max_iter=5000, random_state=0
    )
    found = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), network), transformer=StandardScaler()
    )
    found.fit(rows, targets)
    (folder / PICKLE).write_bytes(pickle.dumps(found))
    _write(found, folder / ONNX)
    answer: list[float] = found.predict([INSTANCE])[0].tolist()
    return answer


def _write(found: Any, path: Path) -> None:
    import onnx
    from onnx import helper

    before, network = (step for _, step in found.regressor_.steps)
    after = found.transformer_
    steps = [
        *(("Sub", before.mean_), ("Div", before.scale_)),
        *(("MatMul", network.coefs_[0]), ("Add", network.intercepts_[0]), ("Tanh",)),
        *(("MatMul", network.coefs_[1]), ("Add", network.intercepts_[1])),
        *(("Mul", after.scale_), ("Add", after.mean_)),
    ]
    names = ["rows", *(f"step{number}" for number in range(1, len(steps))), "answers"]
    nodes, constants = [], []
    for number, (kind, *values) in enumerate(steps):
        own = [onnx.numpy_helper.from_array(value, f"constant{number}") for value in values]
        inputs = [names[number], *(one.name for one in own)]
        nodes.append(helper.make_node(kind, inputs, [names[number + 1]]))
        constants += own
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, ["n", 3])
        for name in ("rows", "answers")
    ]
    graph = helper.make_graph(nodes, "perceptron", ends[:1], ends[1:], constants)
    opset = helper.make_opsetid("", 17)
    path.write_bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
