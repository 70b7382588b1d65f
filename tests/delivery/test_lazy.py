import subprocess
import sys

import pytest

from tests.clone import ROOT

START = f"""
import sys
sys.path.insert(0, {str(ROOT / "vertex-ai-pipelines")!r})
from delivery import lazy
lazy.imported(*lazy.AIPLATFORM)
from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
from google.cloud.aiplatform_v1.types.pipeline_job import PipelineJob
"""
FEW = "assert 'google.cloud.aiplatform_v1.types.endpoint_service' not in sys.modules"
V1, SAME = "google.cloud.aiplatform_v1", "assert again is PipelineJob"


@pytest.mark.parametrize(
    "then",
    [
        FEW,
        f"from {V1}.types import pipeline_job as found\nassert found.PipelineJob is PipelineJob\n{FEW}",
        f"from {V1} import PipelineJob as again\n{SAME}",
        f"from {V1}.types import Model, PipelineJob as again\n{SAME}",
        f"import {V1}\nassert {V1}.PipelineServiceClient is PipelineServiceClient",
        "from google.cloud import aiplatform\nassert aiplatform.PipelineJob",
        f"import {V1} as v1\nassert not hasattr(v1, 'Nothing') and not hasattr(v1.types, 'Nothing')",
        f"lazy.imported(*lazy.AIPLATFORM)\nfrom {V1} import PipelineJob as again\n{SAME}",
    ],
)
def test_a_package_in_parts_is_the_package(then: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{START}\n{then}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
