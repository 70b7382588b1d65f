"""The registry of the local cloud by the distribution specification: what each call takes and answers.

The cases are those of the specification's own conformance programme, version 1.1.
"""

import hashlib
import json
import re
import uuid
from base64 import b64encode
from typing import Any

import pytest
import requests

from localcloud.client import Client
from tests.localcloud.jobs import REGISTRY, Jobs

pytestmark = pytest.mark.slow
OCI = "application/vnd.oci.image"
MANIFEST, INDEX = f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
BYTES = b"layer" * 50
CODES = {
    *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "UNAUTHORIZED"),
    *("MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "UNSUPPORTED"),
}


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Image:
    """One image name, over plain HTTP calls."""

    def __init__(self, session: Any, name: str) -> None:
        self.session, self.name = session, name

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        url = f"https://{REGISTRY}{path if path.startswith('/v2/') else f'/v2/{self.name}{path}'}"
        answer: requests.Response = self.session.request(method, url, **arguments)
        return answer

    def send(self, data: bytes) -> str:
        answer = self.call("POST", f"/blobs/uploads/?digest={digest(data)}", data=data)
        assert answer.status_code == 201, answer.text
        return digest(data)

    def descriptor(self, data: bytes, kind: str) -> dict[str, Any]:
        return {"mediaType": kind, "digest": self.send(data), "size": len(data)}

    def put(self, reference: str, manifest: dict[str, Any]) -> requests.Response:
        data = json.dumps(manifest).encode()
        headers = {"Content-Type": manifest["mediaType"]}
        where = digest(data) if reference == "digest" else reference
        return self.call("PUT", f"/manifests/{where}", data=data, headers=headers)

    def manifest(self, **more: Any) -> dict[str, Any]:
        config = self.descriptor(b"{}", EMPTY)
        layers = [self.descriptor(BYTES, "application/octet-stream")]
        return {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **more}

    def pushed(self, reference: str = "v1", **more: Any) -> str:
        answer = self.put(reference, self.manifest(**more))
        assert answer.status_code == 201, answer.text
        return answer.headers["Docker-Content-Digest"]

    def session_at(self) -> str:
        answer = self.call("POST", "/blobs/uploads/")
        assert answer.status_code == 202
        return answer.headers["Location"]


@pytest.fixture(scope="module")
def session(cloud: Client) -> Any:
    """The owner's, with a token for each call."""
    return Jobs(cloud).session


@pytest.fixture
def image(session: Any) -> Image:
    """A name that is new."""
    return Image(session, f"test-project/images/{uuid.uuid4().hex}")


@pytest.fixture
def other(session: Any) -> Image:
    """Another one, in another repository."""
    return Image(session, f"test-project/others/{uuid.uuid4().hex}")


def code(answer: requests.Response) -> str:
    found = str(answer.json()["errors"][0]["code"])
    assert found in CODES
    return found


ABSENT = digest(b"absent")


