"""google-github-actions/auth in a workflow: its stand-in at the local STS, and then a client."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localcloud.client import Client, free_port
from tests.conftest import WORLD
from tests.delivery.test_workflow_federation import CHECKOUT, PRESS, PROVIDER, PROVISION

pytestmark = pytest.mark.slow

ACCOUNT = "workflow-release-pr@test-project.iam.gserviceaccount.com"
STEPS = f"""
    permissions: {{contents: read, id-token: write}}
    runs-on: ubuntu-24.04
    steps:
      - uses: {CHECKOUT}
      - id: auth
        uses: google-github-actions/auth@7c6bc770dae815cd3e89ee6cdf493a5fab2cc093 # v3.0.0
        with:
          workload_identity_provider: {PROVIDER}
          service_account: {ACCOUNT}
          token_format: access_token
      - env:
          GIVEN: ${{{{ steps.auth.outputs.project_id }}}} ${{{{ steps.auth.outputs.access_token }}}}
        run: |
          echo "given $GIVEN"
          test "$GOOGLE_APPLICATION_CREDENTIALS" = "$CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"
          {sys.executable} -W ignore - <<'END'
          from google.cloud import secretmanager
          name = "projects/test-project/secrets/federated-github-release/versions/latest"
          client = secretmanager.SecretManagerServiceClient()
          print("secret", client.access_secret_version(name=name).payload.data.decode())
          END
"""
BUTTON = "name: {0}\non: workflow_dispatch\njobs:\n  one:{1}"


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A local cloud of its own: provisioning is another test's subject."""
    client = Client(tmp_path_factory.mktemp("auth"))
    client.up(WORLD, free_port())
    yield client
    client.down()


def test_a_workflow_becomes_its_account_and_no_other(own: Client, run_in: Callable[..., Any]) -> None:
    run_in(own, PROVISION)
    files = {
        f".github/workflows/{name}.yml": BUTTON.format(name, STEPS) for name in ("release-pr", "train")
    }
    keyless = files[".github/workflows/train.yml"].replace(", id-token: write", "")
    files[".github/workflows/tick.yml"] = keyless
    press = PRESS.replace('("train.yml", "topic")', '("tick.yml", "main")')
    logs = run_in(own, f"files = {files!r}\n{press}")
    assert "given test-project ***" in logs["release-pr.yml main"]
    assert "secret hush" in logs["release-pr.yml main"]
    assert "'iam.serviceAccounts.getAccessToken' denied" in logs["train.yml main"]
    assert "it needs `permissions: id-token: write`" in logs["tick.yml main"]
