"""Signed addresses of Cloud Storage's XML API: whose they are, and that nothing of them was changed."""

import base64
import binascii
import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from localcloud.errors import ApiError
from localcloud.http import Request
from localcloud.store import Store

ALGORITHM = "GOOG4-RSA-SHA256"
LONGEST = 7 * 86400  # seconds, of an address of version 4
SIGNATURES = ("X-Goog-Signature", "Signature")
# Words of an address of version 2 that are not part of what is signed as the resource.
BESIDE = (
    *("GoogleAccessId", "Expires", "Signature", "generation"),
    *("response-content-type", "response-content-disposition"),
)


def signer(store: Store, request: Request) -> str | None:
    """The account that signed the request's address; None where it is not signed.

    Raises where the signature is not the account's, or its time is over.
    """
    query = request.query
    if "X-Goog-Signature" in query:
        return _version_4(store, request)
    if "GoogleAccessId" in query and "Signature" in query:
        return _version_2(store, request)
    return None


def _version_4(store: Store, request: Request) -> str:
    query = request.query
    account, _, scope = query.get("X-Goog-Credential", "").partition("/")
    stamp, names = query.get("X-Goog-Date", ""), query.get("X-Goog-SignedHeaders", "").split(";")
    if query.get("X-Goog-Algorithm") != ALGORITHM:
        raise _refusal("InvalidArgument", f"the local cloud serves addresses signed by {ALGORITHM} only")
    try:
        start = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        life, signature = int(query["X-Goog-Expires"]), bytes.fromhex(query["X-Goog-Signature"])
    except (KeyError, ValueError):
        raise _refusal("InvalidArgument", "The address is not signed as it should be.") from None
    if life > LONGEST:
        raise _refusal("InvalidArgument", f"X-Goog-Expires is {life}; the largest value is {LONGEST}.")
    _check_time(start + life)
    unsigned = {name for name in request.headers if name.startswith("x-goog-")} - set(names)
    if unsigned or "host" not in names:
        raise _refusal("MalformedSecurityHeader", f"Not signed: {', '.join(sorted(unsigned)) or 'host'}")
    pairs = [(key, value) for key, value in query.pairs if key != "X-Goog-Signature"]
    asked = sorted(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in pairs)
    headers = "".join(f"{name}:{_header(request.headers, name)}\n" for name in names)
    sums = "x-goog-content-sha256"
    payload = _header(request.headers, sums) if sums in names else "UNSIGNED-PAYLOAD"
    parts = [request.method, request.path, "&".join(asked), headers, ";".join(names), payload]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    _verify(store, account, "\n".join([ALGORITHM, stamp, scope, digest]), signature)
    return account


def _version_2(store: Store, request: Request) -> str:
    query, headers = request.query, request.headers
    try:
        _check_time(int(query.get("Expires", "")))
        signature = base64.b64decode(query["Signature"])
    except (ValueError, binascii.Error):
        raise _refusal("InvalidArgument", "The address is not signed as it should be.") from None
    own = sorted(
        f"{name}:{_header(headers, name)}"
        for name in headers
        if name.startswith("x-goog-") and not name.startswith("x-goog-encryption-key")
    )
    more = sorted((key, value) for key, value in query.pairs if key not in BESIDE)
    resource = request.path + (f"?{urlencode(more)}" if more else "")
    first = [request.method, headers.get("content-md5", ""), headers.get("content-type", "")]
    _verify(
        store,
        query["GoogleAccessId"],
        "\n".join([*first, query["Expires"], *own, resource]),
        signature,
    )
    return query["GoogleAccessId"]


def _header(headers: Mapping[str, str], name: str) -> str:
    return " ".join(headers.get(name, "").split())


def _check_time(end: float) -> None:
    if end < time.time():
        at = datetime.fromtimestamp(end, UTC).isoformat()
        words = f"The provided token has expired. Request signature expired at: {at}"
        raise _refusal("ExpiredToken", words)


def _verify(store: Store, account: str, text: str, signature: bytes) -> None:
    """Raises SignatureDoesNotMatch."""
    found = store.get("account-key", account)
    words = "The request signature we calculated does not match the signature you provided."
    refusal = _refusal("SignatureDoesNotMatch", f"{words} Check your Google secret key.", 403)
    if found is None:
        raise refusal
    key = serialization.load_pem_public_key(found["public"].encode())
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        key.verify(signature, text.encode(), padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        raise refusal from None


def _refusal(code: str, words: str, status: int = 400) -> ApiError:
    return ApiError("INVALID_ARGUMENT", words, status=status, reason=code)
