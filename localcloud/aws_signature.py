"""Signatures of AWS requests: versions 4 and 2, in a header, in an address, or in a posted form."""

import base64
import hashlib
import hmac
import json
import re
import time
from calendar import timegm
from collections.abc import Mapping
from email.message import Message
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from localcloud import s3_form
from localcloud.aws_errors import refusal
from localcloud.aws_keys import Keys, Principal
from localcloud.http import Request

SKEW = 900  # seconds between the caller's clock and ours
ALGORITHM = "AWS4-HMAC-SHA256"


def authenticate(request: Request, keys: Keys, bucket: str = "") -> Principal:
    """Who signed the request. Raises AccessDenied where nobody did, or what is wrong with it."""
    try:
        return _authenticate(request, keys, bucket)
    except (KeyError, ValueError):
        raise refusal("AuthorizationHeaderMalformed", "The signature lacks one of its parts.") from None


def _authenticate(request: Request, keys: Keys, bucket: str) -> Principal:
    header, query = request.headers.get("authorization", ""), request.query
    if header.startswith(ALGORITHM):
        parts = dict(re.findall(r"(\w+)=([^,\s]+)", header))
        return _version_4(request, keys, {**parts, "Date": request.headers.get("x-amz-date", "")})
    if "X-Amz-Signature" in query:
        parts = {name.removeprefix("X-Amz-"): value for name, value in query.items()}
        return _version_4(request, keys, parts, int(query.get("X-Amz-Expires", "0")))
    if header.startswith("AWS "):
        key, _, signature = header[4:].partition(":")
        return _version_2(request, keys, bucket, (key, signature, None))
    if "Signature" in query:
        key, signature = query["AWSAccessKeyId"], query["Signature"]
        return _version_2(request, keys, bucket, (key, signature, query["Expires"]))
    if s3_form.is_form(request):
        return _form(s3_form.fields(request), keys)
    raise refusal("AccessDenied")


def _version_4(
    request: Request, keys: Keys, parts: Mapping[str, str], expires: int | None = None
) -> Principal:
    key, day, region, service, _ = unquote(parts["Credential"]).split("/")
    token = parts.get("Security-Token") or request.headers.get("x-amz-security-token", "")
    principal = keys.find(key, token)
    _check_time(parts["Date"], expires)
    names = unquote(parts["SignedHeaders"]).split(";")
    hashed = hashlib.sha256(_canonical(request, names, expires is not None).encode()).hexdigest()
    scope = f"{day}/{region}/{service}/aws4_request"
    text = f"{ALGORITHM}\n{parts['Date']}\n{scope}\n{hashed}"
    _same(_hmac(_signing_key(principal.secret, scope), text).hex(), parts["Signature"])
    _check_body(request)
    return principal


def _canonical(request: Request, names: list[str], presigned: bool) -> str:
    """The request in the form that is signed."""
    pairs = [(quote(k, "-_.~"), quote(v, "-_.~")) for k, v in request.query.pairs]
    query = "&".join(f"{k}={v}" for k, v in sorted(pairs) if k != "X-Amz-Signature")
    headers = [f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names]
    unsigned = "UNSIGNED-PAYLOAD" if presigned else hashlib.sha256(request.body).hexdigest()
    body = request.headers.get("x-amz-content-sha256", unsigned)
    return "\n".join([request.method, request.path, query, *headers, "", ";".join(names), body])


def _check_body(request: Request) -> None:
    declared = request.headers.get("x-amz-content-sha256", "")
    is_hash = re.fullmatch("[0-9a-f]{64}", declared)
    if is_hash and declared != hashlib.sha256(request.body).hexdigest():
        raise refusal("XAmzContentSHA256Mismatch")


def _check_time(date: str, expires: int | None) -> None:
    try:
        age = time.time() - timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise refusal("AccessDenied", "AWS authentication requires a valid Date") from None
    if expires is not None and age > expires:
        raise refusal("AccessDenied", "Request has expired")
    if abs(age) > SKEW and (expires is None or age < 0):
        raise refusal("RequestTimeTooSkewed")


def _version_2(
    request: Request, keys: Keys, bucket: str, parts: tuple[str, str, str | None]
) -> Principal:
    from botocore.auth import HmacV1Auth
    from botocore.credentials import Credentials

    key, signature, expires = parts
    principal = keys.find(key, request.headers.get("x-amz-security-token", ""))
    if expires is not None and time.time() > int(expires):
        raise refusal("AccessDenied", "Request has expired")
    # What is signed has the bucket in its path, wherever the request has it.
    virtual = request.host.startswith(f"{bucket}.s3") if bucket else False
    path = f"/{bucket}{request.path}" if virtual else request.path
    query = "&".join(f"{k}={quote(v)}" if v else k for k, v in request.query.pairs)
    headers = Message()
    for name, value in request.headers.items():
        headers[name] = value
    signer: Any = HmacV1Auth(Credentials(key, principal.secret))
    date = headers.get("date", "") if expires is None else expires
    signer._get_date = lambda: date  # it would sign with today's
    split = urlsplit(f"https://{request.host}{path}?{query}")
    _same(signer.get_signature(request.method, split, headers, auth_path=path), signature)
    return principal


def _form(fields: Mapping[str, str], keys: Keys) -> Principal:
    """Whoever signed a form's policy."""
    policy, signature = fields.get("policy", ""), fields.get("x-amz-signature", "")
    if not policy:
        raise refusal("AccessDenied")
    if signature:
        key, _, scope = fields["x-amz-credential"].partition("/")
        principal = keys.find(key, fields.get("x-amz-security-token", ""))
        made = _hmac(_signing_key(principal.secret, scope), policy).hex()
    else:
        signature = fields.get("signature", "")
        principal = keys.find(fields.get("awsaccesskeyid", ""), fields.get("x-amz-security-token", ""))
        digest = hmac.new(principal.secret.encode(), policy.encode(), hashlib.sha1).digest()
        made = base64.b64encode(digest).decode()
    _same(made, signature)
    ends = json.loads(base64.b64decode(policy))["expiration"]
    if time.time() > timegm(time.strptime(ends[:19], "%Y-%m-%dT%H:%M:%S")):
        raise refusal("AccessDenied", "Invalid according to Policy: Policy expired.")
    return principal


def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _same(made: str, given: str) -> None:
    if not hmac.compare_digest(made.encode(), given.encode()):
        raise refusal("SignatureDoesNotMatch")
