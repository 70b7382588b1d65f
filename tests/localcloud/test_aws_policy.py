"""AWS policy documents: what a statement decides."""

import json
from typing import Any

import pytest

from localcloud.aws_documents import check_document
from localcloud.aws_keys import Principal
from localcloud.aws_policy import decision
from localcloud.errors import ApiError

OBJECT = "arn:aws:s3:::b/models/a"


def decided(principal: str = "", context: dict[str, str] | None = None, **statement: Any) -> bool | None:
    whole = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **statement}
    names = [principal] if "Principal" in statement or "NotPrincipal" in statement else []
    return decision([{"Statement": [whole]}], "s3:GetObject", OBJECT, context or {}, *names)


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        ({}, True),
        ({"Effect": "Deny"}, False),
        ({"Action": "S3:get*"}, True),
        ({"Action": ["s3:PutObject", "s3:*"]}, True),
        ({"Action": "s3:PutObject"}, None),
        ({"Resource": "arn:aws:s3:::b/models/*"}, True),
        ({"Resource": "arn:aws:s3:::b/models/?"}, True),
        ({"Resource": "arn:aws:s3:::b/models/[a]"}, None),
        ({"Resource": "arn:aws:s3:::B/models/*"}, None),
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "arn:aws:iam::1:user/u"}}, True),
        ({"Principal": {"AWS": ["arn:aws:iam::1:root"]}}, None),
        ({"Effect": "Deny", "Principal": {"AWS": ["arn:aws:iam::1:root"]}}, False),
        ({"Effect": "Deny", "Principal": {"AWS": "1"}}, False),
        ({"Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::2:root"}}, None),
        ({"Principal": {"AWS": "arn:aws:iam::1:user/v"}}, None),
        ({"Principal": {"Federated": "accounts.google.com"}}, None),
        ({"Condition": {"StringEquals": {"S3:Prefix": ["x", "y"]}}}, True),
        ({"Condition": {"StringNotEquals": {"s3:prefix": "y"}}}, None),
        ({"Condition": {"StringNotEquals": {"s3:other": "y"}}}, True),
        ({"Condition": {"StringLike": {"s3:prefix": "?"}, "Bool": {"s3:prefix": "true"}}}, None),
        ({"Condition": {"StringEquals": {"s3:other": "y"}}}, None),
        ({"Condition": {"StringEqualsIfExists": {"s3:other": "y"}}}, True),
        ({"Condition": {"Null": {"s3:other": "true", "s3:prefix": "false"}}}, True),
    ],
)
def test_a_statement(statement: dict[str, Any], verdict: bool | None) -> None:
    assert decided("arn:aws:iam::1:user/u", {"s3:prefix": "y"}, **statement) is verdict


def test_not_action_and_not_resource() -> None:
    but = {"Effect": "Deny", "NotAction": "s3:Put*", "NotResource": "arn:aws:s3:::b/other/*"}
    assert decision([{"Statement": but}], "s3:GetObject", OBJECT, {}) is False
    assert decision([{"Statement": but}], "s3:PutObject", OBJECT, {}) is None
    assert decision([{"Statement": but}], "s3:GetObject", "arn:aws:s3:::b/other/a", {}) is None


def test_a_denial_wins_over_all() -> None:
    allow = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    deny = {"Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": OBJECT}}
    assert decision([allow, deny, allow], "s3:GetObject", OBJECT, {}) is False
    assert decision([], "s3:GetObject", OBJECT, {}) is None


def test_an_operator_that_is_not_served_is_refused_by_name() -> None:
    with pytest.raises(ApiError, match="condition operator IpAddress"):
        decided(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})


def test_a_resource_s_policy_names_its_principals() -> None:
    user, allow = "arn:aws:iam::1:user/u", {"Effect": "Allow", "Action": "*", "Resource": "*"}
    assert decision([{"Statement": allow}], "s3:GetObject", OBJECT, {}) is True
    assert decision([{"Statement": allow}], "s3:GetObject", OBJECT, {}, user) is None
    with pytest.raises(ApiError, match="does not serve NotPrincipal"):
        decided(user, NotPrincipal={"AWS": user})


@pytest.mark.parametrize("missing", ["Action", "Resource"])
def test_a_statement_without_its_parts_is_about_nothing(missing: str) -> None:
    whole = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    del whole[missing]
    assert decision([{"Statement": whole}], "s3:GetObject", OBJECT, {}) is None


def test_a_session_is_its_role_too() -> None:
    role, session = "arn:aws:iam::1:role/r", "arn:aws:sts::1:assumed-role/r/s"
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Principal": {"AWS": role}}
    names = Principal(session, "", role=role).names
    assert decision([{"Statement": deny}], "s3:GetObject", OBJECT, {}, *names) is False


WHOLE = {"Effect": "Allow", "Action": "s3:*"}
BUCKET = {**WHOLE, "Resource": "*", "Principal": "*"}


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        ("identity", {**WHOLE, "Resource": "*"}),
        ("trust", {**WHOLE, "Principal": "*"}),
        ("bucket", BUCKET),
    ],
)
def test_a_whole_document_is_taken(kind: str, statement: dict[str, Any]) -> None:
    check_document(json.dumps({"Statement": statement}), kind)


@pytest.mark.parametrize(
    ("kind", "statement", "words"),
    [
        ("identity", WHOLE, "either Resource or NotResource"),
        ("identity", {"Effect": "Deny", "Resource": "*"}, "either Action or NotAction"),
        ("identity", BUCKET, "does not serve Principal in identity"),
        ("trust", WHOLE, "required field Principal"),
        ("trust", BUCKET, "does not serve Resource in trust"),
        ("bucket", {**BUCKET, "Principal": {}}, "required field Principal"),
        ("bucket", {**BUCKET, "NotPrincipal": "*"}, "does not serve NotPrincipal"),
        ("bucket", {**BUCKET, "Principal": {"Service": "x"}}, "principals of the kind Service"),
        ("bucket", {**BUCKET, "Principal": "somebody"}, "invalid Json"),
        ("bucket", {**BUCKET, "Effect": "deny"}, "field Effect"),
        ("bucket", {**BUCKET, "Resource": []}, "either Resource or NotResource"),
        ("bucket", {**BUCKET, "Resource": "${aws:username}"}, "policy variables"),
        ("bucket", {**BUCKET, "Condition": {"IpAddress": {}}}, "operator IpAddress"),
        ("bucket", "text", "invalid Json"),
    ],
)
def test_a_document_that_is_not_whole_or_not_served_is_refused(
    kind: str, statement: Any, words: str
) -> None:
    with pytest.raises(ApiError, match=words):
        check_document(json.dumps({"Statement": statement}), kind)
