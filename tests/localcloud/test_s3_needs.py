"""S3: which grants a request needs is decided by the call that it is."""

import pytest

from localcloud.errors import ApiError
from localcloud.http import Query, Request
from localcloud.s3_request import names, needs

HOST = "s3.eu-west-1.amazonaws.com"


def request(method: str, address: str, body: bytes = b"", **headers: str) -> Request:
    path, _, query = address.partition("?")
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, HOST, path, Query.parse(query), sent, body)


@pytest.mark.parametrize(
    ("method", "address", "wanted"),
    [
        ("GET", "/", ("s3:ListAllMyBuckets", "*")),
        ("HEAD", "/b", ("s3:ListBucket", "b")),
        ("GET", "/b?list-type=2&prefix=delete", ("s3:ListBucket", "b")),
        ("GET", "/b?versions", ("s3:ListBucketVersions", "b")),
        ("PUT", "/b", ("s3:CreateBucket", "b")),
        ("DELETE", "/b?cors", ("s3:PutBucketCORS", "b")),
        ("DELETE", "/b//", ("s3:DeleteObject", "b//")),
        ("GET", "/b/k?versionId=1", ("s3:GetObjectVersion", "b/k")),
        ("DELETE", "/b/k?versionId=1", ("s3:DeleteObjectVersion", "b/k")),
        ("DELETE", "/b/k?uploadId=1", ("s3:AbortMultipartUpload", "b/k")),
        ("PUT", "/b/k?uploadId=1&partNumber=1", ("s3:PutObject", "b/k")),
        ("PUT", "/b/k?tagging", ("s3:PutObjectTagging", "b/k")),
        ("OPTIONS", "/b/k", ("s3:GetObject", "b/k")),
    ],
)
def test_a_call_needs_its_operation_s_action(method: str, address: str, wanted: tuple[str, str]) -> None:
    assert needs(request(method, address)) == [(wanted[0], f"arn:aws:s3:::{wanted[1]}")]


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "/b?delete&list-type=2"),
        ("GET", "/b/k?delete"),
        ("DELETE", "/b?delete"),
        ("GET", "/b?location&policy"),
        ("PUT", "/b/k?delete"),
        ("POST", "/b"),
        ("POST", "/b?key=k"),
        ("GET", "//b/k"),
    ],
)
def test_a_request_that_is_two_calls_or_none_is_refused(method: str, address: str) -> None:
    with pytest.raises(ApiError) as refused:
        needs(request(method, address))
    assert refused.value.reason == "InvalidArgument"


def test_what_is_deleted_is_read_as_xml() -> None:
    body = b"""<?xml version="1.0"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
        <Object><Key >x</Key ></Object><Object><Key>&#97;<!-- -->&amp;</Key></Object>
        <Object><Key><![CDATA[<c>]]></Key><VersionId>1</VersionId></Object></Delete>"""
    sent = request("POST", "/b?delete", body)
    assert names(sent) == ["x", "a&", "<c>"]
    actions = ["s3:DeleteObject", "s3:DeleteObject", "s3:DeleteObjectVersion"]
    assert [need.action for need in needs(sent)] == actions


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<Delete/>",
        "<Delete><Object/></Delete>",
        "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        "<Delete><Object><Key><b>a</b></Key></Object></Delete>",
        '<!DOCTYPE d [<!ENTITY e "a">]><Delete><Object><Key>&e;</Key></Object></Delete>',
    ],
)
def test_what_names_no_object_to_delete_is_refused(body: str) -> None:
    with pytest.raises(ApiError) as refused:
        needs(request("POST", "/b?delete", body.encode()))
    assert refused.value.reason == "MalformedXML"


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("b/a%3Fb", ("s3:GetObject", "arn:aws:s3:::b/a?b")),
        ("/b/a?versionId=1", ("s3:GetObjectVersion", "arn:aws:s3:::b/a")),
    ],
)
def test_a_copy_needs_its_source(source: str, wanted: tuple[str, str]) -> None:
    own, read = needs(request("PUT", "/b/k", x_amz_copy_source=source))
    assert (own.action, read) == ("s3:PutObject", wanted)
