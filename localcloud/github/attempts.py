"""What a re-run of failed jobs keeps of the attempt before: the jobs that were good, their outputs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from localcloud.github import startup
from localcloud.github.jobs import Job

KEPT = ("needs", "outputs")  # of a job that is not run again; what others read of it stays


class Before:
    """The jobs of the attempt before, by their keys; none where all are run again."""

    def __init__(self, records: Sequence[Job]) -> None:
        self._records = records

    def of(self, key: str) -> list[Job]:
        """Those of one job of the file that need not be run again."""
        return [job for job in self._records if job["key"] == key and job["conclusion"] == "success"]

    def is_good(self, key: str) -> bool:
        """Whether all of a job of the file, or all that it called, succeeded."""
        found = [job for job in self._records if f"{job['key']}/".startswith(f"{key}/")]
        return bool(found) and all(job["conclusion"] == "success" for job in found)

    def failed(self, key: str) -> list[Mapping[str, Any]]:
        """The matrices of those that are run again, where others of the same job are not."""
        wrong = [job["matrix"] for job in self._records if job["key"] == key and job not in self.of(key)]
        return wrong if self.of(key) and all(wrong) else []

    def behind(self, above: str, needs: Sequence[str], jobs: Mapping[str, Any]) -> "Before":
        """What of it counts for a job that needs others: nothing, where one of those is run again."""
        return self if all(self._stays(above, need, jobs) for need in needs) else Before([])

    def _stays(self, above: str, key: str, jobs: Mapping[str, Any]) -> bool:
        waits = startup.needs(jobs[key])
        return self.is_good(above + key) and all(self._stays(above, one, jobs) for one in waits)


def stand_in(node: yaml.Node, records: Sequence[Job]) -> None:
    """Make of a job's table one that does nothing but give the outputs that its steps gave."""
    outputs = {step: fields for job in records for step, fields in job["outputs"].items()}
    steps = [{"id": step, "run": _told(fields)} for step, fields in outputs.items()]
    made = {"runs-on": "ubuntu-latest", "steps": steps or [{"run": "true"}]}
    node.value = [pair for pair in node.value if pair[0].value in KEPT]
    node.value += _table(made)


def narrow(node: yaml.Node, matrices: Sequence[Mapping[str, Any]]) -> None:
    """Leave of a job's matrix those that are named."""
    for key, value in node.value:
        if key.value == "strategy":
            value.value = [pair for pair in value.value if pair[0].value != "matrix"]
            value.value += _table({"matrix": {"include": list(matrices)}})


def _told(fields: Mapping[str, str]) -> str:
    lines = [f"{name}<<localcloud-end\n{value}\nlocalcloud-end" for name, value in fields.items()]
    text = "\n".join(lines).replace("'", "'\\''")
    return f"printf '%s\\n' '{text}' >> \"$GITHUB_OUTPUT\""


def _table(content: Mapping[str, Any]) -> list[tuple[yaml.Node, yaml.Node]]:
    """The fields of a table, as YAML has them: JSON is YAML."""
    node = yaml.compose(json.dumps(content), yaml.SafeLoader)
    return list(node.value) if isinstance(node, yaml.MappingNode) else []
