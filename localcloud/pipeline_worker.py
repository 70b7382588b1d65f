"""Runs one pipeline job with kfp's own local orchestrator, one process a step, in the image's folder.

Reads the job's folder from standard input; writes events.jsonl and logs/TASK.log there.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp import dsl, local
from kfp.local import (
    executor_input_utils,
    executor_output_utils,
    importer_handler,
    pipeline_orchestrator,
    status,
    subprocess_task_handler,
    task_handler_interface,
)
from kfp.local.orchestrator import enhanced_dag_orchestrator, task_executor
from kfp.pipeline_spec import pipeline_spec_pb2

from localcloud.pipeline_files import Mount
from localcloud.pipeline_values import mend_empty_values, mend_placeholders, whole

Kind = pipeline_spec_pb2.ParameterType.ParameterTypeEnum
EXECUTOR, STEP_MAIN = "python3 -m kfp.dsl.executor_main", Path(__file__).with_name("step_main.py")
TAIL = 8192  # bytes of a log in which an error's last line is looked for


class Job:
    """The job that this process runs, and what it tells of it."""

    def __init__(self, folder: Path) -> None:
        order = json.loads((folder / "job.json").read_text())
        # kfp keeps artifacts below the folder that stands for gs://, at their own addresses.
        self.folder, self.mount = folder, Mount(folder / "gcs", order["environment"])
        self.root, self.uri = f"{folder}/gcs/", "gs://"
        self.output_root = self.root + order["root"].removeprefix("gs://")
        self.images, self.environment = order["images"], order["environment"]
        self.placeholders = order["placeholders"]
        self.arguments = order["arguments"]
        self.spec = json_format.ParseDict(order["spec"], pipeline_spec_pb2.PipelineSpec())
        self.task = ""

    def tell(self, event: str, **facts: Any) -> None:
        """Append one event."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps({"t": now, "event": event, **facts}) + "\n")

    def log(self, task: str) -> Path:
        """Where a task's standard output and error go."""
        return self.folder / "logs" / f"{task}.log"

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
            k: _swap(v, old, new) if k == "uri" else _with_uris(v, old, new) for k, v in value.items()
        }
    return [_with_uris(v, old, new) for v in value] if isinstance(value, list) else value


def _swap(uri: Any, old: str, new: str) -> Any:
    return new + uri.removeprefix(old) if isinstance(uri, str) and uri.startswith(old) else uri


