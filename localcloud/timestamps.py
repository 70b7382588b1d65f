"""GitHub's timestamp authority: its signed word on when a hash was there (RFC 3161)."""

import base64
import binascii
import hashlib
from datetime import UTC, datetime

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response, Route, google_error
from localcloud.sigstore_chain import Chains

HOST = "timestamp.githubapp.com"


class Timestamps:
    """The service."""

    hosts: tuple[str, ...] = (HOST.replace(".", r"\."),)

    def __init__(self, cloud: Cloud) -> None:
        self._chains = Chains(cloud.store)

    def routes(self) -> list[Route]:
        """The one call that is served."""
        return [Route("POST", "/api/v1/timestamp", self.stamp)]

    def refuse(self, request: Request, error: ApiError) -> Response:
        """An error in JSON."""
        return google_error(request, error)

    def stamp(self, request: Request) -> Response:
        """A timestamp of a SHA-256 hash, asked for in JSON."""
        body = request.json()
        if body.get("hashAlgorithm") != "sha256":
            raise ApiError("INVALID_ARGUMENT", "the local cloud stamps hashes of hashAlgorithm 'sha256'")
        try:
            digest = base64.b64decode(str(body.get("artifactHash")), validate=True)
        except binascii.Error:
            digest = b""
        if len(digest) != hashlib.sha256().digest_size:
            raise ApiError("INVALID_ARGUMENT", "artifactHash is no SHA-256 hash in base64")
        from localcloud.timestamp_message import stamped

        answer = stamped(self._chains.stamper(HOST), digest, datetime.now(UTC))
        return Response(answer, 201, {"content-type": "application/timestamp-reply"})
