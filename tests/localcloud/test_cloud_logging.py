"""Cloud Logging: which entries a filter gives, to whom, and what is not served."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.cloud_logging import CloudLogging, custom_job
from localcloud.errors import ApiError
from localcloud.http import Request
from localcloud.pipeline_events import apply_events
from tests.localcloud.served import new_cloud

ML_JOB = 'resource.type="ml_job"'
NAME = "projects/123456789012/locations/europe-west1/pipelineJobs/one"
Ask = Callable[..., list[str]]


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    """The messages that a filter gives."""
    cloud = new_cloud(tmp_path)
    for job, task, text in (
        ("one", "train", "a\nb\n"),
        ("one", "evaluate", "c\n"),
        ("two", "train", "d"),
    ):
        path = tmp_path / "pipeline-jobs" / job / "logs" / f"{task}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def listed(text: str = "", who: str = cloud.world.owner, **fields: Any) -> list[str]:
        body = {"resourceNames": ["projects/acme-ml"], "filter": text, **fields}
        headers = {"authorization": f"Bearer {cloud.issue_token(who)}"}
        request = Request(
            "POST", "logging.googleapis.com", "", headers=headers, body=json.dumps(body).encode()
        )
        entries = CloudLogging(cloud).list(request).body["entries"]
        return [one["jsonPayload"]["message"] for one in entries]

    yield listed
    cloud.store.close()


def number(job: str, task: str) -> str:
    return f'resource.labels.job_id="{custom_job(job, task)}"'


def test_a_task_s_lines_are_those_of_its_custom_job(ask: Ask) -> None:
    text = f'{ML_JOB} AND {number("one", "train")} resource.labels.task_name = "workerpool0-0"'
    assert ask(text) == ["a", "b"]
    assert ask(text, orderBy="timestamp desc") == ["b", "a"]
    assert ask(f"{ML_JOB} AND {number('two', 'train')}") == ["d"]
    assert ask('resource.type="gce_instance"') == []
    assert sorted(ask()) == ["a", "b", "c", "d"]
    assert len(ask(pageSize=3)) == 3


def test_the_task_names_its_custom_job_unless_nothing_ran() -> None:
    from google.cloud.aiplatform_v1 import types

    def job(state: str) -> types.PipelineJob:
        made, moment = types.PipelineJob(name=NAME), "2026-11-21T08:45:00Z"
        start = {"event": "start", "task": "train", "t": moment}
        apply_events(made, [start, {"event": "end", "task": "train", "t": moment, "state": state}])
        return made

    mains = [
        job(state).job_detail.task_details[0].executor_detail.container_detail.main_job
        for state in ("FAILED", "SKIPPED")
    ]
    assert mains == [
        f"{NAME.rpartition('/pipelineJobs/')[0]}/customJobs/{custom_job('one', 'train')}",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "fields", "code"),
    [
        ('severity="ERROR"', {}, "UNIMPLEMENTED"),
        (f'{ML_JOB} AND textPayload:"x"', {}, "UNIMPLEMENTED"),
        (f"NOT {ML_JOB}", {}, "UNIMPLEMENTED"),
        (ML_JOB, {"orderBy": "severity"}, "INVALID_ARGUMENT"),
        (ML_JOB, {"resourceNames": []}, "INVALID_ARGUMENT"),
        (ML_JOB, {"who": "nobody@acme-ml.iam.gserviceaccount.com"}, "PERMISSION_DENIED"),
    ],
)
def test_what_is_refused(ask: Ask, text: str, fields: dict[str, Any], code: str) -> None:
    with pytest.raises(ApiError) as refused:
        ask(text, **fields)
    assert refused.value.code == code
