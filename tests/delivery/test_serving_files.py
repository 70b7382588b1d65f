"""A released model's files on their way from S3 to the serving bucket, by the real clients."""

from typing import Any

import pytest

from tests.conftest import ROOT, Program

START = """
import hashlib, boto3, msgspec
from google.cloud import storage
from delivery.serving_files import ServingFiles
from delivery.settings import load
from flows import manifest as manifests
from flows.errors import RetrainError
from flows.manifest import File
from tests.delivery import evidence

def file(data):
    return File(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))

s3, google = boto3.client("s3"), storage.Client()
names = {"serving_bucket": "gs://serving-NAME", "model_store": "s3://retrain-local-models"}
environment = msgspec.structs.replace(load().environment("local"), **names)
google.create_bucket("serving-NAME")
try:
    s3.create_bucket(Bucket="retrain-local-models",
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
except s3.exceptions.BucketAlreadyOwnedByYou:
    pass
large, small = bytes(range(256)) * 40_000, b""  # more than one request takes; nothing at all
version = "v20261121-08450NUMBER-abc1234"
own = {"large.bin": file(large), "small.bin": file(small)}
manifest = evidence.manifest(version, files=own)
model, folder = evidence.model(manifest), f"models/recommender/{version}/"
def put(name, data):
    s3.put_object(Bucket="retrain-local-models", Key=folder + name, Body=data)
put("large.bin", large)
put("small.bin", small)
put("manifest.json", manifests.write(manifest))
files = ServingFiles(environment)
def there():
    found = google.list_blobs("serving-NAME", prefix=folder)
    return {blob.name.removeprefix(folder): blob.size for blob in found}
def refused():
    try:
        files.copy(s3, manifest, model)
    except RetrainError as error:
        return str(error)
"""


@pytest.fixture
def files(program: Program) -> Any:
    """Runs a program with a model in S3, in buckets of its own."""

    def run(name: str, number: int, code: str) -> Any:
        start = START.replace("NAME", name).replace("NUMBER", str(number))
        return program(f"import os\nos.chdir({str(ROOT)!r})\nsys.path.insert(0, '.')\n{start}{code}")

    return run


def test_all_files_come_once_the_manifest_last(files: Any) -> None:
    found = files(
        "good",
        1,
        """
before = files.lacking(manifest, model)
files.copy(s3, manifest, model)
first = {b.name: b.generation for b in google.list_blobs("serving-good", prefix=folder)}
same = google.bucket("serving-good").blob(folder + "large.bin").download_as_bytes() == large
google.bucket("serving-good").blob(folder + "small.bin").delete()
half = files.lacking(manifest, model)
files.copy(s3, manifest, model)
files.describe_metrics()
files.describe_metrics()
kept = [b.generation == first[b.name] for b in google.list_blobs("serving-good", prefix=folder)]
newest = max(first, key=first.get)
answer = [before, same, half, kept, files.lacking(manifest, model), newest == folder + "manifest.json"]
""",
    )
    names = ["large.bin", "small.bin", "manifest.json"]
    assert found == [names, True, ["small.bin"], [True, True, False], [], True]


def test_what_is_not_as_the_manifest_says_does_not_come(files: Any) -> None:
    changed, shorter, others = files(
        "bad",
        2,
        """
put("large.bin", b"x" + large[1:])
changed = [refused(), "large.bin" in there(), "manifest.json" in there()]
put("large.bin", large[:-1])
shorter = [refused(), "large.bin" in there()]
put("large.bin", large)
google.bucket("serving-bad").blob(folder + "large.bin").upload_from_string(b"theirs")
others = [refused(), there()["large.bin"]]
answer = [changed, shorter, others]
""",
    )
    assert "large.bin: it is not the file with SHA-256" in changed[0]
    assert changed[1:] == [False, False]
    assert "large.bin: it is not the file" in shorter[0]
    assert shorter[1] is False
    assert "nothing is overwritten" in others[0]
    assert others[1] == len(b"theirs")
