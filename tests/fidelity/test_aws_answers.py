"""Every call of S3 that is let through, made by boto3, which reads the answer by AWS's own model."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from urllib3.response import HTTPResponse

from localcloud import aws_names
from localcloud.aws import Aws
from localcloud.http import Query, Request, Router
from tests.localcloud.served import new_cloud

RULE = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 1}}
CORS = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://acme.test"]}]}
SSE = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}


class Amazon:
    """boto3's clients, whose requests go straight to the local AWS; `called` went well."""

    def __init__(self, router: Router, keys: tuple[str, str]) -> None:
        self.router, self.keys = router, keys
        self.called: set[str] = set()

    def client(self, service: str) -> Any:
        access, secret = self.keys
        made = boto3.client(
            service, region_name="eu-west-1", aws_access_key_id=access, aws_secret_access_key=secret
        )
        made.meta.events.register("before-send", self._send)
        return made

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        url = urlsplit(request.url)
        headers = {
            k.lower(): v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()
        }
        headers["host"] = url.netloc
        body = request.body or b""
        body = body.read() if hasattr(body, "read") else body.encode() if isinstance(body, str) else body
        query = Query.parse(url.query)
        asked = Request(request.method, url.netloc, url.path, query, headers, body)
        answer = self.router(asked)
        if answer.status < 300:
            self.called.add(aws_names.name(asked).removeprefix("s3."))
        raw = HTTPResponse(io.BytesIO(answer.encoded()), preload_content=False)
        return AWSResponse(request.url, answer.status, answer.all_headers(), raw)


@pytest.fixture
def amazon(tmp_path: Path) -> Iterator[Amazon]:
    cloud = new_cloud(tmp_path)
    keys = ("AKIAOWNER", "not-a-secret")
    cloud.store.put("owner", "aws", {"id": keys[0], "secret": keys[1]})
    yield Amazon(Router([Aws(cloud)]), keys)
    forget()
    cloud.store.close()


def forget() -> None:
    """What moto holds, for all of the process."""
    from moto.s3.models import s3_backends

    for account in s3_backends.values():
        for backend in account.values():
            backend.reset()


