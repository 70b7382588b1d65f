"""How a deployed model's server is started: its command, its whole environment, its routes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.cloud.aiplatform_v1 import types

from localcloud.forks import Order
from localcloud.pipeline_image import Image

REFERENCE = re.compile(r"\$(\$|\((\w+)\))")
DEADLINE = 300.0  # seconds until a server must be healthy, where its model names none
PROBE = 10.0  # seconds that a health check may take, where its model names none
PROBES = 10.0  # seconds between two of them
FAILURES = 3


@dataclass(frozen=True)
class Spec:
    """A server that can be started at any port; `log` is the file for what it says.

    Until it is ready, `startup_route` must answer as well as `health_route`.
    `given` are the Model's own variables in their order: each may name those before it.
    """

    argv: Sequence[str]
    cwd: str
    variables: Mapping[str, str]
    given: Sequence[tuple[str, str]]
    scratch: Path
    log: Path
    startup_route: str
    health_route: str
    predict_route: str
    deadline: float
    probe_timeout: float
    probe_period: float
    probe_failures: int

    def order(self, port: int) -> Order:
        """The process at a port."""
        variables = {**self.variables, "AIP_HTTP_PORT": str(port)}
        for name, value in self.given:
            variables[name] = expanded(value, variables)
        argv = [expanded(word, variables) for word in self.argv]
        return Order(argv, self.cwd, variables, str(self.log), fresh=True)


def command(container: types.ModelContainerSpec, config: Mapping[str, list[str]]) -> list[str]:
    """What is run: the container's command and arguments, or the image's own."""
    own = [] if container.command else config.get("Cmd") or []
    first = list(container.command) or config.get("Entrypoint") or []
    return [*first, *(list(container.args) or own)]


def program(argv: Sequence[str], image: Image) -> list[str]:
    """A command with the image's Python for `python`."""
    first = image.python if argv[0] in ("python", "python3") else argv[0]
    return [first, *argv[1:]]


def routes(container: types.ModelContainerSpec, endpoint: str, deployed: str) -> tuple[str, str]:
    """Where health is asked for, and predictions."""
    own = f"/v1/endpoints/{endpoint}/deployedModels/{deployed}"
    return container.health_route or own, container.predict_route or f"{own}:predict"


def probed(probe: types.Probe, route: str) -> str:
    """Where a probe asks: its own path, else where the Model says that health is."""
    return str(probe.http_get.path) or route


def deadline(container: types.ModelContainerSpec) -> float:
    """Seconds until a server must be healthy: by its startup probe, or for the whole deployment."""
    probe, given = container.startup_probe, container.deployment_timeout.total_seconds()
    if probe.failure_threshold:
        period = probe.period_seconds or PROBES
        return float(probe.initial_delay_seconds + probe.failure_threshold * period)
    return float(given or DEADLINE)


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """A text with $(NAME) replaced as Kubernetes does it; $$ is a dollar, unknown names stay."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else variables.get(found[2], found[0])

    return REFERENCE.sub(value, text)
