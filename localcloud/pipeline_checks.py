"""What Vertex AI refuses of a pipeline job before it starts anything."""

import json
import re
from typing import Any, NoReturn

from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format

from localcloud.errors import ApiError

JOB_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
KINDS: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "BOOLEAN": (bool,),
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def check(request: types.CreatePipelineJobRequest, spec: dict[str, Any]) -> None:
    """Raises INVALID_ARGUMENT. `spec` is the job's pipeline_spec."""
    if request.pipeline_job_id and not JOB_ID.fullmatch(request.pipeline_job_id):
        _refuse(f"pipeline_job_id '{request.pipeline_job_id}' must be [a-z0-9-].")
    if "root" not in spec or "deploymentSpec" not in spec:
        _refuse("pipeline_spec lacks root or deploymentSpec.")
    runtime = request.pipeline_job.runtime_config
    if not runtime.gcs_output_directory.startswith("gs://"):
        _refuse("runtime_config.gcs_output_directory must be a gs:// address.")
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    raw = types.PipelineJob.RuntimeConfig.pb(runtime).parameter_values
    _check_parameters(declared, {name: json_format.MessageToDict(raw[name]) for name in raw})


def _check_parameters(declared: dict[str, Any], given: dict[str, Any]) -> None:
    required = {k for k, v in declared.items() if "defaultValue" not in v and not v.get("isOptional")}
    if missing := sorted(required - given.keys()):
        _refuse(f"Required input parameters have no value: {', '.join(missing)}.")
    if unknown := sorted(given.keys() - declared.keys()):
        _refuse(f"Parameters that the pipeline does not have: {', '.join(unknown)}.")
    for name, value in given.items():
        kind = declared[name].get("parameterType", "")
        if not _fits(value, kind) and not (value is None and declared[name].get("isOptional")):
            _refuse(f"Parameter {name} is {kind}, but its value is {json.dumps(value)}.")


def _fits(value: Any, kind: str) -> bool:
    if kind.startswith("NUMBER") and isinstance(value, bool):
        return False  # Python's True is an int, too
    if kind == "NUMBER_INTEGER" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, KINDS.get(kind, object))


def _refuse(message: str) -> NoReturn:
    raise ApiError("INVALID_ARGUMENT", message)
