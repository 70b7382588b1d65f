"""What kfp's local runner lacks or does otherwise than Vertex AI, put right in this process."""

from typing import Any

from kfp.local import executor_input_utils, executor_output_utils, importer_handler
from kfp.local.orchestrator import enhanced_dag_orchestrator

from localcloud.pipeline_job import EXECUTION, Job, artifacts_of, swap
from localcloud.pipeline_values import mend_empty_values, mend_placeholders, whole


def mend(job: Job) -> None:
    """Give kfp.local what it lacks: declared outputs, conditions, integers, importers, placeholders."""
    _mend_folders()
    _mend_outputs(job)
    _mend_inputs(job)
    _mend_conditions()
    _mend_importers(job)
    mend_placeholders(job.resolve)
    mend_empty_values()


def _mend_folders() -> None:
    """Each execution has a folder of its own: kfp gives all iterations of a loop the same one.

    What is tried again is the same execution: its outputs have the addresses that they had.
    """

    def folder(pipeline_root: str, task_resource_name: str, **_: Any) -> str:
        return f"{pipeline_root}/{task_resource_name}_{EXECUTION.get()}"

    executor_input_utils.construct_local_task_root = folder


def _mend_outputs(job: Job) -> None:
    """Artifacts go to their bucket; one that executor_output.json does not list exists all the same."""
    original = executor_output_utils.get_outputs_for_task

    def outputs(executor_input: Any, component_spec: Any) -> dict[str, Any]:
        found: dict[str, Any] = original(executor_input, component_spec)
        for name, artifacts in executor_input.outputs.artifacts.items():
            found.setdefault(name, executor_output_utils.artifact_list_to_dsl_artifact(artifacts, False))
        for artifact in artifacts_of(found):
            job.mount.push(swap(artifact.uri, job.root, job.uri))
        return found

    executor_output_utils.get_outputs_for_task = outputs


def _mend_inputs(job: Job) -> None:
    """Pipeline parameters inside a string: kfp casts only integers that the component declares."""
    original = executor_input_utils.executor_input_to_dict

    def to_dict(executor_input: Any, component_spec: Any) -> dict[str, Any]:
        found: dict[str, Any] = original(executor_input, component_spec)
        job.inputs = found.get("inputs", {}).get("artifacts", {})
        values = found.get("inputs", {}).get("parameterValues", {})
        for name, value in values.items():
            if isinstance(value, list | dict) or job.is_integer(name):
                values[name] = whole(value)
        return found

    executor_input_utils.executor_input_to_dict = to_dict


def _mend_conditions() -> None:
    """A condition on a task's output is False in kfp 2.17 unless that output is called Output."""

    def resolve(reference: str, store: Any) -> Any:
        key = reference.split("pipelinechannel--", 1)[-1]
        for name in (reference, f"pipelinechannel--{key}", key):
            try:
                return store.get_parent_input(name)
            except ValueError:
                continue
        parts = key.split("-")
        for cut in range(len(parts) - 1, 0, -1):
            try:
                return store.get_task_output("-".join(parts[:cut]), "-".join(parts[cut:]))
            except ValueError:
                continue
        raise ValueError(f"the condition names {reference}, which no task gives")

    enhanced_dag_orchestrator.ConditionEvaluator._resolve_pipeline_channel = staticmethod(resolve)


def _mend_importers(job: Job) -> None:
    """An imported artifact is fetched: kfp expects it below /gcs/."""
    original = importer_handler.get_importer_uri

    def uri(*arguments: Any, **named: Any) -> str:
        found = str(original(*arguments, **named))
        return job.mount.pull(found) if found.startswith("gs://") else found

    importer_handler.get_importer_uri = uri
