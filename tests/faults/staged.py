"""What a roll-out finds: an image whose server answers, and models; made in a world's environment."""

import gzip
import hashlib
import io
import json
import tarfile
from typing import Any

from delivery import google_session, releases
from delivery.releases import Entry, Release
from delivery.settings import Environment, load
from flows import manifest as manifests
from flows.manifest import File, Manifest, Verdict

FLOW = "linnerud"
# `python -m flows serve`: says which model it has, unless that one is broken.
SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

version = os.environ["MANIFEST_SHA256"][:12]
if version in os.environ.get("BROKEN", "").split():
    sys.exit("there is no model that this server can open")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        self.say(200, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.say(200, {"predictions": [version for _ in body["instances"]]})

    def say(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("0.0.0.0", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""


def image(broken: bool = False) -> str:
    """The digest of an image in the environment's registry; a broken one's server ends at once."""
    environment = load().environment("local")
    host, _, name = f"{environment.artifact_registry}/base".partition("/")
    program = "import sys\nsys.exit('no model was found')\n" if broken else SERVER
    layer = _layer({"app/flows/__init__.py": "", "app/flows/__main__.py": program})
    config = json.dumps(
        {"config": {"Labels": {"python.requirements": ""}, "WorkingDir": "/app"}}
    ).encode()
    session, base = google_session.session(), f"https://{host}/v2/{name}"
    for data in (config, layer):
        answer = session.post(f"{base}/blobs/uploads/?digest={_digest(data)}", data=data)
        answer.raise_for_status()
    named = {"config": {"digest": _digest(config)}, "layers": [{"digest": _digest(layer)}]}
    kind = "application/vnd.oci.image.manifest.v1+json"
    tag = "broken" if broken else "good"
    answer = session.put(
        f"{base}/manifests/{tag}", data=json.dumps(named), headers={"Content-Type": kind}
    )
    answer.raise_for_status()
    return f"{host}/{name}@{answer.headers['docker-content-digest']}"


def model(number: int, image: str) -> dict[str, Any]:
    """The entry, without its share, of a model that is in the model store now."""
    import boto3

    environment = load().environment("local")
    version = f"v20261101-{number:06}-abc{number:04}"
    files = {"model.bin": f"model {number}".encode() * 999, "more.json": b"{}"}
    made = Manifest(
        flow=FLOW,
        version=version,
        algorithm="mlp",
        format="onnx",
        files={
            name: File(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
            for name, data in files.items()
        },
        metrics={"rae": 0.9 + number / 100},
        verdict=Verdict(passed=True, reasons=("good enough",)),
        data={},
        config={},
        commit=f"abc{number:04}" + "0" * 33,
        image=image,
        pipeline_job=f"{environment.location}/pipelineJobs/{FLOW}-{version}",
        environment="local",
        created="2026-11-21T08:50:00Z",
    )
    content = manifests.write(made)
    s3, folder = boto3.client("s3"), f"models/{FLOW}/{version}"
    for name, data in {**files, "manifest.json": content}.items():
        s3.put_object(Bucket=environment.bucket, Key=f"{folder}/{name}", Body=data)
    return {
        "version": version,
        "manifest": f"{environment.model_store}/{folder}/manifest.json",
        "sha256": hashlib.sha256(content).hexdigest(),
        "image": image,
    }


def release(entries: list[dict[str, Any]], shares: list[int]) -> str:
    """The text of the file that declares them."""
    made = [Entry(**entry, traffic=share) for entry, share in zip(entries, shares, strict=True)]
    return releases.write(Release(champion=made[0], challenger=made[1] if len(made) > 1 else None))


def seen(name: str = "local") -> dict[str, Any]:
    """What serves there, as the owner sees it: shares by version, aliases by version, the channel."""
    import boto3

    environment = load().environment(name)
    endpoints, models = _clients(environment)
    found = endpoints.get_endpoint(name=f"{environment.location}/endpoints/{FLOW}-{name}")
    versions = list(models.list_model_versions(name=f"{environment.location}/models/{FLOW}-{name}"))
    key = {"Bucket": environment.bucket, "Key": f"channels/{name}/{FLOW}.json"}
    channel = json.loads(boto3.client("s3").get_object(**key)["Body"].read())
    return {
        "shares": {
            one.display_name: found.traffic_split.get(one.id, 0) for one in found.deployed_models
        },
        "deployed": len(found.deployed_models),
        "aliases": {
            one.version_description.split("\n")[0].split()[-1]: sorted(one.version_aliases)
            for one in versions
        },
        "versions": len(versions),
        "evaluations": [len(list(models.list_model_evaluations(parent=one.name))) for one in versions],
        "channel": channel["traffic"],
        "locks": _locks(environment),
    }


def erase() -> None:
    """As before the first release: no endpoint, no model, no channel."""
    import boto3

    environment = load().environment("local")
    endpoints, models = _clients(environment)
    name = f"{environment.location}/endpoints/{FLOW}-local"
    found = endpoints.get_endpoint(name=name)
    endpoints.update_endpoint(
        endpoint={"name": name, "traffic_split": {}}, update_mask={"paths": ["traffic_split"]}
    )
    for one in found.deployed_models:
        endpoints.undeploy_model(endpoint=name, deployed_model_id=one.id).result()
    endpoints.delete_endpoint(name=name).result()
    models.delete_model(name=f"{environment.location}/models/{FLOW}-local").result()
    boto3.client("s3").delete_object(Bucket=environment.bucket, Key=f"channels/local/{FLOW}.json")


def _clients(environment: Environment) -> tuple[Any, Any]:
    """Of Vertex AI: endpoints and models."""
    from google.cloud.aiplatform_v1 import EndpointServiceClient, ModelServiceClient

    options = {"api_endpoint": f"{environment.region}-aiplatform.googleapis.com"}
    return EndpointServiceClient(client_options=options), ModelServiceClient(client_options=options)


def _locks(environment: Environment) -> list[str]:
    from google.cloud import storage

    bucket = environment.serving_bucket.removeprefix("gs://")
    return [one.name for one in storage.Client().list_blobs(bucket, prefix="locks/")]


def _layer(files: dict[str, str]) -> bytes:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(tar.getvalue(), mtime=0)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
