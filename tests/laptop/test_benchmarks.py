"""The bench's own parts: contenders that give a wrong answer do not count."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import serving
from benchmarks.measure import Result, Run
from benchmarks.peers import PEERS
from benchmarks.programs.five import expected
from benchmarks.programs.load import measure
from benchmarks.programs.served import model


def test_the_plain_functions_give_the_expected_answer() -> None:
    folder = PEERS[0].folder()
    try:
        assert PEERS[0].run("7", folder).lines == 1
    finally:
        shutil.rmtree(folder)
    assert expected("7") == "uploaded 26"


def test_a_wrong_answer_does_not_count(tmp_path: Path) -> None:
    wrong = replace(PEERS[0], command=lambda *_: ["-c", "print('uploaded 1')"])
    with pytest.raises(RuntimeError, match="gave no right answer"):
        wrong.run("7", tmp_path)


def test_every_contender_is_pinned() -> None:
    assert all("==" in peer.requirement for peer in PEERS[1:])


def test_ratios_are_to_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def result(seconds: float, name: str) -> Result:
        runs = [Run(seconds, 5)] * 3
        return Result(name, True, runs[0], runs, runs if name == "ours" else [])

    monkeypatch.setattr(bench, "PEERS", PEERS[:2])
    monkeypatch.setattr("benchmarks.imports.costs", list)
    monkeypatch.setattr(bench, "our_result", lambda _: result(0.5, "ours"))
    monkeypatch.setattr(bench, "peer_result", lambda peer, _: result(1.5, peer.name))
    found: dict[str, Any] = bench.pipeline(3)
    ours, *others = found["contenders"]
    assert (ours["name"], ours["ratio"]) == ("ours", 1.0)
    assert {row["ratio"] for row in others} == {3.0}
    bench.show(json.loads(json.dumps(found | {"run": {"flow": "any", "phases": []}})))
    assert "Kedro" in capsys.readouterr().err


REQUEST = b"POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[int]:
    """The port of a server that gives these answers in turn, the last one for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_requests_are_counted_over_all_connections() -> None:
    with answering((200, b"same")) as port:
        found = measure(port, REQUEST, 3, 0.2)
    assert found["requests"] > 0
    assert 0 < found["p50"] <= found["p99"]


@pytest.mark.parametrize("answer", [(503, b"same"), (200, b"other")])
def test_a_server_with_a_bad_answer_is_not_measured(answer: tuple[int, bytes]) -> None:
    with answering((200, b"same"), answer) as port, pytest.raises(ConnectionError):
        measure(port, REQUEST, 1, 60)


def test_every_server_has_the_same_model(tmp_path: Path) -> None:
    answer = model.make(tmp_path)
    assert model.Model(tmp_path / model.ONNX).predict([model.INSTANCE])[0] == pytest.approx(answer)
    for server in serving.SERVERS[1:]:
        assert all("==" in package for package in server.packages)


def test_servers_ratios_are_ours_to_theirs() -> None:
    numbers = {"start": 1.0, "memory": 50.0, "requests": 9000.0, "p50": 1.0, "p99": 2.0}
    ratios = {"start": 0.1, "memory": 0.2, "requests": 5.0}
    rows = [{"name": "theirs", **numbers, "ratios": ratios}]
    head, _, row = serving.show({"connections": 32, "cpus": 2, "rounds": 3, "servers": rows})
    assert "32 connections · 2 cores · medians of 3" in head
    assert " ".join(row.split()) == "theirs 1.00 (0.10) 50 (0.20) 9,000 (5.0) 1.00 2.00"
