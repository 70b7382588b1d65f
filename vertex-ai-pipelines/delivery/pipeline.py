"""The pipeline of a flow: the five components put together, and compiled by kfp."""

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from delivery import components
from delivery.components import COMPONENTS, STEPS
from delivery.references import pinned
from flows.config import FlowConfig, Machine

PLACEHOLDER = "registry.invalid/retrain/base@sha256:" + "0" * 64
RETRIES = {"upload_model": 2}  # at least: it alone calls what is not Google's
# What every run is told beside the flow's own options.
RUN = (
    "project",
    "environment",
    "query",
    "window_from",
    "window_until",
    "snapshot",
    "champion",
    "champion_sha256",
    "model_store",
    "s3_reader",
    "s3_writer",
    "github",
    "version",
    "commit",
    "image",
    "serving_image",
    "pipeline_job",
)

Channels = Mapping[str, Any]
Step = Callable[..., Any]


def options(flow: FlowConfig) -> dict[str, Any]:
    """The flow's options as pipeline parameters, by name: `train_factors`, `gate_floor`, …"""
    import msgspec

    tables = {
        "data": {"table": flow.data.table, **flow.data_options},
        "preprocess": flow.preprocess,
        "train": {"algorithm": flow.train.algorithm, "seed": flow.train.seed, **flow.train.options},
        "gate": msgspec.to_builtins(flow.gate),
    }
    return {
        f"{table}_{key}": value
        for table, keys in tables.items()
        for key, value in keys.items()
        if value is not None
    }


def compile_pipeline(flow: FlowConfig, image: str, path: Path, ends_at: str | None = None) -> None:
    """Write the flow's compiled pipeline, whose steps run in `image` (by digest), to `path`.

    The same flow and image give the same bytes. No value of an option is in it. With `ends_at` it is
    an experiment's, without upload_model. Raises InputError where a component does not fit its step,
    and for an image that is named by neither a digest nor a commit's tag.
    """
    pinned(image, f"pipeline {flow.name}")
    components.check()
    from kfp import compiler

    path.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(_pipeline(flow, image, ends_at), str(path))


def _pipeline(flow: FlowConfig, image: str, ends_at: str | None) -> Any:
    from kfp import dsl

    kinds = {**dict.fromkeys(RUN, str), **{name: type(v) for name, v in options(flow).items()}}
    steps = {name: _step(name, flow, image) for name in STEPS[: _length(ends_at)]}

    def pipeline(*values: Any) -> None:
        retrain(flow.name, dict(zip(kinds, values, strict=True)), steps)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    pipeline.__annotations__ = dict(kinds)
    pipeline.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, kind, annotation=t) for name, t in kinds.items()]
    )
    return dsl.pipeline(name=name_of(flow, ends_at), description=flow.description)(pipeline)


def name_of(flow: FlowConfig, ends_at: str | None) -> str:
    """The pipeline's name: Vertex AI caches within one, and an experiment's outputs may be anybody's."""
    return flow.name.replace("_", "-") + ("-experiment" if ends_at else "")


def _length(ends_at: str | None) -> int:
    """How many of the steps there are, up to `ends_at`."""
    return STEPS.index(ends_at) + 1 if ends_at else len(STEPS)


def retrain(flow: str, p: Channels, steps: Mapping[str, Step]) -> None:
    """Export, split, fit, measure; and where the gate says yes, upload, if that is one of `steps`."""
    from kfp import dsl

    get_data = steps["get_data"](
        flow=flow,
        project=p["project"],
        data=_table(p, "data"),
        query=p["query"],
        window_from=p["window_from"],
        window_until=p["window_until"],
        snapshot=p["snapshot"],
    )
    preprocess = steps["preprocess"](
        flow=flow, preprocess=_table(p, "preprocess"), data=get_data.outputs["data"]
    )
    train = steps["train"](flow=flow, train=_table(p, "train"), training=preprocess.outputs["training"])
    evaluate = steps["evaluate"](
        flow=flow,
        project=p["project"],
        gate=_table(p, "gate"),
        champion=p["champion"],
        champion_sha256=p["champion_sha256"],
        s3=p["s3_reader"],
        model=train.outputs["model"],
        holdout=preprocess.outputs["holdout"],
    )
    if "upload_model" not in steps:
        return
    with dsl.If(evaluate.outputs["passed"] == True, name="passed"):  # noqa: E712
        steps["upload_model"](
            flow=flow,
            environment=p["environment"],
            project=p["project"],
            version=p["version"],
            commit=p["commit"],
            image=p["image"],
            serving_image=p["serving_image"],
            pipeline_job=p["pipeline_job"],
            config=_config(p),
            verdict=evaluate.outputs["verdict"],
            champion=p["champion"],
            champion_sha256=p["champion_sha256"],
            model_store=p["model_store"],
            s3=p["s3_writer"],
            github=p["github"],
            data=get_data.outputs["data"],
            training=preprocess.outputs["training"],
            model=train.outputs["model"],
            metrics=evaluate.outputs["metrics"],
        )


def _table(p: Channels, name: str) -> str:
    """A step's table as JSON; Vertex AI fills the parameters in when the step starts."""
    prefix = f"{name}_"
    own = {key.removeprefix(prefix): value for key, value in p.items() if key.startswith(prefix)}
    pairs = [f"{json.dumps(key)}: {_value(channel)}" for key, channel in own.items()]
    return "{" + ", ".join(pairs) + "}"


def _value(channel: Any) -> str:
    # Quotes inside of a text would break the JSON: flows.config refuses such texts.
    return f'"{channel}"' if channel.channel_type == "String" else str(channel)


def _config(p: Channels) -> str:
    """All tables as the steps get them, for the manifest."""
    tables = [f'"{name}": {_table(p, name)}' for name in ("data", "preprocess", "train", "gate")]
    return "{" + ", ".join(tables) + "}"


def _step(name: str, flow: FlowConfig, image: str) -> Step:
    """The component `name` as a function that makes its task, with image, machine and retries."""
    from kfp.components import load_component_from_file

    component = load_component_from_file(str(COMPONENTS / f"{name}.yaml"))

    def task(**arguments: Any) -> Any:
        made = component(**arguments).set_container_image(image).set_display_name(name)
        _set_machine(made, flow.machine(name))
        if retries := max(flow.machine(name).retries, RETRIES.get(name, 0)):
            made.set_retry(retries, backoff_duration="1s", backoff_factor=2.0)
        # Uploading is the point of a run: a cached answer would release nothing.
        return made.set_caching_options(name != "upload_model")

    return task


def _set_machine(task: Any, machine: Machine) -> None:
    task.set_cpu_limit(machine.cpu).set_memory_limit(machine.memory)
    if machine.accelerator:
        task.set_accelerator_type(machine.accelerator)
        task.set_accelerator_limit(machine.accelerator_count)
