"""S3: what was acknowledged is there after a restart, whatever it was."""

from pathlib import Path
from typing import Any

import pytest

from localcloud.client import Client, free_port
from tests.conftest import WORLD, Program

pytestmark = pytest.mark.slow


def test_objects_keep_everything_over_a_restart(tmp_path: Path, run_in: Any) -> None:
    client = Client(tmp_path / "cloud")
    client.up(WORLD, free_port())
    before = run_in(client, WRITE + SHOW)
    client.down()
    client.up(WORLD, free_port())
    after = run_in(client, SHOW)
    client.down()
    assert after == before
    assert before["etag"].endswith('-2"')
    assert before["metadata"] == {"a": "2"}
    assert before["tags"] == [{"Key": "k", "Value": "v"}]
    assert (before["old"], before["versioning"], before["policy"]) == ("1", "Enabled", True)


WRITE = """
import boto3, io
from boto3.s3.transfer import TransferConfig
s3 = boto3.client("s3")
s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
s3.upload_fileobj(io.BytesIO(bytes(6 << 20)), "kept", "big", Config=parts)
s3.put_object(Bucket="kept", Key="a b/ü+%.txt", Body=b"x", Metadata={"a": "1"}, Tagging="k=v")
s3.copy_object(Bucket="kept", Key="changed", CopySource="kept/big", Metadata={"a": "2"},
    MetadataDirective="REPLACE")
s3.put_object(Bucket="kept", Key="gone<&>", Body=b"x")
s3.delete_objects(Bucket="kept", Delete={"Objects": [{"Key": "gone<&>"}]})
s3.put_bucket_policy(Bucket="kept", Policy='{"Version": "2012-10-17", "Statement": []}')
s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
s3.put_object(Bucket="kept", Key="versions", Body=b"1")
s3.put_object(Bucket="kept", Key="versions", Body=b"2")
"""
SHOW = """
import boto3
s3 = boto3.client("s3")
versions = s3.list_object_versions(Bucket="kept", Prefix="versions")["Versions"]
old = next(one["VersionId"] for one in versions if not one["IsLatest"])
answer = {
    "etag": s3.head_object(Bucket="kept", Key="big")["ETag"],
    "time": str(s3.head_object(Bucket="kept", Key="big")["LastModified"]),
    "size": len(s3.get_object(Bucket="kept", Key="big")["Body"].read()),
    "metadata": s3.head_object(Bucket="kept", Key="changed")["Metadata"],
    "tags": s3.get_object_tagging(Bucket="kept", Key="a b/ü+%.txt")["TagSet"],
    "keys": [one["Key"] for one in s3.list_objects_v2(Bucket="kept")["Contents"]],
    "old": s3.get_object(Bucket="kept", Key="versions", VersionId=old)["Body"].read().decode(),
    "versioning": s3.get_bucket_versioning(Bucket="kept")["Status"],
    "policy": bool(s3.get_bucket_policy(Bucket="kept")["Policy"]),
}
"""


def test_an_upload_goes_on_after_a_restart(tmp_path: Path, run_in: Any) -> None:
    client = Client(tmp_path / "cloud")
    client.up(WORLD, free_port())
    upload = run_in(client, BEGIN)
    client.down()
    client.up(WORLD, free_port())
    found = run_in(client, f"upload = {upload!r}\n{GO_ON}")
    client.down()
    assert found == {
        "parts": [1],
        "size": (5 << 20) + 3,
        "again": True,
        "left": 0,
        "metadata": {"a": "b"},
    }


