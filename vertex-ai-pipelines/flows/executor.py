"""A step's side of KFP's executor protocol: inputs and outputs, by name, in a scratch folder."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from flows import storage
from flows.errors import InputError
from flows.manifest import File
from flows.tables import convert, decode_json

T = TypeVar("T")
Files = dict[str, File]


class Artifact(msgspec.Struct):
    """One artifact: a gs:// folder with metadata."""

    name: str = ""
    uri: str = ""
    metadata: dict[str, Any] = {}


class _Artifacts(msgspec.Struct):
    artifacts: list[Artifact] = []


class _Parameter(msgspec.Struct, rename="camel"):
    output_file: str


class _Inputs(msgspec.Struct, rename="camel"):
    parameter_values: dict[str, Any] = {}
    artifacts: dict[str, _Artifacts] = {}


class _Outputs(msgspec.Struct, rename="camel"):
    output_file: str
    parameters: dict[str, _Parameter] = {}
    artifacts: dict[str, _Artifacts] = {}


class _ExecutorInput(msgspec.Struct):
    inputs: _Inputs
    outputs: _Outputs


class Execution:
    """One execution of a step. `scratch` is a folder of its own, deleted by whoever made it."""

    def __init__(self, text: str, scratch: Path) -> None:
        """Raises InputError where `text` is not an executor input."""
        given = decode_json(text, _ExecutorInput, "--executor-input", strict=False)
        self._inputs, self._outputs, self._scratch = given.inputs, given.outputs, scratch
        self._values: dict[str, Any] = {}

    def text(self, name: str) -> str:
        """A String parameter. Raises InputError where it was not given."""
        value = self._inputs.parameter_values.get(name)
        if not isinstance(value, str):
            raise InputError(f"parameter '{name}' is {value!r}, expected a text", "set it at submit")
        return value

    def table(self, name: str, kind: type[T]) -> T:
        """A parameter that holds a JSON table. Raises InputError, with the parameter's name."""
        return decode_json(self.text(name), kind, f"parameter '{name}'", strict=False)

    def metadata(self, name: str) -> dict[str, Any]:
        """An input artifact's metadata; whole numbers are integers again."""
        return {key: _whole(value) for key, value in self._input(name).metadata.items()}

    def fetch(self, name: str) -> Path:
        """An input artifact as a folder. Files that its metadata has hashes of are checked."""
        artifact, files = self._input(name), self.metadata(name).get("files")
        folder = self._folder("inputs", name)
        found = storage.download(artifact.uri, folder, files)
        if isinstance(files, Mapping):
            storage.verify(found, convert(files, Files, f"artifact '{name}', files"), artifact.uri)
        return folder

    def folder(self, name: str) -> Path:
        """The empty folder for an output artifact's files."""
        return self._folder("outputs", name)

    def uri(self, name: str) -> str:
        """Where an output artifact goes: a gs:// address."""
        return self._output(name).uri

    def put(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Upload an output artifact's folder, if it has files, and note its metadata.

        The files' hashes become metadata too: the step that fetches them checks them.
        """
        noted = self._output(name).metadata
        noted.update(finite(metadata))
        folder = self._scratch / "outputs" / name
        if folder.is_dir():
            noted["files"] = msgspec.to_builtins(storage.upload(folder, self.uri(name)))

    def set(self, name: str, value: str | bool) -> None:
        """An output parameter's value, written at once."""
        if name not in self._outputs.parameters:
            raise InputError(f"the component declares no output parameter '{name}'")
        self._values[name] = value
        text = value if isinstance(value, str) else json.dumps(value)
        _write(Path(self._outputs.parameters[name].output_file), text)

    def finish(self) -> None:
        """Write executor_output.json: every output artifact, and the parameters."""
        artifacts = {name: msgspec.to_builtins(made) for name, made in self._outputs.artifacts.items()}
        done = {"artifacts": artifacts, "parameterValues": self._values}
        _write(Path(self._outputs.output_file), json.dumps(done, allow_nan=False))

    def _input(self, name: str) -> Artifact:
        return _only(self._inputs.artifacts, name, "input")

    def _output(self, name: str) -> Artifact:
        return _only(self._outputs.artifacts, name, "output")

    def _folder(self, side: str, name: str) -> Path:
        path = self._scratch / side / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that metadata can hold: neither null nor NaN, which are not JSON or not a value."""
    return {key: value for key, value in values.items() if value is not None and not _is_nan(value)}


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _whole(value: Any) -> Any:
    """Metadata crosses a pipeline as numbers without a type: 32 arrives as 32.0."""
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _only(artifacts: Mapping[str, _Artifacts], name: str, side: str) -> Artifact:
    if name not in artifacts or not artifacts[name].artifacts:
        raise InputError(
            f"the executor input has no {side} artifact '{name}'", "is the component's YAML right?"
        )
    return artifacts[name].artifacts[0]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
