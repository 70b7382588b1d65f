"""Cloud Storage, driven by Google's own client."""
# mypy: disable-error-code="no-untyped-call"

import base64
import gzip
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.oauth2.credentials import Credentials

from localcloud.cloud import Cloud
from localcloud.storage import Storage
from tests.localcloud.served import new_cloud, serve

BIG = 300 * 1024


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = new_cloud(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def service(cloud: Cloud) -> Storage:
    return Storage(cloud)


@pytest.fixture
def client(cloud: Cloud, service: Storage) -> Iterator[storage.Client]:
    credentials = Credentials(token=cloud.issue_token(cloud.world.owner))
    with serve(service, "storage.googleapis.com") as address:
        options = {"api_endpoint": address}
        client = storage.Client("acme-ml", credentials=credentials, client_options=options)
        yield client
        client.close()


@pytest.fixture
def bucket(client: storage.Client) -> Any:
    return client.create_bucket("data", location="europe-west1")


def test_buckets(client: storage.Client, bucket: Any) -> None:
    assert (bucket.location, bucket.location_type) == ("EUROPE-WEST1", "region")
    assert bucket.project_number == 123456789012
    bucket.labels = {"team": "ml"}
    bucket.patch()
    assert client.get_bucket("data").labels == {"team": "ml"}
    assert [one.name for one in client.list_buckets()] == ["data"]
    with pytest.raises(exceptions.Conflict, match="already own it"):
        client.create_bucket("data")
    bucket.blob("x").upload_from_string("1")
    with pytest.raises(exceptions.Conflict, match="not empty"):
        bucket.delete()
    bucket.delete(force=True)
    assert client.lookup_bucket("data") is None


def test_what_is_not_there_is_said_in_googles_words(client: storage.Client, bucket: Any) -> None:
    with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
        list(client.list_blobs("nowhere"))
    with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
        client.bucket("nowhere").blob("x").upload_from_string("1")
    with pytest.raises(exceptions.NotFound, match="No such object: data/a/b"):
        bucket.blob("a/b").download_as_bytes()
    with pytest.raises(exceptions.NotFound, match="No such object: data/a/b"):
        bucket.blob("a/b").reload()


def test_a_call_without_a_valid_token_is_refused(cloud: Cloud, service: Storage) -> None:
    with serve(service, "storage.googleapis.com") as address:
        got = requests.get(
            f"{address}/storage/v1/b/data", timeout=5, headers={"authorization": "Bearer no"}
        )
    assert got.status_code == 401
    assert "invalid authentication credentials" in got.json()["error"]["message"]


@pytest.mark.parametrize("upload", ["x", "of-another-bucket"])
def test_no_call_goes_without_a_token_for_a_stray_upload_id(
    cloud: Cloud, service: Storage, upload: str
) -> None:
    cloud.store.put("upload", "of-another-bucket", {"bucket": "other"})
    needed = {
        "/storage/v1/b": "&project=x",
        "/storage/v1/b/data/iam/testPermissions": "&permissions=x",
        "/storage/v1/b/data/lockRetentionPolicy": "&ifMetagenerationMatch=1",
        "/storage/v1/b/data/o/data/restore": "&generation=1",
    }
    statuses = {}
    with serve(service, "storage.googleapis.com") as address:
        for method, path, _, _ in service.table():
            place = re.sub(r"\{\w+\*?\}", "data", path)
            more = needed.get(place, "")
            got = requests.request(method, f"{address}{place}?upload_id={upload}{more}", timeout=5)
            statuses[f"{method} {path}"] = got.status_code
    assert set(statuses.values()) == {401}, statuses


def test_an_unknown_call_is_named(client: storage.Client, bucket: Any) -> None:
    with pytest.raises(
        exceptions.MethodNotImplemented,
        match=r"does not serve storage\.anywhereCaches\.pause: POST https://storage",
    ):
        client._post_resource("/b/data/anywhereCaches/x/pause", {}, retry=None)


def test_upload_and_metadata(bucket: Any) -> None:
    blob = bucket.blob("a b/ü?#%2F.txt")
    blob.metadata = {"commit": "abc"}
    blob.cache_control = "no-store"
    blob.upload_from_string("hello", content_type="text/plain")
    again = bucket.get_blob(blob.name)
    assert again.download_as_text() == "hello"
    assert (again.size, again.content_type, again.cache_control) == (5, "text/plain", "no-store")
    assert again.metadata == {"commit": "abc"}
    assert again.md5_hash == "XUFAKrxLKna5cZ2REBfFkg=="
    assert again.crc32c == "mnG7TA=="
    assert again.generation == blob.generation > 10**15
    assert again.time_created <= again.updated
    again.metadata = {"commit": "def"}
    again.patch()
    assert (again.metageneration, again.generation) == (2, blob.generation)
    assert bucket.get_blob("nothing") is None


def test_generations_and_preconditions(bucket: Any) -> None:
    blob = bucket.blob("x")
    blob.upload_from_string("1", if_generation_match=0)
    first = blob.generation
    with pytest.raises(exceptions.PreconditionFailed, match="pre-conditions you specified did not hold"):
        bucket.blob("x").upload_from_string("2", if_generation_match=0)
    bucket.blob("x").upload_from_string("2", if_generation_match=first)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("x").upload_from_string("3", if_generation_match=first)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("x").upload_from_string("3", if_generation_not_match=bucket.get_blob("x").generation)
    with pytest.raises(exceptions.NotFound):
        bucket.blob("x", generation=first).download_as_bytes()
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("x").download_as_bytes(if_metageneration_match=7)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("x").delete(if_generation_match=first)
    assert bucket.blob("x").download_as_bytes() == b"2"


@pytest.mark.parametrize("size", [0, 1, BIG, BIG * 3 + 17])
def test_resumable_upload(bucket: Any, size: int) -> None:
    data = os.urandom(size)
    blob = bucket.blob("big.bin", chunk_size=256 * 1024)
    blob.upload_from_file(io.BytesIO(data), content_type="application/x-thing")
    assert bucket.blob("big.bin").download_as_bytes() == data
    assert (blob.size, blob.content_type) == (size, "application/x-thing")


def test_a_resumable_session_by_hand(cloud: Cloud, client: storage.Client, bucket: Any) -> None:
    session = AuthorizedSession(client._credentials)
    root = client._connection.API_BASE_URL
    data, url = os.urandom(1000), f"{root}/upload/storage/v1/b/data/o?uploadType=resumable&name=x"
    place = session.post(url, json={}).headers["location"]
    asked = session.put(place, headers={"content-range": "bytes */1000"})
    assert (asked.status_code, asked.headers.get("range")) == (308, None)
    got = session.put(place, data=data[:300], headers={"content-range": "bytes 0-299/1000"})
    assert (got.status_code, got.headers["range"]) == (308, "bytes=0-299")
    # A chunk that was sent twice, and one with a gap before it.
    session.put(place, data=data[:600], headers={"content-range": "bytes 0-599/*"})
    session.put(place, data=data[700:800], headers={"content-range": "bytes 700-799/1000"})
    asked = session.put(place, headers={"content-range": "bytes */*"})
    assert asked.headers["range"] == "bytes=0-599"
    done = session.put(place, data=data[600:], headers={"content-range": "bytes 600-999/1000"})
    assert (done.status_code, done.json()["size"]) == (200, "1000")
    # The answer was lost: the question gives it again.
    again = session.put(place, headers={"content-range": "bytes */1000"})
    assert again.json() == done.json()
    assert bucket.blob("x").download_as_bytes() == data
    session.close()


def test_a_resumable_upload_honours_preconditions(bucket: Any) -> None:
    bucket.blob("x").upload_from_string("1")
    blob = bucket.blob("x", chunk_size=256 * 1024)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_file(io.BytesIO(b"2"), if_generation_match=0)
    assert bucket.blob("x").download_as_bytes() == b"1"


def test_declared_hashes_are_checked(client: storage.Client, bucket: Any) -> None:
    wrong = base64.b64encode(bytes(16)).decode()
    blob = bucket.blob("x")
    blob.md5_hash = wrong
    with pytest.raises(exceptions.BadRequest, match=r"Provided MD5 hash .*AAAA.* doesn't match"):
        blob.upload_from_string("1")
    blob = bucket.blob("x")
    blob.crc32c = "AAAAAA=="
    with pytest.raises(exceptions.BadRequest, match="Provided CRC32C hash"):
        blob.upload_from_string("1", checksum=None)
    assert bucket.get_blob("x") is None


def test_ranges(bucket: Any) -> None:
    blob = bucket.blob("x")
    blob.upload_from_string(b"0123456789")
    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=7) == b"789"
    assert blob.download_as_bytes(start=-3) == b"789"
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10)
    with blob.open("rb", chunk_size=4) as file:
        assert file.read() == b"0123456789"


