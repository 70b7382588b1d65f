"""The last lines of a server on an endpoint: why it has not become healthy."""

from delivery import logs
from delivery.settings import Environment
from flows.errors import RetrainError

KIND = 'resource.type="aiplatform.googleapis.com/Endpoint"'


def tail(environment: Environment, endpoint: str, deployed: str) -> list[str]:
    """The deployed model's last lines, the last one last; why there are none, where it is so."""
    tests = (
        KIND,
        f'resource.labels.endpoint_id="{endpoint}"',
        f'labels.deployed_model_id="{deployed}"',
    )
    try:
        return logs.newest(environment.project, tests) or ["its container has written nothing"]
    except RetrainError as error:
        return str(error).splitlines()
