"""Signed addresses of Cloud Storage, made by Google's own client with a key file."""
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from google.cloud import storage
from google.oauth2.service_account import Credentials

from localcloud.cloud import Cloud
from localcloud.identity import key_file
from localcloud.storage import Storage
from tests.localcloud.served import new_cloud, serve

SIGNER = "signer@acme-ml.iam.gserviceaccount.com"
HOUR = timedelta(hours=1)
Sign = Callable[..., str]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = new_cloud(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def sign(cloud: Cloud) -> Iterator[Sign]:
    """Signs an address of a blob, or of the bucket, with the key of one who may do all with objects."""
    service = Storage(cloud)
    service.make_bucket("data")
    service.write("data", "a b/ü.txt", b"hello", "text/plain")
    role = {"role": "roles/storage.objectAdmin", "members": [f"serviceAccount:{SIGNER}"]}
    cloud.iam.set("projects/123456789012/buckets/data", {"bindings": [role]})
    credentials = Credentials.from_service_account_info(key_file(cloud, SIGNER))
    with serve(service, "storage.googleapis.com") as address:
        client = storage.Client("acme-ml", credentials, client_options={"api_endpoint": address})

        def of(name: str, version: str, **options: Any) -> str:
            bucket = client.bucket("data")
            target = bucket.blob(name) if name else bucket
            chosen = {"expiration": HOUR, "version": version, "api_access_endpoint": address, **options}
            return str(target.generate_signed_url(**chosen))

        yield of
        client.close()


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_an_address_opens_one_object_for_one_call(sign: Sign, version: str) -> None:
    address = sign("a b/ü.txt", version, response_type="text/html")
    got = requests.get(address, timeout=5)
    assert (got.status_code, got.text, got.headers["content-type"]) == (200, "hello", "text/html")
    changed = requests.get(address.replace("a%20b", "a%20c"), timeout=5)
    assert (changed.status_code, "<Code>SignatureDoesNotMatch</Code>" in changed.text) == (403, True)
    assert requests.delete(address, timeout=5).status_code == 403
    address = sign("a b/ü.txt", version, method="DELETE")
    assert requests.delete(address, timeout=5).status_code == 204
    gone = requests.get(sign("a b/ü.txt", version), timeout=5)
    assert (gone.status_code, "<Code>NoSuchKey</Code>" in gone.text) == (404, True)


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_an_address_takes_an_object(sign: Sign, version: str) -> None:
    headers = {"content-type": "text/csv", "x-goog-meta-a": "b", "x-goog-if-generation-match": "0"}
    extra = {name: value for name, value in headers.items() if name.startswith("x-goog")}
    address = sign("new", version, method="PUT", content_type="text/csv", headers=dict(extra))
    sent = requests.put(address, data=b"1,2", headers=headers, timeout=5)
    assert (sent.status_code, sent.text) == (200, "")
    got = requests.get(sign("new", version), timeout=5)
    assert (got.text, got.headers["content-type"]) == ("1,2", "text/csv")
    again = requests.put(address, data=b"3,4", headers=headers, timeout=5)
    assert (again.status_code, "<Code>PreconditionFailed</Code>" in again.text) == (412, True)
    more = requests.put(address, data=b"x", headers={**headers, "x-goog-meta-c": "d"}, timeout=5)
    assert more.status_code == {"v2": 403, "v4": 400}[version]


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_an_address_starts_a_resumable_upload(sign: Sign, version: str) -> None:
    address = sign("big", version, method="RESUMABLE")
    begun = requests.post(address, headers={"x-goog-resumable": "start"}, timeout=5)
    assert begun.status_code == 201
    place = begun.headers["location"].replace(
        "https://storage.googleapis.com", address[: address.find("/data")]
    )
    assert requests.put(place, data=b"whole", timeout=5).status_code == 200
    assert requests.get(sign("big", version), timeout=5).text == "whole"


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_an_address_lists_a_bucket(sign: Sign, version: str) -> None:
    got = requests.get(sign("", version), timeout=5)
    assert (got.status_code, "<Key>a b/ü.txt</Key>" in got.content.decode()) == (200, True)


def test_an_address_ends_and_its_signer_needs_a_grant(cloud: Cloud, sign: Sign) -> None:
    past = sign("a b/ü.txt", "v2", expiration=datetime(2020, 1, 1, tzinfo=UTC))
    old = requests.get(past, timeout=5)
    assert (old.status_code, "<Code>ExpiredToken</Code>" in old.text) == (400, True)
    address = sign("a b/ü.txt", "v4")
    cloud.iam.set("projects/123456789012/buckets/data", {"bindings": []})
    denied = requests.get(address, timeout=5)
    assert (denied.status_code, "storage.objects.get" in denied.text) == (403, True)
    cloud.forget_account(SIGNER)
    assert "SignatureDoesNotMatch" in requests.get(address, timeout=5).text