def test_download_headers(client: storage.Client, bucket: Any) -> None:
    bucket.blob("x").upload_from_string("hello")
    session = AuthorizedSession(client._credentials)
    for path in ("/storage/v1/b/data/o/x", "/download/storage/v1/b/data/o/x"):
        got = session.get(f"{client._connection.API_BASE_URL}{path}?alt=media")
        assert got.content == b"hello"
        assert got.headers["x-goog-hash"] == "crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg=="
        assert got.headers["x-goog-generation"] == str(bucket.get_blob("x").generation)
    session.close()


def test_stored_compression(client: storage.Client, bucket: Any) -> None:
    blob = bucket.blob("x")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(b"hello"))
    assert blob.download_as_bytes() == b"hello"
    assert gzip.decompress(blob.download_as_bytes(raw_download=True)) == b"hello"


def test_listing(client: storage.Client, bucket: Any) -> None:
    for name in ("a/1", "a/2", "a/b/3", "c", "d/4"):
        bucket.blob(name).upload_from_string("x")

    def names(**options: Any) -> list[str]:
        return [blob.name for blob in client.list_blobs("data", **options)]

    assert names() == ["a/1", "a/2", "a/b/3", "c", "d/4"]
    assert names(prefix="a/") == ["a/1", "a/2", "a/b/3"]
    assert names(start_offset="a/2", end_offset="d") == ["a/2", "a/b/3", "c"]
    assert names(match_glob="a/*") == ["a/1", "a/2"]
    assert names(match_glob="**/{3,4}") == ["a/b/3", "d/4"]
    assert names(page_size=2) == ["a/1", "a/2", "a/b/3", "c", "d/4"]
    pages = list(client.list_blobs("data", page_size=2).pages)
    assert [len(list(page)) for page in pages] == [2, 2, 1]
    folders = client.list_blobs("data", prefix="a/", delimiter="/")
    assert [blob.name for blob in folders] == ["a/1", "a/2"]
    assert folders.prefixes == {"a/b/"}


