"""AWS policy documents: what a statement decides."""

from typing import Any

import pytest

from localcloud.aws_policy import decision
from localcloud.errors import ApiError

OBJECT = "arn:aws:s3:::b/models/a"


def decided(principal: str = "", context: dict[str, str] | None = None, **statement: Any) -> bool | None:
    whole = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **statement}
    return decision([{"Statement": [whole]}], "s3:GetObject", OBJECT, context or {}, principal)


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
        ({"Principal": {"AWS": ["arn:aws:iam::1:root"]}}, True),
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