@pytest.mark.parametrize(
    ("method", "path", "status", "named"),
    [
        ("GET", f"/blobs/{ABSENT}", 404, "BLOB_UNKNOWN"),
        ("GET", f"/manifests/{ABSENT}", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/manifests/v9", 404, "MANIFEST_UNKNOWN"),
        ("DELETE", "/manifests/v9", 404, "MANIFEST_UNKNOWN"),
        ("DELETE", f"/manifests/{ABSENT}", 404, "MANIFEST_UNKNOWN"),
        ("DELETE", f"/blobs/{ABSENT}", 404, "BLOB_UNKNOWN"),
        ("GET", "/blobs/sha256:totallywrong", 400, "DIGEST_INVALID"),
        ("GET", "/manifests/sha256:totallywrong", 400, "DIGEST_INVALID"),
        ("GET", "/blobs/uploads/none", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PATCH", "/blobs/uploads/none", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PUT", f"/blobs/uploads/none?digest={ABSENT}", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("POST", f"/blobs/uploads/?digest={ABSENT}", 400, "DIGEST_INVALID"),
        ("GET", "/v2/Test-Project/x/y/tags/list", 400, "NAME_INVALID"),
        ("POST", "/manifests/v1", 501, "UNSUPPORTED"),
    ],
)
def test_what_is_not_there_or_not_right_has_the_specification_s_code(
    image: Image, method: str, path: str, status: int, named: str
) -> None:
    answer = image.call(method, path)
    assert (answer.status_code, code(answer)) == (status, named)
    if method == "GET":
        assert image.call("HEAD", path).status_code in (status, 501)


def test_a_caller_is_challenged_and_gets_a_token_for_a_password(image: Image) -> None:
    plain = requests.Session()
    plain.trust_env, plain.proxies, plain.verify = False, image.session.proxies, image.session.verify
    url = f"https://{REGISTRY}/v2/{image.name}/tags/list"
    refused = plain.get(url)
    assert (refused.status_code, code(refused)) == (401, "UNAUTHORIZED")
    said = dict(re.findall(r'(\w+)="([^"]+)"', refused.headers["WWW-Authenticate"]))
    assert said.pop("realm") == f"https://{REGISTRY}/v2/token"
    assert said == {"service": REGISTRY, "scope": f"repository:{image.name}:pull"}
    image.session.get(url)
    password = image.session.credentials.token

    def token(user: str, secret: str) -> requests.Response:
        pair = b64encode(f"{user}:{secret}".encode()).decode()
        return plain.get(
            f"https://{REGISTRY}/v2/token", params=said, headers={"Authorization": f"Basic {pair}"}
        )

    given = token("oauth2accesstoken", password).json()
    assert given["expires_in"] > 0
    assert plain.get(url, headers={"Authorization": f"Bearer {given['token']}"}).status_code == 200
    wrong = [token("oauth2accesstoken", "other"), token("somebody", password)]
    assert [answer.status_code for answer in wrong] == [401, 401]
    assert plain.get(url, headers={"Authorization": "Basic =="}).status_code == 401


def test_a_blob_is_read_whole_and_in_part(image: Image) -> None:
    path = f"/blobs/{image.send(BYTES)}"
    found, head = image.call("GET", path), image.call("HEAD", path)
    assert found.content == BYTES
    assert (
        found.headers["Docker-Content-Digest"] == head.headers["Docker-Content-Digest"] == digest(BYTES)
    )
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(BYTES)))

    def part(asked: str) -> tuple[int, bytes, str]:
        answer = image.call("GET", path, headers={"Range": asked})
        return answer.status_code, answer.content, answer.headers.get("Content-Range", "")

    size = len(BYTES)
    assert part("bytes=2-4") == (206, BYTES[2:5], f"bytes 2-4/{size}")
    assert part("bytes=245-") == (206, BYTES[245:], f"bytes 245-249/{size}")
    assert part("bytes=-3") == (206, BYTES[-3:], f"bytes 247-249/{size}")
    assert part("bytes=240-999")[:2] == (206, BYTES[240:])
    assert part("bytes=250-")[0] == 416
    assert part("pages=1-2")[:2] == (200, BYTES)


@pytest.mark.parametrize("data", [BYTES, b""])
def test_a_blob_is_sent_in_a_session(image: Image, data: bytes) -> None:
    place = image.session_at()
    done = image.call("PUT", f"{place}?digest={digest(data)}", data=data)
    assert (done.status_code, done.headers["Location"]) == (
        201,
        f"/v2/{image.name}/blobs/{digest(data)}",
    )
    assert image.call("GET", done.headers["Location"]).content == data
    assert image.call("GET", place).status_code == 404, "the session is over"


def test_a_blob_is_sent_in_chunks_in_order(image: Image) -> None:
    place, chunks = image.session_at(), [BYTES[:100], BYTES[100:]]

    def chunk(data: bytes, start: int) -> requests.Response:
        headers = {"Content-Range": f"{start}-{start + len(data) - 1}"}
        return image.call("PATCH", place, data=data, headers=headers)

    assert chunk(chunks[1], 100).status_code == 416, "the second before the first"
    first = chunk(chunks[0], 0)
    assert (first.status_code, first.headers["Range"]) == (202, "0-99")
    assert chunk(chunks[0], 0).status_code == 416, "the first again"
    status = image.call("GET", place)
    assert (status.status_code, status.headers["Range"]) == (204, "0-99")
    assert status.headers["Location"] == place
    assert chunk(chunks[1], 100).headers["Range"] == "0-249"
    assert image.call("PUT", f"{place}?digest={digest(BYTES)}").status_code == 201
    assert image.call("GET", f"/blobs/{digest(BYTES)}").content == BYTES


def test_a_session_can_be_cancelled_and_is_its_own_image_s(image: Image, other: Image) -> None:
    place = image.session_at()
    session = place.rpartition("/")[2]
    assert other.call("GET", f"/blobs/uploads/{session}").status_code == 404
    assert image.call("PATCH", place, data=BYTES).headers["Range"] == "0-249"
    assert image.call("DELETE", place).status_code == 204
    assert image.call("PATCH", place, data=BYTES).status_code == 404