def test_compose_copy_rewrite_rename(client: storage.Client, bucket: Any) -> None:
    one, two = bucket.blob("1"), bucket.blob("2")
    one.upload_from_string("ab")
    two.upload_from_string("cd")
    whole = bucket.blob("whole")
    whole.compose([one, two], if_generation_match=0)
    assert (whole.download_as_bytes(), whole.component_count, whole.md5_hash) == (b"abcd", 2, None)
    other = client.create_bucket("other")
    copied = bucket.copy_blob(whole, other, "a/copy")
    assert copied.download_as_bytes() == b"abcd"
    target = other.blob("b/rewritten")
    assert target.rewrite(one)[0] is None
    assert target.crc32c == one.crc32c
    bucket.rename_blob(one, "renamed")
    assert [blob.name for blob in bucket.list_blobs()] == ["2", "renamed", "whole"]


def test_transfer_manager(bucket: Any, tmp_path: Path) -> None:
    names = ["f1", "sub/f2"]
    (tmp_path / "in/sub").mkdir(parents=True)
    for name in names:
        (tmp_path / "in" / name).write_bytes(os.urandom(5000))
    thread = transfer_manager.THREAD
    root = str(tmp_path / "in")
    done = transfer_manager.upload_many_from_filenames(
        bucket, names, root, blob_name_prefix="p/", worker_type=thread, raise_exception=True
    )
    assert done == [None, None]
    transfer_manager.download_many_to_path(
        bucket,
        [f"p/{name}" for name in names],
        str(tmp_path / "out"),
        worker_type=thread,
        raise_exception=True,
    )
    for name in names:
        assert (tmp_path / "out/p" / name).read_bytes() == (tmp_path / "in" / name).read_bytes()


