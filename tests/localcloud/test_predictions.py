"""Predictions through endpoints: bodies, refusals, crashes, grants, and what Monitoring shows."""

import json
from typing import Any

import pytest
import requests

from tests.conftest import WORLD, Program
from tests.eventually import eventually
from tests.localcloud.servers import Models

pytestmark = pytest.mark.slow

SERIES = f"https://monitoring.googleapis.com/v3/projects/{WORLD.project}/timeSeries"
ONLINE = "aiplatform.googleapis.com/prediction/online"
ALWAYS = {"interval.startTime": "2020-01-01T00:00:00Z", "interval.endTime": "2100-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def endpoint(models: Models) -> str:
    """An endpoint that doubles, by one deployed model of the id 1."""
    made = models.endpoint()
    models.deployed(made, models.upload(), {"0": 100}, id="1")
    return made


def send(models: Models, endpoint: str, verb: str, body: bytes, **headers: str) -> requests.Response:
    """Any body."""
    url = f"{models.address}/{endpoint}:{verb}"
    found: requests.Response = models.session.post(url, data=body, headers=headers)
    return found


def test_numbers_stay_as_they_are(models: Models, endpoint: str) -> None:
    body = b'{"instances": [3, 3.0, 9007199254740993, "a", [1]], "parameters": {"k": 1}}'
    answer = send(models, endpoint, "predict", body)
    assert b'"predictions": [6, 6.0, 18014398509481986, "aa", [1, 1]]' in answer.content
    some = send(models, endpoint, "predict?fields=predictions", body)
    assert list(some.json()) == ["predictions"]


def test_raw_bodies_go_there_and_back(models: Models, endpoint: str) -> None:
    answer = send(models, endpoint, "rawPredict", b"abc \xff", **{"Content-Type": "text/plain"})
    assert (answer.content, answer.headers["Content-Type"]) == (b"\xff cba", "text/plain")
    assert answer.headers["X-Vertex-AI-Deployed-Model-Id"] == "1"
    assert answer.headers["X-Vertex-AI-Endpoint-Id"] == endpoint.rsplit("/", 1)[1]
    assert "/models/" in answer.headers["X-Vertex-AI-Model"]
    assert answer.headers["X-Vertex-AI-Model-Version-Id"] == "1"


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (400, 400, "INVALID_ARGUMENT"),
        (404, 404, "NOT_FOUND"),
        (422, 400, "FAILED_PRECONDITION"),
        (500, 500, "INTERNAL"),
        (503, 503, "UNAVAILABLE"),
    ],
)
def test_a_server_s_refusal_has_its_words(
    models: Models, endpoint: str, said: int, status: int, code: str
) -> None:
    error = models.predict(endpoint, ["bad"], status, parameters=said)["error"]
    assert (error["status"], error["message"]) == (code, '{"error": "instance 0 is bad"}')


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "'instances' is not set"),
        (b'{"instances": 1}', "'instances': it must be a list"),
        (b'{"instances": {"b64": "aa"}}', "'instances': it must be a list"),
        (b'{"instances": [1], "colour": 1}', 'Unknown name "colour"'),
        (b"[1]", "'instances' is not set"),
        (b"{", "Invalid JSON"),
        (b'{"instances": ' + b"[" * 100_000, "Invalid JSON"),
        (b'{"instances": ["%s"]}' % (1_600_000 * b"a"), "exceeds the limit: 1572864 bytes"),
    ],
)
def test_what_is_no_request_does_not_reach_a_server(
    models: Models, endpoint: str, body: bytes, words: str
) -> None:
    answer = send(models, endpoint, "predict", body)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert words in answer.json()["error"]["message"]


def test_an_answer_that_is_too_large_is_an_error(models: Models, endpoint: str) -> None:
    answer = models.predict(endpoint, [1_000_000 * "a"], 400)["error"]
    assert answer["message"] == "Response payload size exceeds the limit: 1572864 bytes."


def test_a_server_that_dies_at_a_request_is_unavailable_and_comes_back(models: Models) -> None:
    endpoint = models.endpoint()
    own = models.deployed(endpoint, models.upload("dies"), {"0": 100})
    error = models.predict(endpoint, [1], 503)["error"]
    assert error["status"] == "UNAVAILABLE"
    assert error["message"].startswith("The model server gave no answer")
    eventually(lambda: models.log(endpoint, own) == 2 * "mode dies\n")
    assert counted(models, endpoint, "error_count") == {(own,): 1}


