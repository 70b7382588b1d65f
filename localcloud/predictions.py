"""Vertex AI's online predictions: each request goes to a deployed model's server and back."""

import json
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, TypeVar

from google.api import httpbody_pb2
from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format

from localcloud.cloud import Cloud
from localcloud.endpoints import Endpoints
from localcloud.errors import ApiError, bad_request
from localcloud.http import Request, Response
from localcloud.models_versions import Versions
from localcloud.monitoring_points import Points
from localcloud.prediction_errors import as_it_is, check_size, good, lost, predictions
from localcloud.prediction_routes import Routes, Target
from localcloud.rpc import Caller, RpcHandler, Verbatim
from localcloud.rpc_json import unknown
from localcloud.serving_client import Answer
from localcloud.serving_names import DENIED, HOSTS
from localcloud.serving_replica import GoneError

T = TypeVar("T")
MISSING = "Required field 'instances' is not set."
NO_LIST = "Invalid value at 'instances': it must be a list, with an entry for each instance."
JSON = "application/json"
PERMISSION = "aiplatform.endpoints.predict"
TRIES = 10  # how often a request is given to another server because the first one is being ended


class Predictions:
    """PredictionService, of endpoints; what it counts is in Points."""

    client = "google.cloud.aiplatform_v1.services.prediction_service"
    hosts = HOSTS

    def __init__(self, cloud: Cloud, endpoints: Endpoints, points: Points) -> None:
        self._cloud, self._points, self._versions = cloud, points, Versions(cloud)
        self._routes = Routes(endpoints.rows, endpoints.servers)

    def handlers(self) -> Mapping[str, RpcHandler]:
        """The calls that are served."""
        return {
            "Predict": Verbatim(self.predict, self.predict_json),
            "RawPredict": Verbatim(self.raw_predict, self.raw_predict_json),
        }

    def predict(self, request: types.PredictRequest, caller: Caller) -> types.PredictResponse:
        """Predict by gRPC: numbers are doubles."""
        name = self._endpoint(request.endpoint, caller)
        raw = types.PredictRequest.pb(request)
        check_size(raw.ByteSize())
        sent = {"instances": [_plain(f"instances[{n}]", one) for n, one in enumerate(raw.instances)]}
        if raw.HasField("parameters"):
            sent["parameters"] = _plain("parameters", raw.parameters)
        found = self._predicted(name, json.dumps(sent).encode(), len(raw.instances))
        return types.PredictResponse.wrap(json_format.ParseDict(found, types.PredictResponse.pb()()))

    def predict_json(self, request: Request, fields: Mapping[str, str], caller: Caller) -> Response:
        """Predict by REST: JSON goes to the server and back as it is."""
        name = self._endpoint(fields["endpoint"], caller)
        check_size(len(request.body))
        sent = request.json()
        problems = list(unknown(types.PredictRequest.pb().DESCRIPTOR, sent))
        given = sent.get("instances") if isinstance(sent, dict) else None
        if not problems and not isinstance(given, list):
            problems = [("instances", MISSING if given is None else NO_LIST)]
        if problems:
            raise bad_request(problems)
        return Response(self._predicted(name, request.body, len(sent["instances"])))

    def raw_predict(self, request: types.RawPredictRequest, caller: Caller) -> httpbody_pb2.HttpBody:
        """Any body to the server and back, by gRPC."""
        name, body = self._endpoint(request.endpoint, caller), request.http_body
        check_size(len(body.data))
        kind = body.content_type or JSON
        if not (kind.isascii() and kind.isprintable()):
            raise bad_request([("http_body.content_type", "Invalid value: it is not a media type.")])
        _, answer = self._asked(name, body.data, kind, 1, as_it_is)
        return httpbody_pb2.HttpBody(content_type=answer.kind, data=answer.body)

    def raw_predict_json(self, request: Request, fields: Mapping[str, str], caller: Caller) -> Response:
        """Any body to the server and back, by REST."""
        name = self._endpoint(fields["endpoint"], caller)
        check_size(len(request.body))
        kind = request.headers.get("content-type", JSON)
        target, answer = self._asked(name, request.body, kind, 1, as_it_is)
        headers = {
            "content-type": answer.kind or JSON,
            "X-Vertex-AI-Endpoint-Id": name.rsplit("/", 1)[1],
            "X-Vertex-AI-Deployed-Model-Id": target.id,
            "X-Vertex-AI-Model": target.model,
            "X-Vertex-AI-Model-Version-Id": target.version,
        }
        return Response(answer.body, headers=headers)

    def _endpoint(self, given: str, caller: Caller) -> str:
        """The endpoint's own name. Raises PERMISSION_DENIED."""
        name = self._cloud.iam.resource(given)
        words = DENIED.format(permission=PERMISSION, name=name)
        self._cloud.iam.check(caller.principal, PERMISSION, name, words)
        if "/publishers/" in name:
            raise ApiError("UNIMPLEMENTED", "the local cloud does not serve models of publishers")
        return name

    def _predicted(self, name: str, body: bytes, instances: int) -> dict[str, Any]:
        target, found = self._asked(name, body, JSON, instances, predictions)
        return {
            "predictions": found["predictions"],
            "deployedModelId": target.id,
            "model": target.model,
            "modelDisplayName": self._versions.display_name(target.model),
            "modelVersionId": target.version,
            **({"metadata": found["metadata"]} if "metadata" in found else {}),
        }

    def _asked(
        self, name: str, body: bytes, kind: str, instances: int, read: Callable[[str, Answer], T]
    ) -> tuple[Target, T]:
        """What is read of a server's good answer to a body, counted. Raises ApiError otherwise."""
        began = time.monotonic()
        target, answer = self._sent(name, body, {"Content-Type": kind})
        milliseconds = (time.monotonic() - began) * 1000
        try:
            found = read(target.id, good(answer))
        except ApiError as error:
            self._points.count((name, target.id, error.status), 0, milliseconds)
            raise
        self._points.count((name, target.id, 200), instances, milliseconds)
        return target, found

    def _sent(self, name: str, body: bytes, headers: dict[str, str]) -> tuple[Target, Answer | ApiError]:
        for _ in range(TRIES):
            target = self._routes.find(name).choose()
            if target.replica is None:
                self._routes.forget(name)
                continue
            try:
                return target, target.replica.post(body, headers)
            except GoneError:
                self._routes.forget(name)
            except (OSError, HTTPException) as error:
                return target, lost(error)
        raise ApiError("UNAVAILABLE", f"No server of {name} takes requests.")


def _plain(where: str, value: Any) -> Any:
    """A protobuf value as JSON has it: NaN and infinity it has not. Raises INVALID_ARGUMENT."""
    try:
        return json_format.MessageToDict(value)
    except (ValueError, json_format.Error) as error:
        raise bad_request([(where, f"Invalid value at '{where}': {error}")]) from None
