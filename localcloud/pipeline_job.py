"""The job that a worker runs: its order, its folder, and what it tells of itself."""

import json
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from socket import socket
from typing import Any

from google.protobuf import json_format
from kfp import dsl
from kfp.pipeline_spec import pipeline_spec_pb2

from localcloud.pipeline_files import Mount

EXECUTION = ContextVar[int]("execution")  # of the task that this thread runs, through all its attempts
Kind = pipeline_spec_pb2.ParameterType.ParameterTypeEnum


class Job:
    """The job that this process runs, and what it tells of it."""

    def __init__(self, folder: Path, controls: list[socket]) -> None:
        order = json.loads((folder / "job.json").read_text())
        # kfp keeps artifacts below the folder that stands for gs://, at their own addresses.
        self.folder, self.mount = folder, Mount(folder / "gcs", order["environment"])
        self.root, self.uri = f"{folder}/gcs/", "gs://"
        self.output_root = self.root + order["root"].removeprefix("gs://")
        self.images, self.environment = order["images"], order["environment"]
        # Where the steps of each image are asked for.
        self.controls = dict(zip(self.images, controls, strict=True))
        self.placeholders = order["placeholders"]
        self.arguments = order["arguments"]
        self.spec = json_format.ParseDict(order["spec"], pipeline_spec_pb2.PipelineSpec())
        self.scope, self.cache = order["scope"], Path(order["cache"])
        # The task that runs now: its input artifacts, and whether its outputs came from the cache.
        self.task, self.inputs, self.cached = "", dict[str, Any](), False

    def tell(self, event: str, **facts: Any) -> None:
        """Append one event."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps({"t": now, "event": event, **facts}) + "\n")

    def log(self, task: str) -> Path:
        """Where a task's standard output and error go."""
        return self.folder / "logs" / f"{task}.log"

    def resolve(self, text: str) -> str:
        """`text` with the job's own placeholders filled in."""
        if "{{$.pipeline_" in text:
            for placeholder, value in self.placeholders.items():
                text = text.replace(placeholder, value)
        return text

    def is_integer(self, parameter: str) -> bool:
        """Whether the pipeline declares this channel of its own as an integer."""
        declared = self.spec.root.input_definitions.parameters
        name = parameter.removeprefix("pipelinechannel--")
        return name in declared and declared[name].parameter_type == Kind.NUMBER_INTEGER

    def outside(self, value: Any) -> Any:
        """`value` with artifacts' addresses as the steps see them: gs://."""
        return _with_uris(value, self.root, self.uri)

    def inside(self, value: Any) -> Any:
        """`value` with artifacts' addresses as kfp keeps them here: paths."""
        return _with_uris(value, self.uri, self.root)


def _with_uris(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {
            k: swap(v, old, new) if k == "uri" else _with_uris(v, old, new) for k, v in value.items()
        }
    return [_with_uris(v, old, new) for v in value] if isinstance(value, list) else value


def swap(uri: Any, old: str, new: str) -> Any:
    return new + uri.removeprefix(old) if isinstance(uri, str) and uri.startswith(old) else uri


def artifacts_of(outputs: dict[str, Any]) -> list[Any]:
    """All artifacts among a task's outputs."""
    values = [one for v in outputs.values() for one in (v if isinstance(v, list) else [v])]
    return [one for one in values if isinstance(one, dsl.Artifact)]
