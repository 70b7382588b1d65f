"""Values as Vertex AI gives them to steps, where kfp's local runner differs."""

from collections.abc import Callable
from typing import Any

from google.protobuf import struct_pb2
from kfp.compiler import pipeline_spec_builder
from kfp.local import executor_output_utils, placeholder_utils


def mend_placeholders(fill: Callable[[str], str]) -> None:
    """A job's name, number, times and root: kfp has its own for some, and none for the others."""
    original = placeholder_utils.resolve_individual_placeholder

    def resolve(element: Any, **others: Any) -> Any:
        return original(fill(element) if isinstance(element, str) else element, **others)

    placeholder_utils.resolve_individual_placeholder = resolve


def mend_empty_values() -> None:
    """An optional input without a value is None: kfp refuses to read and to write one."""
    read, write = executor_output_utils.pb2_value_to_python, pipeline_spec_builder.to_protobuf_value

    def to_python(value: Any) -> Any:
        return read(value) if value.WhichOneof("kind") else None

    def to_value(value: Any) -> Any:
        return struct_pb2.Value(null_value=0) if value is None else write(value)

    executor_output_utils.pb2_value_to_python = to_python
    pipeline_spec_builder.to_protobuf_value = to_value


def whole(value: Any) -> Any:
    """JSON with its whole numbers whole: protobuf has floats only, Vertex AI writes 2, not 2.0."""
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
