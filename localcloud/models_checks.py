"""What Vertex AI refuses of a model before it is registered."""

import re
from collections.abc import Iterator

from google.cloud.aiplatform_v1 import types

from localcloud.serving_names import check_labels, invalid

ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9-]")
IMAGE = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev/\S+|(?:[a-z]+\.)?gcr\.io/\S+")
GCS = re.compile(r"gs://[a-z0-9][a-z0-9._-]*(?:/\S*)?")
LONGEST = 2 * 3600  # seconds that a deployment may take at most
PROBES = ("startup_probe", "health_probe", "liveness_probe")
PORT = 8080  # where a container listens that names none
ACTIONS = ("exec_", "grpc", "tcp_socket")

Problem = tuple[str, str]


def check_upload(request: types.UploadModelRequest) -> None:
    """Raises INVALID_ARGUMENT, naming each wrong field."""
    model, problems = request.model, list[Problem]()
    if request.model_id and not ID.fullmatch(request.model_id):
        problems.append(("model_id", f"'{request.model_id}' does not match {ID.pattern}."))
    if request.model_id and request.parent_model:
        problems.append(("model_id", "model_id and parent_model cannot both be set."))
    if request.service_account:
        problems.append(("service_account", "the local cloud does not serve it: name it at DeployModel"))
    if len(model.display_name) > 128:
        problems.append(("model.display_name", "It has more than 128 characters."))
    if model.artifact_uri and not GCS.fullmatch(model.artifact_uri):
        problems.append(("model.artifact_uri", f"'{model.artifact_uri}' is not of Cloud Storage."))
    problems += _container(model.container_spec)
    problems += check_labels(model.labels, "model.labels")
    problems += _aliases(model.version_aliases, "model.version_aliases")
    if problems:
        raise invalid(problems)


def check_merge(aliases: list[str]) -> None:
    """Raises INVALID_ARGUMENT for what is no alias."""
    problems = list(_aliases([one.removeprefix("-") for one in aliases], "version_aliases"))
    if problems:
        raise invalid(problems)


def _probe(probe: types.Probe, at: str, port: int) -> Iterator[Problem]:
    """What is not done of a probe: a server has one port, whose number is not the Model's."""
    if unserved := [kind for kind in ACTIONS if kind in probe]:
        yield f"{at}.{unserved[0].strip('_')}", "the local cloud asks for health by HTTP alone"
    asked = probe.http_get
    if asked.path and not asked.path.startswith("/"):
        yield f"{at}.http_get.path", f"'{asked.path}' does not begin with a slash."
    if asked.path and at.endswith("liveness_probe"):
        yield f"{at}.http_get.path", "the local cloud starts a server again when its process has ended"
    if asked.port not in (0, port):
        yield f"{at}.http_get.port", f"the local cloud asks the server's own port alone, {port}"
    if asked.scheme not in ("", "HTTP"):
        yield f"{at}.http_get.scheme", "the local cloud asks for health by plain HTTP alone"
    for field in ("host", "http_headers"):
        if getattr(asked, field):
            yield f"{at}.http_get.{field}", "the local cloud does not serve it"


def _port(spec: types.ModelContainerSpec) -> int:
    """Where the container listens, by its specification."""
    return spec.ports[0].container_port if spec.ports else PORT


def _aliases(aliases: list[str], field: str) -> Iterator[Problem]:
    for one in aliases:
        if not ALIAS.fullmatch(one):
            yield field, f"The alias '{one}' does not match {ALIAS.pattern}."


def _container(spec: types.ModelContainerSpec) -> Iterator[Problem]:
    at = "model.container_spec"
    if not spec.image_uri:
        yield f"{at}.image_uri", "Required field is not set."
    elif not IMAGE.fullmatch(spec.image_uri):
        words = f"The image '{spec.image_uri}' is not in Artifact Registry or Container Registry."
        yield f"{at}.image_uri", words
    for field in ("predict_route", "health_route"):
        if (route := getattr(spec, field)) and not route.startswith("/"):
            yield f"{at}.{field}", f"'{route}' does not begin with a slash."
    for field in PROBES:
        yield from _probe(getattr(spec, field), f"{at}.{field}", _port(spec))
    names = [one.name for one in spec.env]
    if any(name.startswith("AIP_") or not name for name in names):
        yield f"{at}.env", "Names must not be empty, nor begin with AIP_."
    if any(not 0 < port.container_port < 65536 for port in spec.ports):
        yield f"{at}.ports", "A port is between 1 and 65535."
    if not 0 <= spec.deployment_timeout.total_seconds() <= LONGEST:
        yield f"{at}.deployment_timeout", f"It is at most {LONGEST} seconds."