def settings(s3: Any) -> None:
    where = {"Bucket": "data"}
    s3.put_bucket_cors(**where, CORSConfiguration=CORS)
    assert s3.get_bucket_cors(**where)["CORSRules"] == CORS["CORSRules"]
    s3.delete_bucket_cors(**where)
    s3.put_bucket_lifecycle_configuration(**where, LifecycleConfiguration={"Rules": [RULE]})
    assert s3.get_bucket_lifecycle_configuration(**where)["Rules"][0]["ID"] == "old"
    s3.delete_bucket_lifecycle(**where)
    s3.put_bucket_encryption(**where, ServerSideEncryptionConfiguration=SSE)
    s3.get_bucket_encryption(**where)
    s3.delete_bucket_encryption(**where)
    s3.put_public_access_block(**where, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    s3.get_public_access_block(**where)
    s3.delete_public_access_block(**where)
    s3.put_bucket_tagging(**where, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_bucket_tagging(**where)["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.delete_bucket_tagging(**where)
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObjectAcl",
        "Resource": "arn:aws:s3:::data/*",
    }
    s3.put_bucket_policy(**where, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    s3.get_bucket_policy(**where)
    s3.delete_bucket_policy(**where)
    s3.put_bucket_versioning(**where, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(**where)["Status"] == "Enabled"
    s3.get_bucket_location(**where)
    s3.get_bucket_acl(**where)


def objects(s3: Any) -> None:
    one = {"Bucket": "data", "Key": "a/one"}
    s3.put_object(**one, Body=b"one", ContentType="text/plain", Metadata={"k": "v"})
    assert s3.get_object(**one)["Body"].read() == b"one"
    assert s3.head_object(**one)["Metadata"] == {"k": "v"}
    s3.get_object_acl(**one)
    s3.get_object_attributes(**one, ObjectAttributes=["ETag", "ObjectSize"])
    s3.put_object_tagging(**one, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_object_tagging(**one)["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.delete_object_tagging(**one)
    s3.copy_object(Bucket="data", Key="a/two", CopySource=one)
    assert [found["Key"] for found in s3.list_objects_v2(Bucket="data")["Contents"]] == [
        "a/one",
        "a/two",
    ]
    s3.list_objects(Bucket="data", Delimiter="/")
    s3.list_object_versions(Bucket="data")
    s3.delete_object(**one)
    s3.delete_objects(Bucket="data", Delete={"Objects": [{"Key": "a/two"}]})


def uploads(s3: Any) -> None:
    one = {"Bucket": "data", "Key": "big"}
    s3.put_object(Bucket="data", Key="source", Body=b"x" * (5 << 20))
    upload = {**one, "UploadId": s3.create_multipart_upload(**one)["UploadId"]}
    s3.list_multipart_uploads(Bucket="data")
    first = s3.upload_part_copy(**upload, PartNumber=1, CopySource={"Bucket": "data", "Key": "source"})
    second = s3.upload_part(**upload, PartNumber=2, Body=b"end")
    assert len(s3.list_parts(**upload)["Parts"]) == 2
    tags = [first["CopyPartResult"]["ETag"], second["ETag"]]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    again = s3.create_multipart_upload(**one)["UploadId"]
    s3.abort_multipart_upload(**one, UploadId=again)


def test_every_call_of_s3_that_is_let_through_is_served(amazon: Amazon) -> None:
    s3 = amazon.client("s3")
    s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.head_bucket(Bucket="data")
    s3.list_buckets()
    settings(s3)
    objects(s3)
    uploads(s3)
    for found in s3.list_object_versions(Bucket="data")["Versions"]:
        s3.delete_object(Bucket="data", Key=found["Key"], VersionId=found["VersionId"])
    for found in s3.list_object_versions(Bucket="data").get("DeleteMarkers", []):
        s3.delete_object(Bucket="data", Key=found["Key"], VersionId=found["VersionId"])
    s3.delete_bucket(Bucket="data")
    called = {aws_names.SAME.get(name, name) for name in amazon.called}
    assert called == aws_names.S3


def test_what_is_let_through_are_calls_of_aws() -> None:
    names = aws_names.names()
    assert {f"s3.{name}" for name in aws_names.S3} | {f"sts.{name}" for name in aws_names.STS} <= names


@pytest.mark.parametrize(
    ("service", "call", "fields", "code", "status"),
    [
        ("s3", "get_bucket_website", {"Bucket": "data"}, "NotImplemented", 501),
        ("sts", "get_session_token", {}, "InvalidAction", 400),
        ("iam", "create_group", {"GroupName": "g"}, "InvalidAction", 400),
    ],
)
def test_what_is_not_served_is_refused_in_the_services_own_shape(
    amazon: Amazon, service: str, call: str, fields: Any, code: str, status: int
) -> None:
    with pytest.raises(ClientError, match="the local cloud does not serve") as caught:
        getattr(amazon.client(service), call)(**fields)
    found = caught.value.response
    assert (found["Error"]["Code"], found["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


def test_a_buckets_rules_outlive_a_restart(tmp_path: Path) -> None:
    cloud = new_cloud(tmp_path)
    keys = ("AKIAOWNER", "not-a-secret")
    cloud.store.put("owner", "aws", {"id": keys[0], "secret": keys[1]})
    s3 = Amazon(Router([Aws(cloud)]), keys).client("s3")
    s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_cors(Bucket="data", CORSConfiguration=CORS)
    s3.put_bucket_lifecycle_configuration(Bucket="data", LifecycleConfiguration={"Rules": [RULE]})
    forget()
    s3 = Amazon(Router([Aws(cloud)]), keys).client("s3")
    assert s3.get_bucket_cors(Bucket="data")["CORSRules"] == CORS["CORSRules"]
    assert s3.get_bucket_lifecycle_configuration(Bucket="data")["Rules"][0]["ID"] == "old"
    forget()
    cloud.store.close()
