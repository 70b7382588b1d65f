"""Cloud KMS, as far as provenance needs it: a signature, and a key's public half and users."""

import base64
from typing import Any

from delivery import google_session, patience
from flows.errors import RetrainError

API = "https://cloudkms.googleapis.com/v1"
CONDITIONAL = "options.requestedPolicyVersion=3"  # without it, a role with a condition has another name
SIGNING = {  # the roles that may
    *("roles/cloudkms.signer", "roles/cloudkms.signerVerifier", "roles/cloudkms.cryptoOperator"),
    "roles/owner",
}
MENDS = {
    403: "only the account of train.yml may sign (roles/cloudkms.signer), once it is granted",
    404: "make the key, or mend attest_key in settings.toml",
    400: "is that version of the key enabled, and of EC_SIGN_P256_SHA256?",
}


class Kms:
    """One version of a key, by its resource name. Every method raises RetrainError where KMS refuses."""

    def __init__(self, version: str) -> None:
        self.version, self.key = version, version.partition("/cryptoKeyVersions/")[0]
        self._session = google_session.session(patience.adapter(is_safe=True))

    def sign(self, digest: bytes) -> bytes:
        """The signature of a SHA-256 digest."""
        body = {"digest": {"sha256": base64.b64encode(digest).decode()}}
        answer = self._ask("POST", f"{self.version}:asymmetricSign", body)
        return base64.b64decode(answer["signature"])

    def public(self) -> str:
        """The public half, as PEM."""
        return str(self._ask("GET", f"{self.version}/publicKey")["pem"])

    def signers(self) -> set[str]:
        """The members whom the key's own policy lets sign, whatever the condition."""
        bindings = self._ask("GET", f"{self.key}:getIamPolicy?{CONDITIONAL}").get("bindings", [])
        return {member for one in bindings if one["role"] in SIGNING for member in one["members"]}

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self._session.request(method, f"{API}/{path}", json=body, timeout=patience.TRY)
        if answer.status_code == 200:
            return dict(answer.json())
        raise RetrainError(
            f"{path}: Cloud KMS answers {answer.status_code}: {_words(answer)}",
            MENDS.get(answer.status_code, "start the workflow again"),
        )


def _words(answer: Any) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(answer.text[:200])