def test_transfer_manager_in_chunks(bucket: Any, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(1_000_000))
    options = {"chunk_size": 300_000, "worker_type": transfer_manager.THREAD}
    blob = bucket.blob("big")
    blob.metadata = {"a": "b"}
    transfer_manager.upload_chunks_concurrently(str(tmp_path / "in"), blob, **options)
    found = bucket.get_blob("big")
    assert (found.size, found.metadata) == (1_000_000, {"a": "b"})
    transfer_manager.download_chunks_concurrently(found, str(tmp_path / "out"), **options)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()


def test_policies(bucket: Any) -> None:
    policy = bucket.get_iam_policy()
    policy["roles/storage.objectViewer"].add("user:a@example.com")
    bucket.set_iam_policy(policy)
    assert bucket.get_iam_policy()["roles/storage.objectViewer"] == {"user:a@example.com"}
    assert bucket.test_iam_permissions("storage.objects.get") == ["storage.objects.get"]


def test_python_api(service: Storage, bucket: Any) -> None:
    service.write("data", "p/1", b"one", "text/plain")
    assert service.read("data", "p/1") == service.path("data", "p/1").read_bytes() == b"one"
    assert service.names("data", "p/") == ["p/1"]
    assert bucket.get_blob("p/1").content_type == "text/plain"


def test_a_batch_is_many_calls_in_one(client: storage.Client, bucket: Any) -> None:
    names = ("a b/ü", "b#?")
    for name in names:
        bucket.blob(name).upload_from_string("x")
    with client.batch():
        for name in names:
            blob = bucket.blob(name)
            blob.metadata = {"in": "batch"}
            blob.patch()
    assert [one.metadata for one in client.list_blobs("data")] == [{"in": "batch"}] * 2
    with pytest.raises(exceptions.NotFound), client.batch():
        bucket.delete_blob("not there")


def test_what_the_service_refuses(client: storage.Client, bucket: Any) -> None:
    for name in ("AB", "a", "has space"):
        with pytest.raises(exceptions.BadRequest):
            client.create_bucket(name)
    held = bucket.blob("held")
    held.upload_from_string("x")
    with pytest.raises(exceptions.BadRequest):
        bucket.blob("many").compose([held] * 33)
    held.temporary_hold = True
    held.patch()
    with pytest.raises(exceptions.Forbidden):
        held.delete()


def test_labels_go_and_buckets_come_in_pages(client: storage.Client, bucket: Any) -> None:
    bucket.labels = {"a": "b"}
    bucket.patch()
    bucket.labels = {}
    bucket.patch()
    assert client.get_bucket("data").labels == {}
    for number in range(3):
        client.create_bucket(f"page-{number}")
    pages = client.list_buckets(prefix="page-", page_size=2).pages
    assert [[one.name for one in page] for page in pages] == [["page-0", "page-1"], ["page-2"]]


def test_a_bucket_with_versions_keeps_older_generations(client: storage.Client) -> None:
    bucket = client.bucket("kept")
    bucket.versioning_enabled = True
    bucket.create(location="EU")
    blob = bucket.blob("a/one")
    generations = []
    for text in ("first", "second", "third"):
        blob.upload_from_string(text)
        generations.append(blob.generation)
    bucket.blob("a/two").upload_from_string("other")
    listed = [(one.name, one.generation) for one in client.list_blobs("kept", versions=True)]
    assert listed == [*(("a/one", one) for one in generations), ("a/two", listed[-1][1])]
    pages = client.list_blobs("kept", versions=True, page_size=2).pages
    assert [[one.generation for one in page] for page in pages] == [
        generations[:2],
        [generations[2], listed[-1][1]],
    ]
    assert bucket.blob("a/one", generation=generations[0]).download_as_text() == "first"
    bucket.blob("a/one").delete()
    assert bucket.get_blob("a/one") is None
    old = bucket.get_blob("a/one", generation=generations[1])
    assert old.time_deleted is not None
    bucket.copy_blob(old, bucket, "a/one", source_generation=old.generation)
    assert bucket.blob("a/one").download_as_text() == "second"
    old.delete()
    left = [one.generation for one in client.list_blobs("kept", versions=True, prefix="a/one")]
    assert left == [generations[0], generations[2], bucket.get_blob("a/one").generation]
    with pytest.raises(exceptions.Conflict):
        bucket.delete()
    for one in client.list_blobs("kept", versions=True):
        one.delete()
    bucket.delete()