def test_a_blob_of_another_digest_is_refused(image: Image) -> None:
    place = image.session_at()
    wrong = image.call("PUT", f"{place}?digest={ABSENT}", data=BYTES)
    assert (wrong.status_code, code(wrong)) == (400, "DIGEST_INVALID")
    assert code(image.call("PUT", image.session_at(), data=BYTES)) == "DIGEST_INVALID"
    assert image.call("HEAD", f"/blobs/{ABSENT}").status_code == 404
    assert image.call("HEAD", f"/blobs/{digest(BYTES)}").status_code == 404


def test_a_blob_is_mounted_from_another_image_and_else_sent(image: Image, other: Image) -> None:
    found = other.send(BYTES)
    assert image.call("HEAD", f"/blobs/{found}").status_code == 404, "another image's is not ours"
    mount = f"/blobs/uploads/?mount={found}"
    mounted = image.call("POST", f"{mount}&from={other.name}")
    assert (mounted.status_code, mounted.headers["Location"]) == (
        201,
        f"/v2/{image.name}/blobs/{found}",
    )
    assert image.call("GET", f"/blobs/{found}").content == BYTES
    unknown = f"/blobs/uploads/?mount={ABSENT}&from={other.name}"
    for path in (mount, unknown):
        assert image.call("POST", path).status_code == 202


def test_a_manifest_is_found_by_tag_and_digest_byte_for_byte(image: Image) -> None:
    sent = json.dumps(image.manifest(annotations={"spaced": "a  b"}), indent=3).encode()
    headers = {"Content-Type": MANIFEST}
    made = image.call("PUT", "/manifests/v1.0_x-Y", data=sent, headers=headers)
    assert made.headers["Location"] == f"/v2/{image.name}/manifests/{digest(sent)}"
    for reference in ("v1.0_x-Y", digest(sent)):
        got, head = (image.call(verb, f"/manifests/{reference}") for verb in ("GET", "HEAD"))
        assert got.content == sent
        for answer in (got, head):
            assert answer.headers["Content-Type"] == MANIFEST
            assert answer.headers["Docker-Content-Digest"] == digest(sent)
            assert answer.headers["Content-Length"] == str(len(sent))


def test_an_index_is_kept_once_its_images_are_there(image: Image) -> None:
    below = {"mediaType": MANIFEST, "digest": ABSENT, "size": 2}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [below]}
    assert code(image.put("all", index)) == "MANIFEST_BLOB_UNKNOWN"
    below["digest"] = image.pushed()
    assert image.put("all", index).status_code == 201
    assert image.call("GET", "/manifests/all").headers["Content-Type"] == INDEX


def broken(image: Image, **changed: Any) -> requests.Response:
    return image.put("v1", image.manifest(**changed))


def test_a_manifest_that_does_not_hold_is_refused(image: Image) -> None:
    missing = [{"mediaType": "application/octet-stream", "digest": ABSENT, "size": 6}]
    assert code(broken(image, layers=missing)) == "MANIFEST_BLOB_UNKNOWN"
    assert broken(image, layers=[{**missing[0], "urls": ["https://a"]}]).status_code == 201
    data = json.dumps(image.manifest()).encode()
    for kind in (INDEX, "application/json", ""):
        answer = image.call("PUT", "/manifests/v1", data=data, headers={"Content-Type": kind})
        assert (answer.status_code, code(answer)) == (400, "MANIFEST_INVALID"), kind
    for body in (b"[]", b"blablabla"):
        answer = image.call("PUT", "/manifests/v1", data=body, headers={"Content-Type": MANIFEST})
        assert (answer.status_code, code(answer)) == (400, "MANIFEST_INVALID"), body
    headers = {"Content-Type": MANIFEST}
    assert (
        code(image.call("PUT", f"/manifests/{ABSENT}", data=data, headers=headers)) == "DIGEST_INVALID"
    )
    assert image.call("PUT", "/manifests/.x", data=data, headers=headers).status_code == 400
    huge = json.dumps(image.manifest(annotations={"x": "x" * (4 << 20)})).encode()
    assert image.call("PUT", "/manifests/v1", data=huge, headers=headers).status_code == 413


def test_tags_are_listed_in_order_and_in_pages(image: Image) -> None:
    for tag in ("b", "d", "a", "c"):
        image.pushed(tag)

    def listed(query: str) -> tuple[list[str], str]:
        answer = image.call("GET", f"/tags/list{query}")
        assert answer.json()["name"] == image.name
        return answer.json()["tags"], answer.links.get("next", {}).get("url", "")

    assert listed("") == (["a", "b", "c", "d"], "")
    first, link = listed("?n=3")
    assert first == ["a", "b", "c"]
    assert link == f"/v2/{image.name}/tags/list?n=3&last=c"
    assert image.call("GET", link).json()["tags"] == ["d"]
    assert listed("?n=2&last=b") == (["c", "d"], "")
    assert listed("?n=0") == ([], "")
    assert listed("?last=c") == (["d"], "")
    assert image.call("GET", "/tags/list?n=many").status_code == 400


