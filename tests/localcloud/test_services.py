"""The services of the local cloud, asked by unmodified clients through the proxy."""

from pathlib import Path

import pytest

from localcloud.client import Client
from tests.conftest import WORLD, Program

pytestmark = pytest.mark.slow


def test_secrets_by_grpc_and_rest_are_the_same(program: Program) -> None:
    answer = program(
        """
from google.cloud import secretmanager
parent = "projects/test-project"
by_grpc = secretmanager.SecretManagerServiceClient()
by_rest = secretmanager.SecretManagerServiceClient(transport="rest")
by_grpc.create_secret(parent=parent, secret_id="pair", secret={"replication": {"automatic": {}}})
by_rest.add_secret_version(parent=f"{parent}/secrets/pair", payload={"data": b"one"})
by_grpc.add_secret_version(parent=f"{parent}/secrets/pair", payload={"data": b"two"})
latest = by_rest.access_secret_version(name=f"{parent}/secrets/pair/versions/latest")
first = by_grpc.access_secret_version(name=f"{parent}/secrets/pair/versions/1")
answer = [latest.name, latest.payload.data.decode(), first.payload.data.decode()]
"""
    )
    number = WORLD.project_number
    assert answer == [f"projects/{number}/secrets/pair/versions/2", "two", "one"]


def test_a_disabled_latest_version_fails_its_precondition(program: Program) -> None:
    answer = program(
        """
from google.api_core.exceptions import FailedPrecondition, NotFound
from google.cloud import secretmanager
client, parent = secretmanager.SecretManagerServiceClient(), "projects/test-project"
client.create_secret(parent=parent, secret_id="off", secret={"replication": {"automatic": {}}})
version = client.add_secret_version(parent=f"{parent}/secrets/off", payload={"data": b"x"})
client.disable_secret_version(name=version.name)
answer = []
for name in ("off", "missing"):
    try:
        client.access_secret_version(name=f"{parent}/secrets/{name}/versions/latest")
    except (FailedPrecondition, NotFound) as error:
        answer.append([type(error).__name__, error.message])
"""
    )
    assert answer[0][0] == "FailedPrecondition"
    assert "DISABLED" in answer[0][1]
    assert answer[1][0] == "NotFound"


def test_a_host_that_is_not_served_is_refused_by_name(program: Program, cloud: Client) -> None:
    answer = program(
        """
import requests
try:
    requests.get("https://example.com/")
except requests.exceptions.ProxyError as error:
    answer = str(error)
"""
    )
    assert "localcloud refuses example.com" in answer
    assert "example.com" in (cloud.status() or {})["refused"]


def test_a_call_without_credentials_is_refused(program: Program) -> None:
    answer = program(
        """
import boto3, botocore, requests
secret = requests.get("https://secretmanager.googleapis.com/v1/projects/test-project/secrets")
unsigned = botocore.client.Config(signature_version=botocore.UNSIGNED)
try:
    boto3.client("s3", config=unsigned).list_objects_v2(Bucket="anything-at-all")
except botocore.exceptions.ClientError as error:
    answer = [secret.status_code, secret.json()["error"]["status"], error.response["Error"]["Code"]]
"""
    )
    assert answer == [401, "UNAUTHENTICATED", "AccessDenied"]


def test_an_unknown_method_is_named(program: Program) -> None:
    answer = program(
        """
from google.api_core.exceptions import MethodNotImplemented
from google.cloud import aiplatform_v1
options = {"api_endpoint": "europe-west1-aiplatform.googleapis.com"}
client = aiplatform_v1.FeaturestoreServiceClient(client_options=options)
try:
    client.get_featurestore(name="projects/p/locations/l/featurestores/f")
except MethodNotImplemented as error:
    answer = error.message
"""
    )
    assert "FeaturestoreService/GetFeaturestore" in answer


def test_s3_overwrites_nothing_where_asked(program: Program) -> None:
    answer = program(
        """
import boto3, botocore
s3 = boto3.client("s3")
s3.create_bucket(Bucket="once", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
s3.put_object(Bucket="once", Key="a/b c", Body=b"1", IfNoneMatch="*", ChecksumAlgorithm="SHA256")
try:
    s3.put_object(Bucket="once", Key="a/b c", Body=b"2", IfNoneMatch="*")
except botocore.exceptions.ClientError as error:
    kept = s3.get_object(Bucket="once", Key="a/b c")["Body"].read().decode()
    answer = [error.response["Error"]["Code"], kept]
"""
    )
    assert answer == ["PreconditionFailed", "1"]