def test_without_versions_only_the_newest_is_there(client: storage.Client, bucket: Any) -> None:
    blob = bucket.blob("single")
    blob.upload_from_string("first")
    first = blob.generation
    blob.upload_from_string("second")
    with pytest.raises(exceptions.NotFound):
        bucket.blob("single", generation=first).download_as_bytes()
    assert len(list(client.list_blobs("data", prefix="single", versions=True))) == 1


def test_what_would_have_no_effect_is_refused(client: storage.Client, bucket: Any) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="does not serve x-goog-encryption-"):
        bucket.blob("key", encryption_key=b"k" * 32).upload_from_string("x")
    with pytest.raises(exceptions.MethodNotImplemented, match="does not serve predefinedAcl"):
        bucket.blob("open").upload_from_string("x", predefined_acl="publicRead")
    assert not bucket.blob("open").exists()


def test_a_wrong_checksum_of_a_large_upload_is_told(client: storage.Client, bucket: Any) -> None:
    data = io.BytesIO(b"x" * (9 << 20))
    with pytest.raises(exceptions.BadRequest):
        bucket.blob("large").upload_from_file(data, crc32c_checksum_value="A0tD7w==")
    assert not bucket.blob("large").exists()


def test_labels_go_with_an_update_and_etags_hold(client: storage.Client, bucket: Any) -> None:
    bucket.labels = {"a": "b"}
    bucket.update()
    bucket.labels = {}
    bucket.update()
    bucket.reload()
    assert bucket.labels == {}
    blob = bucket.blob("deep/tagged")
    blob.upload_from_string("x")
    with pytest.raises(exceptions.NotModified):
        blob.download_as_bytes(if_etag_not_match=blob.etag)
    assert blob.download_as_bytes(if_etag_match=blob.etag) == b"x"
    assert [one.name for one in bucket.list_blobs(match_glob="**/tagged")] == ["deep/tagged"]


def test_access_control_lists_are_refused_by_name(client: storage.Client, bucket: Any) -> None:
    blob = bucket.blob("a/b")
    blob.upload_from_string("x")
    with pytest.raises(exceptions.MethodNotImplemented, match=r"storage\.objectAccessControls\.list"):
        blob.acl.reload()
    with pytest.raises(exceptions.MethodNotImplemented, match=r"storage\.bucketAccessControls\.list"):
        bucket.acl.reload()
    blob.retention.mode = "Unlocked"
    with pytest.raises(exceptions.MethodNotImplemented, match="does not serve retention"):
        blob.patch()


def test_settings_that_would_have_no_effect_are_refused(client: storage.Client, bucket: Any) -> None:
    bucket.default_kms_key_name = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
    with pytest.raises(exceptions.MethodNotImplemented, match="does not serve encryption of buckets"):
        bucket.patch()
    bucket.reload()
    assert bucket.default_kms_key_name is None
    with pytest.raises(exceptions.MethodNotImplemented, match="softDeleted of Cloud Storage's buckets"):
        list(client.list_buckets(soft_deleted=True))
    with pytest.raises(exceptions.MethodNotImplemented, match="enableObjectRetention"):
        client.create_bucket("other", enable_object_retention=True)


