"""Vertex AI's step cache: a task with the component and inputs of an earlier one gets its outputs.

An artifact counts by its identity, not its content, and a hit gives the earlier artifacts themselves,
so that hits go on downstream. As there, nobody looks whether the files are still in the bucket.
"""

import hashlib
import json
import os
from typing import Any

from google.protobuf import json_format
from kfp import dsl
from kfp.dsl import executor

from localcloud.pipeline_job import Job, swap
from localcloud.pipeline_values import whole


class Cache:
    """What kfp.local asks for a task's earlier outputs; entries are files, whole or not there.

    The key: project, location, pipeline name; image, command, arguments, variables; inputs; outputs.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._folder = job, job.cache

    def compute_key(
        self,
        component_name: str,
        image: str,
        full_command: list[str],
        arguments: dict[str, Any],
        env_vars: dict[str, str] | None = None,
        custom_cache_key: str | None = None,
    ) -> str:
        """The entry's name. A key of the pipeline's own stands for command and inputs."""
        component = json_format.MessageToDict(self._job.spec.components[component_name])
        given = self._resolved(arguments)
        inputs = component.get("inputDefinitions", {}).get("parameters", {})
        defaults = {k: v["defaultValue"] for k, v in inputs.items() if "defaultValue" in v}
        own = [image, full_command, env_vars or {}, whole({**defaults, **given})]
        parts = [self._job.scope, component.get("outputDefinitions", {}), custom_cache_key or own]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def get(self, key: str) -> dict[str, Any] | None:
        """The outputs of the task that had this key, or None."""
        path = self._folder / f"{key}.json"
        if not path.exists():
            return None
        outputs = json.loads(path.read_text())["outputs"]
        self._job.cached = True
        return {name: self._restored(value) for name, value in outputs.items()}

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        """Keep a succeeded task's outputs."""
        kept = {name: self._kept(value) for name, value in outputs.items()}
        part = self._folder / f"{key}.{os.getpid()}.part"
        part.write_text(json.dumps({"job": self._job.folder.name, "outputs": kept}))
        part.replace(self._folder / f"{key}.json")

    def _resolved(self, value: Any) -> Any:
        """A value as the step gets it; of an artifact, its address."""
        if isinstance(value, dsl.Artifact):
            return {"artifact": swap(value.uri, self._job.root, self._job.uri)}
        if isinstance(value, dict):
            return {key: self._resolved(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._resolved(one) for one in value]
        return self._job.resolve(value) if isinstance(value, str) else value

    def _kept(self, value: Any) -> dict[str, Any]:
        if isinstance(value, dsl.Artifact):
            return {"artifact": self._facts(value)}
        if isinstance(value, list) and value and isinstance(value[0], dsl.Artifact):
            return {"artifacts": [self._facts(one) for one in value]}
        return {"value": value}

    def _facts(self, artifact: Any) -> dict[str, Any]:
        kind = {"schemaTitle": artifact.schema_title, "schemaVersion": artifact.schema_version}
        uri = swap(artifact.uri, self._job.root, self._job.uri)
        return {"name": artifact.name, "uri": uri, "metadata": artifact.metadata, "type": kind}

    def _restored(self, kept: dict[str, Any]) -> Any:
        if "artifact" in kept:
            return executor.create_artifact_instance(self._job.inside(kept["artifact"]))
        if "artifacts" in kept:
            return [executor.create_artifact_instance(self._job.inside(a)) for a in kept["artifacts"]]
        return kept["value"]
