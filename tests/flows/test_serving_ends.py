"""How the prediction server starts and ends: what it must not serve, and which requests not lose."""

import asyncio
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.manifests import described
from flows.errors import InputError
from flows.manifest import File
from flows.serving import server
from flows.serving.place import Place
from flows.serving.worker import Worker
from localcloud.client import Client
from tests.eventually import eventually
from tests.flows import serving
from tests.flows.serving import BUCKET, Released, Server

BODY = b'{"instances": [[86.6, 91.4, 50]]}'
GIVEN = {"AIP_STORAGE_URI": "gs://serving/one", "MANIFEST_SHA256": "0" * 64}
CLIENTS = 8


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AIP_STORAGE_URI": ""}, "AIP_STORAGE_URI is ''"),
        ({"AIP_STORAGE_URI": "s3://models/one"}, "AIP_STORAGE_URI is 's3://models/one'"),
        ({"AIP_STORAGE_URI": "gs://"}, "AIP_STORAGE_URI is 'gs://'"),
        ({"AIP_STORAGE_URI": "gs://models/../one"}, "'gs://models/../one' is not an address"),
        ({"MANIFEST_SHA256": ""}, "MANIFEST_SHA256 is ''"),
        ({"MANIFEST_SHA256": "A" * 64}, "MANIFEST_SHA256 is 'AAAA"),
        ({"AIP_HTTP_PORT": "http"}, "AIP_HTTP_PORT is 'http', expected a port"),
        ({"AIP_HTTP_PORT": "65536"}, "AIP_HTTP_PORT is '65536'"),
        ({"AIP_HEALTH_ROUTE": "health"}, "AIP_HEALTH_ROUTE is 'health', expected a path"),
        ({"AIP_PREDICT_ROUTE": "/health"}, "both '/health'"),
    ],
)
def test_a_wrong_environment_is_refused(variables: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        Place.read(GIVEN | variables)


def test_routes_and_port_have_defaults() -> None:
    place = Place.read(GIVEN)
    assert (place.port, place.health, place.predict) == (8080, "/health", "/predict")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's files."""
    folder = tmp_path_factory.mktemp("files")
    serving.linnerud(folder)
    return folder


@pytest.fixture(scope="module")
def released(program: Any, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Released:
    """That model, in the bucket."""
    return put(program, files, tmp_path_factory.mktemp("released"), {}, {})


def put(
    program: Any, files: Path, folder: Path, changed: dict[str, Any], after: dict[str, bytes]
) -> Released:
    """The model in the bucket; `changed` are fields of its manifest, `after` it files are others."""
    for path in files.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    found = described("linnerud", "mlp", "onnx", folder)
    for name, content in after.items():
        (folder / name).write_bytes(content)
    return serving.release(program, folder, msgspec.structs.replace(found, **changed), folder.name)


def started(cloud: Client, folder: Path, released: Released, *words: str, **variables: str) -> Any:
    return serving.serving(cloud, folder / "server", released, *words, **variables)


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a release, and how the server says so."""

    words: str
    changed: dict[str, Any] = field(default_factory=dict)
    after: dict[str, bytes] = field(default_factory=dict)
    sha256: str = ""


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong("manifest.json: its hash is ", sha256="0" * 64),
        Wrong("model.onnx: it is 5 bytes with SHA-256 ", after={"model.onnx": b"other"}),
        Wrong("/gone", {"files": {"gone": File(sha256="0" * 64, bytes=1)}}),
        Wrong("this image has no flow 'nobody'", {"flow": "nobody"}),
        Wrong("this flow cannot open a model of mlp in pickle", {"format": "pickle"}),
        Wrong("manifest.json: Invalid enum value 2", {"schema": 2}),
    ],
    ids=lambda wrong: wrong.words,
)
def test_what_was_not_released_is_not_served(
    cloud: Client, program: Any, files: Path, tmp_path: Path, wrong: Wrong
) -> None:
    found = put(program, files, tmp_path, wrong.changed, wrong.after)
    with started(cloud, tmp_path, Released(found.uri, wrong.sha256 or found.sha256)) as server:
        assert server.ended() == 1
        assert server.log[1].startswith("error: ")
        assert wrong.words in server.log[1]
        assert server.log[2].startswith("  mend: ")


def test_a_folder_without_a_manifest_is_not_served(
    cloud: Client, released: Released, tmp_path: Path
) -> None:
    with started(cloud, tmp_path, Released(f"gs://{BUCKET}/nothing", "0" * 64)) as server:
        assert server.ended() == 1
        assert "nothing/manifest.json" in server.log[1]


def test_a_port_that_is_taken_is_named(cloud: Client, released: Released, tmp_path: Path) -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with started(cloud, tmp_path, released, AIP_HTTP_PORT=str(port)) as server:
            assert server.ended() == 1
            assert server.log[0] == f"error: port {port}: Address already in use"


@pytest.fixture
def hanging(cloud: Client) -> Iterator[None]:
    """Cloud Storage does not answer: a model that takes for ever to load."""
    cloud.ask("POST", "/faults", {"method": "storage.objects.get", "action": "hang"})
    yield
    cloud.ask("DELETE", "/faults")


@pytest.mark.usefixtures("hanging")
def test_it_listens_before_it_has_loaded(cloud: Client, released: Released, tmp_path: Path) -> None:
    with started(cloud, tmp_path, released) as server:
        for method, path in (("GET", "/health"), ("POST", "/predict")):
            found = server.ask(method, path, BODY if method == "POST" else None)
            assert (found.status, found.body) == (503, {"error": "the model is being loaded"})
        assert server.stop() == 0
        assert len(server.log) == 3
        assert not list((tmp_path / "server").glob("model-*"))


def test_a_request_in_flight_is_answered_before_the_end(
    cloud: Client, released: Released, tmp_path: Path
) -> None:
    with started(cloud, tmp_path, released) as server:
        connection = half(server.ready())
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping: SIGTERM · in flight: 1" in server.log)
        assert server.ask("GET", "/health").status == 503
        other = server.predict([[86.6, 91.4, 50]])
        assert (other.status, other.headers["connection"]) == (200, "close")
        connection.send(BODY[10:])
        assert connection.getresponse().status == 200
        connection.close()
        assert server.ended() == 0
        assert server.log[-1] == "stopped: 2 requests answered · 0 refused · 0 failed"


def test_the_end_is_bounded(cloud: Client, released: Released, tmp_path: Path) -> None:
    with started(cloud, tmp_path, released, "--drain", "1") as server:
        connection = half(server.ready())
        assert server.stop() == 0
        connection.close()
        assert server.log[-1] == "stopped: 0 requests answered · 0 refused · 0 failed"


def half(server: Server) -> HTTPConnection:
    """A request of which ten bytes have been sent."""
    connection = server.connection()
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(len(BODY)))
    connection.endheaders(BODY[:10])
    assert server.ask("GET", "/health").status == 200  # whatever came before is there, too
    return connection


def test_no_request_is_lost_when_it_stops_under_load(
    cloud: Client, released: Released, tmp_path: Path
) -> None:
    """The clients are a front's: they ask until health says that no more should come."""
    with started(cloud, tmp_path, released) as server:
        server.ready()
        away, answers = threading.Event(), list[int]()
        clients = [threading.Thread(target=ask_on, args=(server, away, answers)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        eventually(lambda: len(answers) > 200)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: server.ask("GET", "/health").status == 503)
        before = len(answers)
        eventually(lambda: len(answers) > before + 200)  # it goes on as long as they come
        away.set()
        for client in clients:
            client.join()
        assert server.ended() == 0
        assert set(answers) == {200}
        assert server.log[-1] == f"stopped: {len(answers):,} requests answered · 0 refused · 0 failed"


def ask_on(server: Server, away: threading.Event, answers: list[int]) -> None:
    connection = server.connection()
    while not away.is_set():
        try:
            connection.request("POST", "/predict", BODY)
            response = connection.getresponse()
            response.read()
            answers.append(response.status)
        except (OSError, HTTPException) as error:
            answers.append(0)
            raise AssertionError("a request was lost") from error
    connection.close()


def test_a_killed_server_leaves_nothing_that_the_next_one_minds(
    cloud: Client, released: Released, tmp_path: Path
) -> None:
    with started(cloud, tmp_path, released) as server:
        connection = half(server.ready())
        server.process.kill()
        with pytest.raises((OSError, HTTPException)):
            connection.getresponse()
        connection.close()
    with started(cloud, tmp_path, released) as server:
        assert server.ready().predict([[86.6, 91.4, 50]]).status == 200


def test_a_failure_of_the_model_is_one_request_s(cloud: Client, program: Any, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    of_one(tmp_path / "files" / "model.onnx")
    (tmp_path / "one").mkdir()
    with started(cloud, tmp_path, put(program, tmp_path / "files", tmp_path / "one", {}, {})) as server:
        one, two = [[1, 2, 3]], [[1, 2, 3], [4, 5, 6]]
        answers = [server.ready().predict(instances) for instances in (one, two, one)]
        assert [answer.status for answer in answers] == [200, 500, 200]
        assert answers[1].body == {"error": "the model failed at this request"}
        assert server.stop() == 0
        assert re.fullmatch(r"failed: \w+ at \w+\.py:\d+", server.log[2])
        assert server.log[-1] == "stopped: 2 requests answered · 0 refused · 1 failed"


def test_a_model_that_does_not_come_back_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    made = server.Server(Place.read(GIVEN), tmp_path, server.DRAIN)
    asyncio.run(made.on_tick(1))
    assert codes == []
    monkeypatch.setattr(Worker, "deadline", 0.0)
    asyncio.run(made.on_tick(2))
    assert codes == [1]
    words = "error: the model has not answered within 120 s and 2 s for each instance\n"
    assert capsys.readouterr().err == words


def of_one(path: Path) -> None:
    """A model that fails where there is more than one row."""
    import onnx
    from onnx import helper

    double, rows = onnx.TensorProto.DOUBLE, ["rows", 3]
    shape = onnx.numpy_helper.from_array(np.array([1, 3]), "shape")
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["body", "shape"], ["exercises"])],
        "of_one",
        [helper.make_tensor_value_info("body", double, rows)],
        [helper.make_tensor_value_info("exercises", double, rows)],
        [shape],
    )
    opset = helper.make_opsetid("", 17)
    path.write_bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