def test_move(client: storage.Client, bucket: Any) -> None:
    blob = bucket.blob("from here")
    blob.metadata = {"a": "b"}
    blob.upload_from_string("x", content_type="text/plain")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.move_blob(blob, "to/there", if_source_generation_match=1)
    moved = bucket.move_blob(blob, "to/there", if_generation_match=0)
    assert (moved.metadata, moved.content_type) == ({"a": "b"}, "text/plain")
    assert moved.download_as_bytes() == b"x"
    assert [one.name for one in client.list_blobs("data")] == ["to/there"]
    with pytest.raises(exceptions.NotFound):
        bucket.move_blob(blob, "nowhere")


def test_what_is_deleted_can_be_restored_for_a_while(client: storage.Client, bucket: Any) -> None:
    assert bucket.soft_delete_policy.retention_duration_seconds == 7 * 86400
    blob = bucket.blob("a/b")
    for text in ("first", "second"):
        blob.upload_from_string(text)
    blob.delete()
    assert list(client.list_blobs("data")) == []
    first, second = client.list_blobs("data", soft_deleted=True)
    assert first.soft_delete_time < first.hard_delete_time
    again = bucket.get_blob("a/b", generation=second.generation, soft_deleted=True)
    assert again.soft_delete_time == second.soft_delete_time
    restored = bucket.restore_blob("a/b", generation=first.generation)
    assert restored.generation > second.generation
    assert bucket.blob("a/b").download_as_text() == "first"
    with pytest.raises(exceptions.NotFound):
        bucket.restore_blob("a/b", generation=first.generation)
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.patch()
    bucket.blob("a/b").delete()
    left = [one.generation for one in client.list_blobs("data", soft_deleted=True)]
    assert left == [second.generation]
    bucket.delete()


def test_a_bucket_keeps_its_objects_for_a_period(client: storage.Client, bucket: Any) -> None:
    bucket.retention_period = 3600
    bucket.patch()
    kept = bucket.blob("kept")
    kept.upload_from_string("x")
    assert (kept.retention_expiration_time - kept.time_created).total_seconds() == 3600
    for change in (kept.delete, lambda: kept.upload_from_string("y")):
        with pytest.raises(exceptions.Forbidden, match="retention policy"):
            change()
    bucket.lock_retention_policy()
    bucket.retention_period = None
    with pytest.raises(exceptions.Forbidden, match="locked Retention Policy"):
        bucket.patch()
    other = client.create_bucket("other")
    other.retention_period = 3600
    other.patch()
    other.blob("x").upload_from_string("x")
    other.retention_period = None
    other.patch()
    assert other.get_blob("x").retention_expiration_time is None
    other.blob("x").delete()


def test_objects_of_a_bucket_with_holds_are_held(client: storage.Client) -> None:
    bucket = client.bucket("held")
    bucket.default_event_based_hold = True
    bucket.retention_period = 3600
    bucket.create()
    blob = bucket.blob("x")
    blob.upload_from_string("x")
    assert (blob.event_based_hold, blob.retention_expiration_time) == (True, None)
    with pytest.raises(exceptions.Forbidden, match="active hold"):
        blob.delete()
    blob.event_based_hold = False
    blob.patch()
    assert (blob.retention_expiration_time - blob.updated).total_seconds() == pytest.approx(3600, abs=1)


def test_settings_are_merged_and_completed(client: storage.Client) -> None:
    bucket = client.bucket("dual")
    bucket.autoclass_enabled = True
    bucket.storage_class = "STANDARD"
    bucket.create(location="NAM4")
    assert (bucket.location_type, bucket.rpo) == ("dual-region", "DEFAULT")
    assert bucket.autoclass_terminal_storage_class == "NEARLINE"
    since, bucket.autoclass_enabled = bucket.autoclass_toggle_time, False
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    assert bucket.autoclass_toggle_time > since
    access = client.get_bucket("dual").iam_configuration
    assert (access.public_access_prevention, access.uniform_bucket_level_access_enabled) == (
        "enforced",
        True,
    )