def test_the_list_says_how_old_and_how_big_the_images_are(image: Image, session: Any) -> None:
    found, untagged = image.pushed("b"), image.pushed("digest", annotations={"x": "y"})
    image.put("a", image.manifest())
    before = image.call("GET", "/tags/list").json()["manifest"]
    assert {key: row["tag"] for key, row in before.items()} == {found: ["a", "b"], untagged: []}
    assert before[found]["imageSizeBytes"] == str(len(BYTES) + 2)
    image.pushed("b")
    assert image.call("GET", "/tags/list").json()["manifest"] == before, "it is as old as it was"
    repository, _, own = image.name.rpartition("/")
    assert own in Image(session, repository).call("GET", "/tags/list").json()["child"]


def test_referrers_are_listed_by_their_subject_and_type(image: Image) -> None:
    subject = {"mediaType": MANIFEST, "digest": image.pushed(), "size": 1}
    one = image.put(
        "digest", image.manifest(subject=subject, artifactType="a/sbom", annotations={"x": "y"})
    )
    assert one.headers["OCI-Subject"] == subject["digest"]
    image.put("digest", image.manifest(subject=subject))  # its type is its configuration's
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "artifactType": "a/list"}
    image.put("digest", {**index, "subject": subject})

    def referrers(to: str, query: str = "") -> dict[str, dict[str, Any]]:
        answer = image.call("GET", f"/referrers/{to}{query}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, INDEX)
        assert answer.headers.get("OCI-Filters-Applied", "") == ("artifactType" if query else "")
        return {row["artifactType"]: row for row in answer.json()["manifests"]}

    found = referrers(subject["digest"])
    assert set(found) == {"a/sbom", EMPTY, "a/list"}
    assert found["a/list"]["mediaType"] == INDEX
    sbom = found["a/sbom"]
    assert sbom["annotations"] == {"x": "y"}
    assert sbom["digest"] == one.headers["Docker-Content-Digest"]
    assert len(image.call("GET", f"/manifests/{sbom['digest']}").content) == sbom["size"]
    assert list(referrers(subject["digest"], "?artifactType=a/sbom")) == ["a/sbom"]
    assert referrers(ABSENT) == {}
    image.call("DELETE", f"/manifests/{sbom['digest']}")
    assert set(referrers(subject["digest"])) == {EMPTY, "a/list"}


def test_something_may_refer_to_what_comes_later(image: Image) -> None:
    later = image.manifest(annotations={"n": uuid.uuid4().hex})
    subject = {"mediaType": MANIFEST, "digest": digest(json.dumps(later).encode()), "size": 1}
    assert image.put("digest", image.manifest(subject=subject)).status_code == 201
    image.put("v1", later)
    assert len(image.call("GET", f"/referrers/{subject['digest']}").json()["manifests"]) == 1


def test_a_manifest_is_deleted_once_nothing_names_it(image: Image) -> None:
    found = image.pushed("v1")
    image.put("v2", image.manifest())
    refused = image.call("DELETE", f"/manifests/{found}")
    said = refused.json()["errors"][0]
    assert (refused.status_code, said["code"]) == (400, "GOOGLE_MANIFEST_DANGLING_TAG")
    assert image.call("DELETE", "/manifests/v1").status_code == 202
    assert image.call("GET", "/manifests/v1").status_code == 404
    assert image.call("GET", "/tags/list").json()["tags"] == ["v2"]
    index = {"mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "digest": found, "size": 1}]}
    image.put("all", index)
    image.call("DELETE", "/manifests/v2")
    refused = image.call("DELETE", f"/manifests/{found}")
    assert refused.json()["errors"][0]["code"] == "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE"
    parent = image.call("HEAD", "/manifests/all").headers["Docker-Content-Digest"]
    gone = ["all", parent, found]
    assert [image.call("DELETE", f"/manifests/{one}").status_code for one in gone] == [202] * 3
    assert image.call("GET", f"/manifests/{found}").status_code == 404


def test_a_blob_can_be_deleted_of_one_image(image: Image, other: Image) -> None:
    found = image.send(BYTES)
    other.send(BYTES)
    assert image.call("DELETE", f"/blobs/{found}").status_code == 202
    assert image.call("GET", f"/blobs/{found}").status_code == 404
    assert other.call("GET", f"/blobs/{found}").content == BYTES
