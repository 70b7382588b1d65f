"""How a deployed model's server is started, as its specification says."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1 import types

from localcloud.forks import Order
from localcloud.serving_replica import Replica
from localcloud.serving_spec import Spec, probed
from tests.eventually import eventually

# Says which paths it was asked for, and is not well before it has started.
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
asked = []
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        print(self.path, flush=True)
        is_well = self.path == "/started" and asked.count("/started") > 2 or self.path == "/health"
        self.send_response(200 if is_well else 503)
        self.end_headers()
    def log_message(self, *_):
        pass
HTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_variable_names_those_before_it_and_no_later_ones() -> None:
    given = [("A", "$(AIP_MODE) $(B)"), ("B", "$(A)!"), ("AT", "at $(AIP_HTTP_PORT)"), ("C", "$$(A)")]
    none, own = Path("/nowhere"), {"AIP_MODE": "PREDICTION"}
    argv = ["program", "$(B)"]
    spec = Spec(argv, "/", own, given, none, none, "/started", "/health", "/predict", 1.0, 1.0, 1.0, 1)
    order = spec.order(8080)
    assert order.env == own | {
        "AIP_HTTP_PORT": "8080",
        "A": "PREDICTION $(B)",
        "B": "PREDICTION $(B)!",
        "AT": "at 8080",
        "C": "$(A)",
    }
    assert order.argv == ["program", "PREDICTION $(B)!"]


def test_a_probe_asks_at_its_own_path() -> None:
    assert probed(types.Probe(), "/health") == "/health"
    assert probed(types.Probe(http_get={"path": "/started"}), "/health") == "/started"


def test_a_server_has_started_before_it_is_well(tmp_path: Path) -> None:
    class Own(subprocess.Popen[bytes]):
        signal = subprocess.Popen.send_signal

    def start(order: Order) -> Any:
        with Path(order.log).open("wb") as log:
            return Own([*order.argv, order.env["AIP_HTTP_PORT"]], stdout=log)

    argv, log = [sys.executable, "-c", SERVER], tmp_path / "log"
    scratch, routes = tmp_path / "scratch", ("/started", "/health", "/predict")
    replica = Replica(Spec(argv, "/", {}, [], scratch, log, *routes, 9.0, 9.0, 0.01, 1), start)
    try:
        assert replica.ready.wait(60)
        before = ["/health", "/started"] * 3
        eventually(lambda: log.read_text().split()[:9] == [*before, *["/health"] * 3])
    finally:
        replica.stop(drain=False)
