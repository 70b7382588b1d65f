"""What Vertex AI refuses of an endpoint or a deployment before it does anything."""

import re
from collections.abc import Iterator

from google.cloud.aiplatform_v1 import types

from localcloud.serving_names import check_labels, invalid

ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
DEPLOYED = re.compile(r"[0-9]{1,10}")
# By its form alone: which families there are changes with the years and regions.
MACHINE = re.compile(r"[a-z]+\d+[a-z]*-[a-z]+-\d+[gt]?(?:-[a-z]+)?")
NOT_SERVED = (
    "network",
    "enable_private_service_connect",
    "private_service_connect_config",
    "dedicated_endpoint_enabled",
    "predict_request_response_logging_config",
)
Problem = tuple[str, str]


def check_endpoint(endpoint: types.Endpoint, given_id: str) -> None:
    """Raises INVALID_ARGUMENT, naming each wrong field."""
    problems = list(check_labels(endpoint.labels, "endpoint.labels"))
    if given_id and not ID.fullmatch(given_id):
        problems.append(("endpoint_id", f"'{given_id}' does not match {ID.pattern}."))
    if len(endpoint.display_name) > 128:
        problems.append(("endpoint.display_name", "It has more than 128 characters."))
    unserved = [name for name in NOT_SERVED if getattr(endpoint, name)]
    problems += [(f"endpoint.{name}", "the local cloud does not serve it") for name in unserved]
    if problems:
        raise invalid(problems)


def check_deployed(deployed: types.DeployedModel) -> None:
    """Raises INVALID_ARGUMENT, naming each wrong field of a model that is to be deployed."""
    problems = list(_resources(deployed))
    if not deployed.model:
        problems.append(("deployed_model.model", "Required field is not set."))
    if deployed.id and not DEPLOYED.fullmatch(deployed.id):
        problems.append(("deployed_model.id", f"'{deployed.id}' does not match {DEPLOYED.pattern}."))
    if deployed.id and not deployed.id.strip("0"):
        problems.append(("deployed_model.id", "It must not be 0, which stands for the new one."))
    if problems:
        raise invalid(problems)


def check_replicas(resources: types.DedicatedResources) -> None:
    """Raises INVALID_ARGUMENT for numbers of replicas that cannot be."""
    if problems := list(_replicas(resources, "deployed_model.dedicated_resources")):
        raise invalid(problems)


def _resources(deployed: types.DeployedModel) -> Iterator[Problem]:
    at = "deployed_model.dedicated_resources"
    if "dedicated_resources" not in deployed:
        words = "'automatic_resources' and 'shared_resources' are not supported for this Model."
        set_ = any(one in deployed for one in ("automatic_resources", "shared_resources"))
        yield at, words if set_ else "Required field is not set."
        return
    resources, machine = deployed.dedicated_resources, deployed.dedicated_resources.machine_spec
    if not machine.machine_type:
        yield f"{at}.machine_spec.machine_type", "Required field is not set."
    elif not MACHINE.fullmatch(machine.machine_type):
        words = f"Machine type '{machine.machine_type}' is not supported."
        yield f"{at}.machine_spec.machine_type", words
    if bool(machine.accelerator_type) != (machine.accelerator_count > 0):
        words = "accelerator_type and accelerator_count must be set together."
        yield f"{at}.machine_spec.accelerator_count", words
    yield from _replicas(resources, at)


def _replicas(resources: types.DedicatedResources, at: str) -> Iterator[Problem]:
    least, most = resources.min_replica_count, resources.max_replica_count
    if least < 1:
        yield f"{at}.min_replica_count", f"It must be at least 1; it is {least}."
    if most and most < least:
        yield f"{at}.max_replica_count", f"It must be at least min_replica_count; it is {most}."