BEGIN = """
import boto3
s3 = boto3.client("s3")
s3.create_bucket(Bucket="slow", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
given = s3.create_multipart_upload(Bucket="slow", Key="given up")["UploadId"]
s3.abort_multipart_upload(Bucket="slow", Key="given up", UploadId=given)
answer = s3.create_multipart_upload(Bucket="slow", Key="a/b", Metadata={"a": "b"})["UploadId"]
s3.upload_part(Bucket="slow", Key="a/b", UploadId=answer, PartNumber=1, Body=bytes(5 << 20))
"""
GO_ON = """
import boto3
s3 = boto3.client("s3")
of = {"Bucket": "slow", "Key": "a/b", "UploadId": upload}
parts = [{"PartNumber": one["PartNumber"], "ETag": one["ETag"]} for one in s3.list_parts(**of)["Parts"]]
last = s3.upload_part(**of, PartNumber=2, Body=b"end")
whole = {"Parts": [*parts, {"PartNumber": 2, "ETag": last["ETag"]}]}
done = s3.complete_multipart_upload(**of, MultipartUpload=whole)
again = s3.complete_multipart_upload(**of, MultipartUpload=whole, IfNoneMatch="*")
head = s3.head_object(Bucket="slow", Key="a/b")
answer = {
    "parts": [one["PartNumber"] for one in parts],
    "size": head["ContentLength"],
    "metadata": head["Metadata"],
    "again": again["ETag"] == done["ETag"],
    "left": len(s3.list_multipart_uploads(Bucket="slow").get("Uploads", [])),
}
"""


def test_an_upload_in_parts_ends_as_at_aws(program: Program) -> None:
    answer = program("""
import boto3
from botocore.exceptions import ClientError
s3 = boto3.client("s3")
s3.create_bucket(Bucket="parts", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
s3.put_object(Bucket="parts", Key="there", Body=b"x")
upload = {"Bucket": "parts", "Key": "there"}
upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
etag = s3.upload_part(**upload, PartNumber=1, Body=b"y")["ETag"]
answer = []
for change in ({"IfNoneMatch": "*"}, {"UploadId": "no-such-upload"}):
    try:
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        s3.complete_multipart_upload(**{**upload, **change}, MultipartUpload=parts)
    except ClientError as error:
        answer.append(error.response["Error"]["Code"])
""")
    assert answer == ["PreconditionFailed", "NoSuchUpload"]


def test_signatures_in_addresses_and_forms_count(program: Program) -> None:
    answer = program("""
import boto3, requests
from botocore.config import Config
answer = []
boto3.client("s3").create_bucket(
    Bucket="signed", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
for version in ("s3", "s3v4"):
    s3 = boto3.client("s3", config=Config(signature_version=version))
    params = {"Bucket": "signed", "Key": "p q/ü.txt"}
    s3.put_object(**params, Body=b"pre")
    answer.append(requests.get(s3.generate_presigned_url("get_object", Params=params)).text)
form = s3.generate_presigned_post("signed", "posted")
sent = requests.post(form["url"], data=form["fields"], files={"file": b"form"})
answer += [sent.status_code, s3.get_object(Bucket="signed", Key="posted")["Body"].read().decode()]
answer.append(requests.get("https://signed.s3.eu-west-1.amazonaws.com/posted").status_code)
""")
    assert answer == ["pre", "pre", 204, "form", 403]


def test_a_form_is_what_its_sender_means(program: Program) -> None:
    answer = program("""
import boto3, requests
s3 = boto3.client("s3")
s3.create_bucket(Bucket="forms", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
kind = {"Content-Type": "text/csv"}
form = s3.generate_presigned_post("forms", "in/${filename}", Fields=dict(kind), Conditions=[dict(kind)])
data = b'1\\r\\n--2; name="key"\\r\\n\\r\\nx\\r\\n'
send = lambda files, data=None: requests.post(form["url"], data=data, files=files).status_code
answer = [send({"file": ("a b.csv", data)}, form["fields"])]
found = s3.get_object(Bucket="forms", Key="in/a b.csv")
answer += [found["Body"].read() == data, found["ContentType"]]
# Some send every field as if it were a file.
answer.append(send({**form["fields"], "file": ("c", b"c")}))
answer.append(send({**form["fields"], "file": b"c", "key": ("", "other")}, {"key": "in/x"}))
answer += [send({"x": b"c"}, form["fields"]), send({"file": b"c"}, {"key": "in/x"})]
answer.append(sorted(one["Key"] for one in s3.list_objects_v2(Bucket="forms")["Contents"]))
""")
    assert answer == [204, True, "text/csv", 204, 400, 400, 403, ["in/a b.csv", "in/c"]]
