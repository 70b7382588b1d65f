"""Model servers for tests: a small image, models of it, endpoints, and predictions over REST."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import requests

from localcloud.client import Client
from localcloud.processes import marked
from tests.eventually import eventually
from tests.localcloud.jobs import API, Jobs

# Says what it was given: {"instances": [...]} → each instance doubled. MODE says how it goes wrong.
PROGRAM = """
import json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

mode = os.environ.get("MODE", "")
print("mode", mode or "healthy", flush=True)
if mode == "dies at load":
    sys.exit("no model was found")

def read(uri):
    import ssl, urllib.error, urllib.request
    place = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
    flavor = {"Metadata-Flavor": "Google"}
    with urllib.request.urlopen(urllib.request.Request(place, headers=flavor)) as answer:
        token = json.load(answer)["access_token"]
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    url = f"https://storage.googleapis.com/storage/v1/b/{bucket}/o/{name.replace('/', '%2F')}?alt=media"
    asked = urllib.request.Request(url, headers={"Authorization": "Bearer " + token})
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        route = os.environ["AIP_HEALTH_ROUTE"]
        self.say(503 if mode == "never healthy" or self.path != route else 200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if mode == "dies":
            os._exit(3)
        if mode == "slow":
            print("began", flush=True)
            while not os.path.exists(os.environ["GO"]):
                time.sleep(0.01)
        if self.path != os.environ["AIP_PREDICT_ROUTE"]:
            return self.say(404, b"no such path")
        if b"environment" in body:
            seen = {**os.environ, "PID": str(os.getpid()), "ARGUMENTS": " ".join(sys.argv[1:])}
            return self.say(200, json.dumps({"predictions": [seen]}).encode())
        if not body.startswith(b"{"):
            return self.say(200, body[::-1], "text/plain")
        found = json.loads(body)
        if mode == "reads":
            own, source = os.environ["AIP_STORAGE_URI"], found["instances"][0]
            answer = [*read(own + "/weights"), read(source + "/weights")[0]]
            return self.say(200, json.dumps({"predictions": [answer]}).encode())
        if "bad" in found["instances"]:
            return self.say(int(found["parameters"]), b'{"error": "instance 0 is bad"}')
        self.say(200, json.dumps({"predictions": [2 * one for one in found["instances"]]}).encode())

    def say(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass

if mode == "stubborn":
    signal.signal(signal.SIGTERM, lambda *_: print("not yet", flush=True))
server = ThreadingHTTPServer(("0.0.0.0", int(os.environ["AIP_HTTP_PORT"])), Handler)
server.serve_forever()
"""
MACHINE = {"machineSpec": {"machineType": "n1-standard-2"}, "minReplicaCount": 1}
HOST = API.partition("/projects/")[0]


class Models:
    """The models and endpoints of one running local cloud."""

    address = HOST

    def __init__(self, cloud: Client) -> None:
        self.jobs = Jobs(cloud)
        self.session, self.cloud = self.jobs.session, cloud
        self.image = self.jobs.push({"app/server.py": PROGRAM}, {"python.requirements": ""})
        self._endpoints = list[str]()
        self._numbers = itertools.count(time.time_ns() % 1_000_000_000)

    def ask(self, verb: str, path: str, body: Any = None, code: int = 200) -> Any:
        """One call; its answer as JSON."""
        url = f"{HOST}/{path}" if path.startswith("projects/") else f"{API}/{path}"
        answer: requests.Response = self.session.request(verb, url, json=body)
        assert answer.status_code == code, answer.text
        return answer.json()

    def refused(self, verb: str, path: str, body: Any = None, code: int = 400) -> str:
        """How a call is refused."""
        found = self.ask(verb, path, body, code)["error"]
        return f"{found['status']} {found['message']}"

    def id(self) -> str:
        """An id that is new."""
        return f"id-{next(self._numbers)}"

    def container(self, mode: str = "", **more: Any) -> dict[str, Any]:
        """A container that goes wrong in this way."""
        env = [{"name": "MODE", "value": mode}, *more.pop("env", [])]
        command = {"command": ["python", "server.py"], "imageUri": self.image}
        return {**command, "env": env, "predictRoute": "/predict", "healthRoute": "/health", **more}

    def upload(self, mode: str = "", model: dict[str, Any] | None = None, **fields: Any) -> str:
        """The name@version of a new model, or of a new version of one (parentModel)."""
        given = {"displayName": "Doubles", "containerSpec": self.container(mode), **(model or {})}
        named = {} if "parentModel" in fields else {"modelId": fields.pop("modelId", self.id())}
        operation = self.ask("POST", "models:upload", {"model": given, **named, **fields})
        made = self.done(operation)["response"]
        return f"{made['model']}@{made['modelVersionId']}"

    def quick(self, mode: str, seconds: int = 1) -> str:
        """A model whose deployments must be healthy soon."""
        container = self.container(mode, deploymentTimeout=f"{seconds}s")
        return self.upload(model={"containerSpec": container})

    def endpoint(self) -> str:
        """The name of a new endpoint."""
        made = self.ask("POST", f"endpoints?endpointId={self.id()}", {"displayName": "Doubler"})
        self._endpoints.append(str(self.done(made)["response"]["name"]))
        return self._endpoints[-1]

    def clear(self) -> None:
        """End the servers of all endpoints that were made here."""
        for endpoint in self._endpoints:
            found = self.session.get(f"{HOST}/{endpoint}").json()
            if found.get("deployedModels"):
                self.ask("PATCH", f"{endpoint}?updateMask=trafficSplit", {})
            for one in found.get("deployedModels", []):
                body = {"deployedModelId": one["id"]}
                self.done(self.ask("POST", f"{endpoint}:undeployModel", body))

    def deploy(self, endpoint: str, model: str, split: dict[str, int], **more: Any) -> dict[str, Any]:
        """A deployment that has begun."""
        deployed = {"model": model, "dedicatedResources": MACHINE, **more}
        body = {"deployedModel": deployed, "trafficSplit": split}
        return dict(self.ask("POST", f"{endpoint}:deployModel", body))

    def deployed(self, endpoint: str, model: str, split: dict[str, int], **more: Any) -> str:
        """The id of a deployed model."""
        done = self.done(self.deploy(endpoint, model, split, **more))
        assert "error" not in done, done
        return str(done["response"]["deployedModel"]["id"])

    def done(self, operation: dict[str, Any]) -> dict[str, Any]:
        """An operation's end."""
        path = operation["name"]
        return dict(eventually(lambda: (found := self.ask("GET", path)).get("done") and found))

    def predict(self, endpoint: str, instances: Sequence[Any], code: int = 200, **more: Any) -> Any:
        """What an endpoint says."""
        return self.ask("POST", f"{endpoint}:predict", {"instances": list(instances), **more}, code)

    @contextmanager
    def beside(self, work: Callable[[], Any]) -> Iterator[Future[Any]]:
        """Does work in a thread meanwhile; it has ended at the end."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(work)

    def told(self, endpoint: str) -> dict[str, str]:
        """The whole environment of a server."""
        return dict(self.predict(endpoint, ["environment"])["predictions"][0])

    def server(self, endpoint: str) -> int:
        """The process that answers."""
        return int(self.told(endpoint)["PID"])

    def serving(self, endpoint: str, deployed: str) -> list[int]:
        """The processes of a deployed model."""
        home = self.cloud.root / "endpoints" / endpoint.rsplit("/", 1)[1] / f"server-{deployed}"
        return marked(f"HOME={home}\0")

    def log(self, endpoint: str, deployed: str) -> str:
        """What a server has said."""
        folder = self.cloud.root / "endpoints" / endpoint.rsplit("/", 1)[1]
        return (folder / "logs" / f"{deployed}.log").read_text()
