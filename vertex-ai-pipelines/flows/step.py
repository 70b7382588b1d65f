"""The one glue between a YAML component and a flow's functions: `python -m flows STEP …`."""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from flows import checkpoints, contract, released, upload
from flows.config import Gate, Train
from flows.contract import Flow, Saved, Window
from flows.errors import InputError
from flows.executor import Execution
from flows.manifest import Verdict
from flows.tables import Table, convert


def main(argv: list[str]) -> int:
    """Run one step. Raises InputError or RetrainError; 0 otherwise, also where the gate said no."""
    arguments = parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="step-") as scratch:
        execution = Execution(arguments.executor_input, Path(scratch))
        with _checkpoint(arguments.step, execution):
            print(f"{arguments.step}: {STEPS[arguments.step](execution)}")
            execution.finish()
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line, as the components' YAML files give it."""
    main = argparse.ArgumentParser(
        prog="python -m flows",
        description=__doc__,
        epilog="The prediction server is another program of the image: python -m flows serve --help",
    )
    main.add_argument("step", choices=STEPS, help="which step")
    main.add_argument("--executor-input", required=True, metavar="JSON", help="what KFP puts for {{$}}")
    return main


def get_data(execution: Execution) -> str:
    """Export the window's rows; the export writes to the artifact's address directly."""
    own = execution.table("data", dict[str, Any])
    table = str(own.pop("table", ""))
    facts = _flow(execution).get_data(
        table,
        _options(execution, "data", own),
        execution.text("query"),
        _window(execution),
        execution.text("project"),
        execution.uri("data"),
    )
    execution.put("data", facts)
    return str(facts["summary"])


def preprocess(execution: Execution) -> str:
    """Split the rows into two artifacts."""
    own = execution.table("preprocess", dict[str, Any])
    training, holdout = _flow(execution).preprocess(
        _options(execution, "preprocess", own),
        execution.fetch("data"),
        execution.metadata("data"),
        execution.folder("training"),
        execution.folder("holdout"),
    )
    execution.put("training", training)
    execution.put("holdout", holdout)
    return str(training["summary"])


def train(execution: Execution) -> str:
    """Fit; algorithm and format go with the model, for whoever opens it."""
    chosen = _chosen(execution)
    model = execution.folder("model")
    options = _options(execution, "train", chosen.options, chosen.algorithm)
    training = execution.fetch("training")
    made = _flow(execution).train(chosen, options, training, model)
    facts = {"algorithm": chosen.algorithm, "format": made.format, "summary": made.summary}
    series = {name: list(values) for name, values in made.series.items()}
    execution.put("model", facts | ({"series": series} if series else {}))
    execution.put("metrics", made.metrics)
    return made.summary


def evaluate(execution: Execution) -> str:
    """Measure candidate and champion; the verdict is a parameter, the metrics are metadata."""
    from flows import evaluation

    gate = execution.table("gate", Gate)
    found = _flow(execution).evaluate(
        gate,
        _saved(execution),
        execution.fetch("holdout"),
        _champion(execution),
        execution.folder("scores"),
    )
    label = _config(execution).METRICS.get(gate.metric, gate.metric)
    summary = evaluation.summary(label, gate, found.metrics, found.verdict)
    execution.put("metrics", {**found.metrics, "summary": summary})
    execution.put("scores", found.facts)
    execution.set("passed", found.verdict.passed)
    execution.set("verdict", msgspec.json.encode(found.verdict).decode())
    return summary


def upload_model(execution: Execution) -> str:
    """Write the candidate to the model store, and propose it."""
    texts = ("flow", "version", "commit", "image", "serving_image", "pipeline_job", "environment")
    model, metadata = execution.fetch("model"), execution.metadata("model")
    aside = f"{contract.ASIDE}/"
    files = {name: file for name, file in metadata["files"].items() if not name.startswith(aside)}
    metrics = execution.metadata("metrics")
    candidate = upload.build(
        {name: execution.text(name) for name in texts}
        | {name: metadata[name] for name in ("algorithm", "format")}
        | {
            "files": files,
            "metrics": {name: value for name, value in metrics.items() if not isinstance(value, str)},
            "series": metadata.get("series", {}),
            "verdict": execution.table("verdict", Verdict),
            "data": upload.facts(execution.metadata("data"), execution.metadata("training")),
            "config": execution.table("config", dict[str, Any]),
        }
    )
    done = upload.upload(candidate, model, _destination(execution))
    for name in ("manifest", "sha256", "state"):
        execution.set(name, getattr(done, name))
    return f"{done.manifest.rpartition('/')[0]} · {done.state}"


STEPS: dict[str, Callable[[Execution], str]] = {
    step.__name__: step for step in (get_data, preprocess, train, evaluate, upload_model)
}


def _checkpoint(name: str, execution: Execution) -> AbstractContextManager[None]:
    """Only training takes long enough to keep what it has reached."""
    return checkpoints.beside(execution.uri("model")) if name == "train" else nullcontext()


def _flow(execution: Execution) -> Flow:
    module: Any = contract.part(execution.text("flow"), "flow")
    return module  # type: ignore[no-any-return]


def _config(execution: Execution) -> Any:
    """The flow's `Config` and `METRICS`."""
    return contract.part(execution.text("flow"), "config")


def _options(execution: Execution, part: str, given: dict[str, Any], algorithm: str = "") -> Any:
    """`given` as the class that the flow's Config has for `part` (of `algorithm`)."""
    own: type[Table] = _config(execution).Config
    kind = _field(_field(own, part), algorithm) if algorithm else _field(own, part)
    return convert(given, kind or _NoOptions, f"parameter '{part}'", strict=False)


class _NoOptions(Table):
    """What a flow without options of its own has."""


def _field(kind: Any, name: str) -> Any:
    if kind is None:
        return None
    kinds: dict[str, Any] = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    return kinds.get(name)


def _chosen(execution: Execution) -> Train:
    own = execution.table("train", dict[str, Any])
    frame = {name: value for name, value in own.items() if name in ("algorithm", "seed")}
    options = {name: value for name, value in own.items() if name not in frame}
    return convert({**frame, "options": options}, Train, "parameter 'train'", strict=False)


def _window(execution: Execution) -> Window:
    names = ("window_from", "window_until", "snapshot")
    return Window(*(_moment(name, execution.text(name)) for name in names))


def _moment(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min
    if found.tzinfo is None:
        raise InputError(f"parameter '{name}' is '{text}'", "it looks like 2026-11-21T08:45:00Z")
    return found


def _saved(execution: Execution) -> Saved:
    metadata = execution.metadata("model")
    return Saved(execution.fetch("model"), metadata["algorithm"], metadata["format"])


def _champion(execution: Execution) -> Saved | None:
    address = execution.text("champion")
    if not address:
        return None
    store = released.client(execution.text("project"), execution.table("s3", released.Access))
    return released.fetch(
        store, address, execution.text("champion_sha256"), execution.folder("champion")
    )


def _destination(execution: Execution) -> upload.Destination:
    names = ("environment", "project", "champion", "champion_sha256", "model_store")
    return upload.Destination(
        **{name: execution.text(name) for name in names},
        s3=execution.table("s3", released.Access),
        github=execution.table("github", upload.Target),
    )
