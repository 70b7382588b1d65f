"""What is refused by name before anything is done, and what is not."""

from typing import Any

import pytest
from google.cloud.aiplatform_v1 import types

from localcloud.endpoints_checks import check_deployed, check_endpoint
from localcloud.errors import ApiError
from localcloud.models_checks import check_upload

IMAGE = "europe-west1-docker.pkg.dev/acme-ml/images/one:v1"
LOGGING = "predict_request_response_logging_config"


@pytest.mark.parametrize(
    ("machine", "is_one"),
    [
        ("n1-standard-2", True),
        ("c4-highcpu-8", True),
        ("m1-ultramem-40", True),
        ("ct5lp-hightpu-4t", True),
        ("a3-edgegpu-8g-nolssd", True),
        ("big", False),
        ("n1-standard", False),
        ("N1-standard-2", False),
    ],
)
def test_a_machine_is_known_by_its_form(machine: str, is_one: bool) -> None:
    resources = {"machine_spec": {"machine_type": machine}, "min_replica_count": 1}
    deployed = types.DeployedModel(model="m", dedicated_resources=resources)
    if is_one:
        check_deployed(deployed)
    else:
        with pytest.raises(ApiError, match=f"'{machine}' is not supported"):
            check_deployed(deployed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("startup_probe.exec", {"startup_probe": {"exec_": {"command": ["true"]}}}),
        ("health_probe.grpc", {"health_probe": {"grpc": {"port": 1}}}),
        ("liveness_probe.tcp_socket", {"liveness_probe": {"tcp_socket": {"port": 1}}}),
        ("health_probe.http_get.path", {"health_probe": {"http_get": {"path": "health"}}}),
        ("health_probe.http_get.port", {"health_probe": {"http_get": {"port": 9000}}}),
        ("startup_probe.http_get.scheme", {"startup_probe": {"http_get": {"scheme": "HTTPS"}}}),
        ("startup_probe.http_get.host", {"startup_probe": {"http_get": {"host": "other"}}}),
        (
            "health_probe.http_get.http_headers",
            {"health_probe": {"http_get": {"http_headers": [{"name": "A"}]}}},
        ),
        ("liveness_probe.http_get.path", {"liveness_probe": {"http_get": {"path": "/alive"}}}),
    ],
)
def test_what_is_not_done_of_a_probe_is_refused(field: str, value: dict[str, Any]) -> None:
    def asked(more: dict[str, Any]) -> types.UploadModelRequest:
        container = types.ModelContainerSpec(image_uri=IMAGE, **more)
        return types.UploadModelRequest(model=types.Model(display_name="a", container_spec=container))

    check_upload(asked({"startup_probe": {"failure_threshold": 3}}))
    own = {"health_probe": {"http_get": {"path": "/well", "port": 9000, "scheme": "HTTP"}}}
    check_upload(asked(own | {"ports": [{"container_port": 9000}]}))
    with pytest.raises(ApiError, match=f"Field: model.container_spec.{field};"):
        check_upload(asked(value))


def test_what_would_be_ignored_is_refused() -> None:
    check_endpoint(types.Endpoint(display_name="a"), "")
    with pytest.raises(ApiError, match=f"Field: endpoint.{LOGGING};"):
        check_endpoint(types.Endpoint({LOGGING: {"enabled": True}}), "")
    model = types.Model(display_name="a", container_spec={"image_uri": IMAGE})
    with pytest.raises(ApiError, match="Field: service_account;"):
        check_upload(types.UploadModelRequest(model=model, service_account="a@b.example"))
