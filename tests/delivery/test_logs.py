"""A failed step's last lines, from Cloud Logging over the wire."""

import pytest

from localcloud.client import Client
from localcloud.cloud_logging import custom_job
from tests.conftest import Program

TAIL = """
from google.cloud.aiplatform_v1.types import PipelineJob
from delivery import logs
from delivery.follow import Step
def job(main):
    detail = {"executor_detail": {"container_detail": {"main_job": main}}}
    task = {"task_name": "train", "state": "FAILED", "start_time": {"seconds": 1}, **detail}
    return PipelineJob(job_detail={"task_details": [task]})
place = "projects/100000000009/locations/europe-west1/customJobs/"
step = Step("train", "FAILED", 1.0, False, "", "error: one\\n  mend: two")
answer = [logs.tail(job(main), step) for main in (place + NUMBER, place + "1", "")]
answer.append(logs.tail(job("projects/another/locations/r/customJobs/1"), step))
"""


@pytest.mark.slow
def test_the_last_lines_of_a_step(cloud: Client, program: Program) -> None:
    log = cloud.root / "pipeline-jobs" / "logged" / "logs" / "train.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(30)))
    number = custom_job("logged", "train")
    lines, *others = program(TAIL.replace("NUMBER", repr(number)))
    assert lines == [f"line {number}" for number in range(10, 30)]
    assert others == [["error: one", "  mend: two"]] * 3