def test_an_image_is_pushed_and_found_by_tag(program: Program) -> None:
    answer = program(
        """
import hashlib
from google.auth import default
from google.auth.transport.requests import AuthorizedSession
session = AuthorizedSession(default(scopes=["https://www.googleapis.com/auth/cloud-platform"])[0])
base = "https://europe-west1-docker.pkg.dev/v2/test-project/retrain/base"
config = b"{}"
digest = "sha256:" + hashlib.sha256(config).hexdigest()
missing = session.get(f"{base}/manifests/absent").status_code
place = session.post(f"{base}/blobs/uploads/").headers["location"]
session.put(f"https://europe-west1-docker.pkg.dev{place}?digest={digest}", data=config)
manifest = json.dumps({"config": {"digest": digest}, "layers": []})
kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
pushed = session.put(f"{base}/manifests/v1", data=manifest, headers=kind)
other = manifest.replace(digest, digest[:-1] + "0")
lost = session.put(f"{base}/manifests/v2", data=other, headers=kind)
found = session.get(f"{base}/manifests/v1")
digests = {answer.headers["docker-content-digest"] for answer in (pushed, found)}
answer = [missing, len(digests), found.text == manifest, lost.status_code]
"""
    )
    assert answer == [404, 1, True, 400]


def test_a_blob_is_named_by_its_hash_and_by_nothing_else(program: Program) -> None:
    answer = program(
        """
from google.auth import default
from google.auth.transport.requests import AuthorizedSession
session = AuthorizedSession(default(scopes=["https://www.googleapis.com/auth/cloud-platform"])[0])
base = "https://europe-west1-docker.pkg.dev/v2/test-project/retrain/base/blobs"
names = ("%2Fetc%2Fpasswd", "..%2F..%2Fowner.json")
answer = [session.get(f"{base}/{name}").status_code for name in names]
"""
    )
    assert answer == [400, 400]


def test_a_step_cannot_ask_the_inner_plane(program: Program, cloud: Client) -> None:
    answer = program(
        """
import requests
answer = [requests.get("http://localcloud.internal/environment", headers=headers).status_code
          for headers in ({}, {"X-Key": "guess"})]
"""
    )
    assert answer == [403, 403]
    assert "GITHUB_TOKEN" in cloud.ask("GET", "/environment")["set"]


def test_what_a_dead_one_left_behind_is_not_another_ones(cloud: Client, tmp_path: Path) -> None:
    other = Client(tmp_path)
    (tmp_path / "state.json").write_text((cloud.root / "state.json").read_text())
    assert other.status() is None
    assert other.down() is False
    assert cloud.status() is not None


def test_what_it_holds_is_the_owners_alone(cloud: Client) -> None:
    assert (cloud.root / "state.json").stat().st_mode & 0o077 == 0
    assert cloud.root.stat().st_mode & 0o077 == 0


def test_a_caller_without_an_account_is_on_no_machine_of_google_s(program: Program) -> None:
    answer = program(
        """
import google.auth, requests
from google.auth.exceptions import DefaultCredentialsError
root = "http://metadata.google.internal/"
token = "computeMetadata/v1/instance/service-accounts/default/token"
for path in ("", "computeMetadata/v1/project/project-id", token):
    found = requests.get(root + path, headers={"metadata-flavor": "Google"})
    assert "metadata-flavor" not in found.headers
    answer = [*(answer or []), found.status_code]
del os.environ["GOOGLE_APPLICATION_CREDENTIALS"]
try:
    google.auth.default()
except DefaultCredentialsError:
    answer.append("none")
"""
    )
    assert answer == [404, 404, 404, "none"]


def test_half_a_request_is_none(program: Program) -> None:
    """Of an upload whose caller is killed in the middle, nothing is kept, as with the real service."""
    answer = program(
        """
import base64, http.client, ssl
from urllib.parse import urlsplit
import google.auth.transport.requests
from google.cloud import storage
client = storage.Client()
bucket = client.create_bucket("halves", location="europe-west1")
bucket.blob("whole").upload_from_string("whole")  # it refreshes the token, too
proxy = urlsplit(os.environ["HTTPS_PROXY"])
basic = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
trusted = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
def send(name, body):
    connection = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=trusted)
    connection.set_tunnel("storage.googleapis.com", 443, {"Proxy-Authorization": f"Basic {basic}"})
    connection.putrequest("POST", f"/upload/storage/v1/b/halves/o?uploadType=media&name={name}")
    connection.putheader("Authorization", f"Bearer {client._credentials.token}")
    connection.putheader("Content-Length", "10")
    connection.endheaders(body)
    status = connection.getresponse().status if len(body) == 10 else None
    connection.close()
    return status
answer = [send("half", b"12345"), send("all", b"1234567890")]
answer.append(sorted(blob.name for blob in bucket.list_blobs()))
"""
    )
    assert answer == [None, 200, ["all", "whole"]]
