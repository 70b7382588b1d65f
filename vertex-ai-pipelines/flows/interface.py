"""What each step reads and writes, by name, with KFP's types; the components' YAML says the same."""

from collections.abc import Mapping
from typing import NamedTuple

STRING, BOOLEAN, DATASET, MODEL, METRICS = "String", "Boolean", "Dataset", "Model", "Metrics"


class Interface(NamedTuple):
    """One step: its inputs and outputs, name → KFP type."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def _texts(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), STRING)


STEPS = {
    "get_data": Interface(
        _texts("flow project data query window_from window_until snapshot"), {"data": DATASET}
    ),
    "preprocess": Interface(
        _texts("flow preprocess") | {"data": DATASET}, {"training": DATASET, "holdout": DATASET}
    ),
    "train": Interface(
        _texts("flow train") | {"training": DATASET}, {"model": MODEL, "metrics": METRICS}
    ),
    "evaluate": Interface(
        _texts("flow project gate champion champion_sha256 s3") | {"model": MODEL, "holdout": DATASET},
        {"metrics": METRICS, "scores": DATASET, "passed": BOOLEAN, "verdict": STRING},
    ),
    "upload_model": Interface(
        _texts(
            "flow environment project version commit image serving_image pipeline_job config"
            " verdict champion champion_sha256 model_store s3 github"
        )
        | {"data": DATASET, "training": DATASET, "model": MODEL, "metrics": METRICS},
        _texts("manifest sha256 state"),
    ),
}


def command(step: str) -> tuple[str, ...]:
    """How a component starts its step."""
    return "python", "-m", "flows", step


ARGUMENTS = ("--executor-input", "{{$}}")
