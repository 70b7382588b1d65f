"""Artifact attestations: Sigstore's bundles by the digest of what they are of; none is checked here."""

import base64
import json
import re
from typing import Any

from localcloud.github.call import Call
from localcloud.github.errors import GitHubError, not_found
from localcloud.http import Response
from localcloud.store import Store

KIND = "application/vnd.dev.sigstore.bundle"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SHORT = {"provenance": "https://slsa.dev/provenance/v1", "sbom": "https://spdx.dev/Document"}


class Attestations:
    """The calls below /attestations. Records: "attestation", bundles by repository and number."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, call: Call) -> Response:
        """POST: keep a bundle. Raises GitHubError (422) for what names no subject."""
        given = call.need("bundle", dict)
        said = _statement(given)
        digests = [f"{name}:{value}" for one in said["subject"] for name, value in one["digest"].items()]
        number = self._store.next_number("attestation")
        kept = {"bundle": given, "digests": digests, "type": said.get("predicateType", "")}
        self._store.put("attestation", f"{call.repository.key}/{number:012d}", kept)
        return Response({"id": number}, 201)

    def list(self, call: Call) -> Response:
        """GET those of a digest, newest first; where there is none, there is nothing."""
        where, digest = call.repository, call.param("subject_digest")
        kind = call.query("predicate_type")
        found = [
            one
            for _, one in self._store.list("attestation", f"{where.key}/")
            if digest in one["digests"] and one["type"] in (SHORT.get(kind, kind) or one["type"],)
        ]
        if not DIGEST.fullmatch(digest) or not found:
            raise not_found()
        # Without a bundle_url: what is there would have to be compressed, and no client needs it.
        known = {"repository_id": where.record["id"], "initiator": "user"}
        return Response(
            {"attestations": [{"bundle": one["bundle"], **known} for one in reversed(found)]}
        )


def _statement(bundle: dict[str, Any]) -> dict[str, Any]:
    """The statement in a bundle; it names subjects with digests. Raises GitHubError (422)."""
    try:
        payload = base64.b64decode(bundle["dsseEnvelope"]["payload"], validate=True)
        said: dict[str, Any] = json.loads(payload)
        if str(bundle["mediaType"]).startswith(KIND) and all(one["digest"] for one in said["subject"]):
            return said
    except (KeyError, TypeError, ValueError):
        pass
    raise GitHubError(422, "Invalid bundle")