def test_by_grpc(models: Models, endpoint: str, program: Program) -> None:
    answer = program(f"""
from google.api import httpbody_pb2
from google.api_core import exceptions
from google.cloud import aiplatform_v1
from google.protobuf import json_format, struct_pb2
options = {{"api_endpoint": "{WORLD.region}-aiplatform.googleapis.com"}}
client = aiplatform_v1.PredictionServiceClient(client_options=options)
value = lambda given: json_format.ParseDict(given, struct_pb2.Value())
found = client.predict(endpoint={endpoint!r}, instances=[value([1, "a"]), value(2.5)])
answer = [json_format.MessageToDict(type(found).pb(found))]
body = httpbody_pb2.HttpBody(data=b"abc", content_type="text/plain")
raw = client.raw_predict(request={{"endpoint": {endpoint!r}, "http_body": body}})
answer.append([raw.data.decode(), raw.content_type])
try:
    client.predict(endpoint={endpoint!r}, instances=[value("bad")], parameters=value(400))
except exceptions.InvalidArgument as error:
    answer.append(error.message)
nan = struct_pb2.Value(number_value=float("nan"))
try:
    client.predict(endpoint={endpoint!r}, instances=[value(1), nan])
except exceptions.InvalidArgument as error:
    answer.append(error.message)
body = httpbody_pb2.HttpBody(data=b"abc", content_type="text/plain\\r\\nname: value")
try:
    client.raw_predict(request={{"endpoint": {endpoint!r}, "http_body": body}})
except exceptions.InvalidArgument as error:
    answer.append(error.message)
""")
    assert answer[0]["predictions"] == [[1, "a", 1, "a"], 5]
    assert answer[0]["deployedModelId"] == "1"
    assert answer[1:3] == [["cba", "text/plain"], '{"error": "instance 0 is bad"}']
    assert [("instances[1]" in words, "media type" in words) for words in answer[3:]] == [
        (True, False),
        (False, True),
    ]


def test_who_may_ask_an_endpoint(models: Models, endpoint: str, as_account: Any) -> None:
    accounts = f"https://iam.googleapis.com/v1/projects/{WORLD.project}/serviceAccounts"
    project = f"https://cloudresourcemanager.googleapis.com/v3/projects/{WORLD.project}"
    with_conditions = {"options": {"requestedPolicyVersion": 3}}  # another test may have set one
    seen = {}
    for role in ("user", "viewer"):
        own = models.id()
        account = models.session.post(accounts, json={"accountId": own}).json()["email"]
        policy = models.session.post(f"{project}:getIamPolicy", json=with_conditions).json()
        binding = {"role": f"roles/aiplatform.{role}", "members": [f"serviceAccount:{account}"]}
        changed = {"policy": {**policy, "bindings": [*policy["bindings"], binding]}}
        assert models.session.post(f"{project}:setIamPolicy", json=changed).ok
        seen[role] = as_account(
            account,
            f"""
import google.auth, google.auth.transport.requests
session = google.auth.transport.requests.AuthorizedSession(google.auth.default()[0])
url = "{models.address}/{endpoint}"
answer = [session.get(url).status_code,
    session.post(url + ":predict", json={{"instances": [1]}}).status_code,
    session.get({SERIES!r}).status_code]
""",
        )
    assert seen == {"user": [200, 200, 403], "viewer": [200, 403, 403]}


def listed(models: Models, endpoint: str, metric: str, **query: Any) -> list[dict[str, Any]]:
    """An endpoint's time series of one metric."""
    only = f'resource.labels.endpoint_id = "{endpoint.rsplit("/", 1)[1]}"'
    text = f'metric.type = "{ONLINE}/{metric}" AND {only}'
    answer = models.session.get(SERIES, params={"filter": text, **ALWAYS, **query})
    assert answer.status_code == 200, answer.text
    return list(answer.json().get("timeSeries", []))


def counted(models: Models, endpoint: str, metric: str) -> dict[tuple[str, ...], int]:
    """The sums by the metric's labels."""
    return {
        tuple(one["metric"]["labels"].values()): sum(
            int(p["value"]["int64Value"]) for p in one["points"]
        )
        for one in listed(models, endpoint, metric)
    }