def test_an_object_has_its_buckets_storage_class_and_its_parts_metadata(
    client: storage.Client, tmp_path: Path
) -> None:
    bucket = client.bucket("cold")
    bucket.storage_class = "NEARLINE"
    bucket.create()
    bucket.blob("x").upload_from_string("x")
    assert bucket.get_blob("x").storage_class == "NEARLINE"
    (tmp_path / "in").write_bytes(gzip.compress(b"hello"))
    blob = bucket.blob("parts")
    blob.content_encoding, blob.cache_control, blob.content_language = "gzip", "private", "en"
    blob.storage_class = "ARCHIVE"
    options = {"chunk_size": 300_000, "worker_type": transfer_manager.THREAD}
    transfer_manager.upload_chunks_concurrently(str(tmp_path / "in"), blob, **options)
    found = bucket.get_blob("parts")
    assert (found.content_encoding, found.cache_control, found.content_language) == (
        *("gzip", "private", "en"),
    )
    assert (found.storage_class, found.download_as_bytes()) == ("ARCHIVE", b"hello")
    whole = bucket.blob("whole")
    whole.compose([bucket.blob("x")])
    assert (whole.content_type, whole.download_as_bytes()) == (None, b"x")


MEMBER = "loader@acme-ml.iam.gserviceaccount.com"


@pytest.fixture
def loader(cloud: Cloud, bucket: Any) -> Any:
    """Sends a call of the XML API as one who may make objects in a bucket, but may not delete them."""
    role = {"role": "roles/storage.objectCreator", "members": [f"serviceAccount:{MEMBER}"]}
    cloud.iam.set("projects/123456789012/buckets/data", {"bindings": [role]})
    token = {"authorization": f"Bearer {cloud.issue_token(MEMBER)}"}
    root = bucket.client._connection.API_BASE_URL

    def send(method: str, path: str, **query: str) -> requests.Response:
        part = b"<PartNumber>1</PartNumber>"
        return requests.request(
            method, f"{root}/{path}", params=query, data=part, headers=token, timeout=5
        )

    return send


def begun(loader: Any, path: str) -> str:
    found = re.search("<UploadId>(.*)</UploadId>", loader("POST", path, uploads="").text)
    assert found
    return found[1]


def test_an_upload_in_parts_writes_over_an_object_only_with_leave(loader: Any, bucket: Any) -> None:
    upload = begun(loader, "data/x")
    assert loader("PUT", "data/x", uploadId=upload, partNumber="1").status_code == 200
    bucket.blob("x").upload_from_string("first")
    denied = loader("POST", "data/x", uploadId=upload)
    assert (denied.status_code, "storage.objects.delete" in denied.text) == (403, True)
    assert bucket.blob("x").download_as_bytes() == b"first"
    bucket.blob("x").delete()
    assert loader("POST", "data/x", uploadId=upload).status_code == 200


def test_an_upload_in_parts_is_reached_by_its_own_address_alone(
    cloud: Cloud, loader: Any, bucket: Any, client: storage.Client
) -> None:
    client.create_bucket("other")
    cloud.store.put("multipart", "others", {"bucket": "other", "name": "x", "contentType": None})
    cloud.store.put("multipart", "y", {"bucket": "data", "name": "y", "contentType": None})
    for method, query in (("PUT", {"partNumber": "1"}), ("POST", {})):
        for upload in ("others", "y"):
            assert loader(method, "data/x", uploadId=upload, **query).status_code == 404
    admin = {"role": "roles/storage.objectAdmin", "members": [f"serviceAccount:{MEMBER}"]}
    cloud.iam.set("projects/123456789012/buckets/data", {"bindings": [admin]})
    assert loader("DELETE", "data/x", uploadId="others").status_code == 404
    assert loader("DELETE", "data/y", uploadId="y").status_code == 204


def test_a_session_that_is_not_there_cannot_be_cancelled(client: storage.Client, bucket: Any) -> None:
    root = client._connection.API_BASE_URL
    for upload in ("", "?upload_id=", "?upload_id=gone"):
        got = client._http.delete(f"{root}/upload/storage/v1/b/data/o{upload}", timeout=5)
        assert (got.status_code, got.json()["error"]["errors"][0]["reason"]) == (404, "notFound")