class Step(task_handler_interface.ITaskHandler):  # type: ignore[misc]
    """One attempt at a task: its command as a process of its own, in its image's folder."""

    job: Job

    def __init__(
        self, image: str, full_command: list[str], env_vars: dict[str, str] | None = None, **_: Any
    ) -> None:
        self._image, self._command = image, _without_install(full_command)
        self._variables = env_vars or {}

    def run(self) -> status.Status:
        """The process's exit code as kfp's status; its executor output with kfp's addresses."""
        scratch = tempfile.mkdtemp(prefix="step-", dir=self.job.folder)
        try:
            with self.job.log(self.job.task).open("ab") as log:
                done = subprocess.run(
                    self._arguments(),
                    cwd=self._folder(scratch),
                    env=self._environment(scratch),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
        except OSError as error:
            self.job.log(self.job.task).write_text(
                f"error: the step's command cannot be started: {error}\n"
            )
            return status.Status.FAILURE
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self._translate_outputs()
        return status.Status.SUCCESS if done.returncode == 0 else status.Status.FAILURE

    def _arguments(self) -> list[str]:
        first = self._command[0]
        program = sys.executable if first in ("python", "python3") else first
        return [program, *(self._outside(argument) for argument in self._command[1:])]

    def _outside(self, argument: str) -> str:
        """An executor input names gs:// addresses; other arguments stay as they are."""
        found = _executor_input(argument)
        if found:
            return json.dumps(self.job.outside(found))
        return argument.replace(EXECUTOR, f"{sys.executable} -P {STEP_MAIN}")

    def _translate_outputs(self) -> None:
        inputs = [found for found in map(_executor_input, self._command) if found]
        path = Path(inputs[0]["outputs"].get("outputFile", "")) if inputs else Path()
        if path.is_file():
            path.write_text(json.dumps(self.job.inside(json.loads(path.read_text()))))

    def _known(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.job.images.get(self._image)
        return found

    def _folder(self, scratch: str) -> str:
        known = self._known()
        return known["root"] + known["config"].get("WorkingDir", "") if known else scratch

    def _environment(self, scratch: str) -> dict[str, str]:
        """Nothing of the developer's: the image's variables, the way to the cloud, a scratch home."""
        known = self._known()
        pairs = [pair.split("=", 1) for pair in known["config"].get("Env", [])] if known else []
        root = known["root"] if known else ""
        image = {key: _below(root, value) for key, value in pairs if key != "PATH"}
        here = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        homes = {"HOME": scratch, "TMPDIR": scratch, "LOCALCLOUD_GCS": self.job.root}
        return {**here, **image, **homes, **self.job.environment, **self._variables}


def _below(root: str, value: str) -> str:
    """A variable of the image: the paths in it that are the image's own, as they lie here."""
    parts = value.split(":")
    return ":".join(root + p if p.startswith("/") and Path(root + p).exists() else p for p in parts)


def _without_install(command: list[str]) -> list[str]:
    """A lightweight component's first words install packages: here only what is there can be used."""
    installs = command[:2] == ["sh", "-c"] and len(command) > 3 and "pip install" in command[2]
    return command[3:] if installs else command


def _executor_input(argument: str) -> dict[str, Any] | None:
    if not argument.startswith("{"):
        return None
    try:
        value = json.loads(argument)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "outputs" in value else None


def mend(job: Job) -> None:
    """Give kfp.local what it lacks: our steps, events, declared outputs, conditions, integers."""
    Step.job = job
    subprocess_task_handler.SubprocessTaskHandler = Step
    _mend_outputs()
    _mend_integers(job)
    _mend_conditions()
    _mend_importers(job)
    mend_placeholders(job.placeholders)
    mend_empty_values()
    _tell_of_tasks(job)


def _mend_outputs() -> None:
    """An artifact that executor_output.json does not list exists all the same, as on Vertex AI."""
    original = executor_output_utils.get_outputs_for_task

    def outputs(executor_input: Any, component_spec: Any) -> dict[str, Any]:
        found: dict[str, Any] = original(executor_input, component_spec)
        for name, artifacts in executor_input.outputs.artifacts.items():
            found.setdefault(name, executor_output_utils.artifact_list_to_dsl_artifact(artifacts, False))
        return found

    executor_output_utils.get_outputs_for_task = outputs


def _mend_integers(job: Job) -> None:
    """Pipeline parameters inside a string: kfp casts only those that the component declares."""
    original = executor_input_utils.executor_input_to_dict

    def to_dict(executor_input: Any, component_spec: Any) -> dict[str, Any]:
        found: dict[str, Any] = original(executor_input, component_spec)
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


def _tell_of_tasks(job: Job) -> None:
    original = task_executor.execute_single_task

    def execute(task_name: str, task_spec: Any, **others: Any) -> tuple[dict[str, Any], status.Status]:
        job.task = task_name
        job.tell("start", task=task_name)
        try:
            outputs, state = original(task_name=task_name, task_spec=task_spec, **others)
        except BaseException as error:
            job.tell("end", task=task_name, state="FAILED", error=str(error))
            raise
        good = state == status.Status.SUCCESS
        words = "" if good else _last_words(job.log(task_name))
        facts = _outputs(job, outputs)
        for found in (artifact for some in facts["artifacts"].values() for artifact in some):
            job.mount.push(found["uri"])
        job.tell("end", task=task_name, state="SUCCEEDED" if good else "FAILED", error=words, **facts)
        return outputs, state

    task_executor.execute_single_task = execute
    for module in (enhanced_dag_orchestrator, pipeline_orchestrator):
        if hasattr(module, "execute_single_task"):
            module.execute_single_task = execute


def _outputs(job: Job, outputs: dict[str, Any]) -> dict[str, Any]:
    """A task's outputs for the event: artifacts with gs:// addresses, parameters as they are."""
    artifacts, parameters = {}, {}
    for name, value in outputs.items():
        found = [
            v for v in (value if isinstance(value, list) else [value]) if isinstance(v, dsl.Artifact)
        ]
        if found:
            artifacts[name] = [_artifact(job, artifact) for artifact in found]
        else:
            parameters[name] = value
    return {"artifacts": artifacts, "parameters": parameters}


def _artifact(job: Job, artifact: Any) -> dict[str, Any]:
    uri = _swap(artifact.uri, job.root, job.uri)
    return {
        "name": artifact.name,
        "uri": uri,
        "type": artifact.schema_title,
        "metadata": artifact.metadata,
    }


def _last_words(log: Path) -> str:
    """What a failed step said last: from its last line that begins with "error" on, or its last line."""
    lines = (
        log.read_bytes()[-TAIL:].decode(errors="replace").strip().splitlines() if log.exists() else []
    )
    starts = [n for n, line in enumerate(lines) if line.lower().startswith("error")]
    words = lines[starts[-1] :] if starts else lines[-1:]
    return "\n".join(words) if words else "The step failed without a word."


def run(job: Job) -> int:
    """Run the job to its end; returns the process's exit code."""
    mend(job)
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner, pipeline_root=job.output_root, raise_on_error=True)
    try:
        pipeline_orchestrator.run_local_pipeline(job.spec, job.arguments)
    except Exception as error:
        job.tell("job", state="FAILED", error=str(error))
        return 1
    job.tell("job", state="SUCCEEDED", error="")
    return 0


def end_with_cloud() -> None:
    """A job does not outlive its cloud, however that ended: kill this process and its steps."""
    while os.read(0, 1):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Wait for the folder of a job, then run it."""
    folder = sys.stdin.readline().strip()
    if not folder:
        return 0
    threading.Thread(target=end_with_cloud, daemon=True).start()
    os.chdir(folder)
    return run(Job(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
