"""AWS's refusals: codes, words and the two XML bodies that they come in."""

import secrets
from xml.sax.saxutils import escape

from localcloud.errors import ApiError
from localcloud.http import Response

WORDS = {
    "AccessDenied": (403, "Access Denied"),
    "ExpiredToken": (400, "The provided token has expired."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "RequestTimeTooSkewed": (
        *(403, "The difference between the request time and the current time is too large."),
    ),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided."
        " Check your key and signing method.",
    ),
    "XAmzContentSHA256Mismatch": (
        *(400, "The provided 'x-amz-content-sha256' header does not match what was computed."),
    ),
}
# The other services' names for what S3 says.
ELSEWHERE = {
    "InvalidAccessKeyId": (
        *("InvalidClientTokenId", "The security token included in the request is invalid."),
    ),
    "InvalidToken": (
        *("InvalidClientTokenId", "The security token included in the request is invalid."),
    ),
    "ExpiredToken": (*("ExpiredToken", "The security token included in the request is expired"),),
}
S3_BODY = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>{code}</Code><Message>{message}</Message>{more}"
    "<RequestId>{request}</RequestId></Error>"
)
# What some errors of S3 say beside their message; moto checks all conditions but this one.
MORE = {"PreconditionFailed": "<Condition>If-None-Match</Condition>"}
QUERY_BODY = (
    '<ErrorResponse xmlns="https://{service}.amazonaws.com/doc/{version}/"><Error><Type>Sender</Type>'
    "<Code>{code}</Code><Message>{message}</Message></Error><RequestId>{request}</RequestId>"
    "</ErrorResponse>"
)
VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}


def refusal(code: str, message: str = "", status: int = 0) -> ApiError:
    """An error of AWS's, with its usual words and status where none are given."""
    usual_status, words = WORDS.get(code, (400, code))
    return ApiError("PERMISSION_DENIED", message or words, status or usual_status, code)


def body(service: str, error: ApiError) -> Response:
    """The error as `service` (s3, iam, sts) writes it."""
    code, message = error.reason or "AccessDenied", error.message
    if service != "s3":
        code, message = ELSEWHERE.get(code, (code, message))
    fields = {"code": code, "message": escape(message), "request": secrets.token_hex(8)}
    fields["more"] = MORE.get(code, "")
    names = {"service": service, "version": VERSIONS.get(service, "")}
    text = (S3_BODY if service == "s3" else QUERY_BODY).format(**fields, **names)
    return Response(text.encode(), error.status, {"content-type": "application/xml"})