def test_what_was_served_is_counted(models: Models) -> None:
    endpoint, model = models.endpoint(), models.upload()
    models.deployed(endpoint, model, {"0": 100}, id="1")
    assert listed(models, endpoint, "prediction_count") == []
    models.predict(endpoint, [1, 2, 3])
    models.predict(endpoint, ["bad"], 500, parameters=500)
    models.deployed(endpoint, model, {"0": 100}, id="2")
    for _ in range(2):
        models.predict(endpoint, [1])
    assert counted(models, endpoint, "prediction_count") == {("1",): 3, ("2",): 2}
    assert counted(models, endpoint, "error_count") == {("1",): 1, ("2",): 0}
    codes = {("1", "200"): 1, ("1", "500"): 1, ("2", "200"): 2}
    assert counted(models, endpoint, "response_count") == codes
    [first, second] = listed(models, endpoint, "prediction_latencies")
    assert first["metric"]["labels"] == {"deployed_model_id": "1", "latency_type": "total"}
    found = [one["points"][0]["value"]["distributionValue"] for one in (first, second)]
    assert [one["count"] for one in found] == ["2", "2"]
    assert [sum(map(int, one["bucketCounts"])) for one in found] == [2, 2]
    assert all(one["mean"] > 0 for one in found)


def test_series_are_aligned_and_summed(models: Models) -> None:
    endpoint, model = models.endpoint(), models.upload()
    models.deployed(endpoint, model, {"0": 100}, id="1")
    models.deployed(endpoint, model, {"1": 50, "0": 50}, id="2")
    for _ in range(10):
        models.predict(endpoint, [1])
    year = {"aggregation.alignmentPeriod": "62899200s"}
    total = year | {
        "aggregation.perSeriesAligner": "ALIGN_DELTA",
        "aggregation.crossSeriesReducer": "REDUCE_SUM",
    }
    [one] = listed(models, endpoint, "response_count", **total)
    assert [point["value"] for point in one["points"]] == [{"int64Value": "10"}]
    by_code = total | {"aggregation.groupByFields": "metric.labels.response_code"}
    [one] = listed(models, endpoint, "response_count", **by_code)
    assert one["metric"]["labels"] == {"response_code": "200"}
    p99 = year | {"aggregation.perSeriesAligner": "ALIGN_PERCENTILE_99"}
    for one in listed(models, endpoint, "prediction_latencies", **p99):
        assert one["valueType"] == "DOUBLE"
        assert one["points"][0]["value"]["doubleValue"] > 0
    past = {"interval.endTime": "2021-01-01T00:00:00Z"}
    assert listed(models, endpoint, "response_count", **past) == []


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({}, 400, "single metric type"),
        ({"filter": 'metric.type = "compute.googleapis.com/x"'}, 404, "Cannot find metric(s)"),
        ({"filter": f'metric.type = "{ONLINE}/error_count" AND colour = 1'}, 400, "colour"),
        ({"filter": f'metric.type = "{ONLINE}/error_count"', "interval.endTime": "noon"}, 400, "3339"),
    ],
)
def test_what_monitoring_refuses(models: Models, query: Any, status: int, words: str) -> None:
    answer = models.session.get(SERIES, params=ALWAYS | query)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


def test_a_server_s_words_are_log_entries(models: Models, endpoint: str) -> None:
    own = endpoint.rsplit("/", 1)[1]
    text = f'resource.type="aiplatform.googleapis.com/Endpoint" AND resource.labels.endpoint_id="{own}"'
    body = {"resourceNames": [f"projects/{WORLD.project}"], "filter": text}
    url = "https://logging.googleapis.com/v2/entries:list"
    [entry] = models.session.post(url, json=body).json()["entries"]
    assert entry["jsonPayload"]["message"] == "mode healthy"
    assert entry["labels"] == {"deployed_model_id": "1"}


def test_faults_happen_to_predictions(models: Models, endpoint: str) -> None:
    fault = {"method": "aiplatform.Predict", "action": "error:503", "nth": 1, "caller": "*"}
    models.cloud.ask("POST", "/faults", fault)
    assert "on purpose" in models.predict(endpoint, [1], 503)["error"]["message"]
    assert models.predict(endpoint, [1])["predictions"] == [2]
    known = json.dumps(models.cloud.ask("GET", "/faults"))
    assert "aiplatform.Predict" in known
    models.cloud.ask("DELETE", "/faults")
