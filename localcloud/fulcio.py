"""Fulcio, Sigstore's certificate authority: certificates of minutes for whom an identity token names.

GitHub's own instance, for private repositories, and the public one, whose certificates a log has seen.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.github.job_identity import HOST as GITHUB
from localcloud.github.job_identity import ISSUER
from localcloud.http import Request, Response, Route, google_error
from localcloud.identity import signing_key
from localcloud.sigstore_chain import PEM, Chain, Chains, complete, key_usage
from localcloud.transparency import CertificateLog

PRIVATE, PUBLIC = "fulcio.githubapp.com", "fulcio.sigstore.dev"
AUDIENCE, LIFE = "sigstore", timedelta(minutes=10)
WEB = "https://github.com"
ARC = "1.3.6.1.4.1.57264.1"  # of Sigstore's extensions; the numbers below it are Fulcio's own
CLAIMS = {
    9: WEB + "/{job_workflow_ref}",
    10: "{job_workflow_sha}",
    11: "{runner_environment}",
    12: WEB + "/{repository}",
    13: "{sha}",
    14: "{ref}",
    15: "{repository_id}",
    16: WEB + "/{repository_owner}",
    17: "{repository_owner_id}",
    18: WEB + "/{workflow_ref}",
    19: "{workflow_sha}",
    20: "{event_name}",
    21: WEB + "/{repository}/actions/runs/{run_id}/attempts/{run_attempt}",
    22: "{repository_visibility}",
}
OLDER = {2: "{event_name}", 3: "{sha}", 4: "{workflow}", 5: "{repository}", 6: "{ref}"}  # as bare text

Claims = Mapping[str, Any]


class Fulcio:
    """Both instances."""

    hosts: tuple[str, ...] = (PRIVATE.replace(".", r"\."), PUBLIC.replace(".", r"\."))

    def __init__(self, cloud: Cloud) -> None:
        self._store = cloud.store
        self._chains, self._log = Chains(cloud.store), CertificateLog(cloud.store)

    def routes(self) -> list[Route]:
        """The calls that are served."""
        return [
            Route("POST", "/api/v2/signingCert", self.certify),
            Route("GET", "/api/v2/trustBundle", self.trust),
        ]

    def refuse(self, request: Request, error: ApiError) -> Response:
        """As gRPC's gateway refuses, in front of the real one."""
        return google_error(request, error)

    def certify(self, request: Request) -> Response:
        """A certificate for the bearer of a workflow job's token, and for the key that it holds."""
        body = request.json()
        claims = self._claims(str(_at(body, "credentials", "oidcIdentityToken")))
        public = _proven(body.get("publicKeyRequest") or {}, str(claims["sub"]))
        chain = self._chains.signer(request.host)
        log = self._log if request.host == PUBLIC else None
        leaf = issued(chain, claims, public, log)
        shown = [one.public_bytes(PEM).decode() for one in (leaf, *chain.certificates)]
        kind = "signedCertificateEmbeddedSct" if log else "signedCertificateDetachedSct"
        return Response({kind: {"chain": {"certificates": shown}}})

    def trust(self, request: Request) -> Response:
        """The certificates above those that are issued."""
        chain = self._chains.signer(request.host).certificates
        return Response(
            {"chains": [{"certificates": [one.public_bytes(PEM).decode() for one in chain]}]}
        )

    def _claims(self, token: str) -> Claims:
        """What GitHub says in its token. Raises UNAUTHENTICATED, as Fulcio words it."""
        public = signing_key(self._store, GITHUB)["public"]
        try:
            return dict(jwt.decode(token, public, ["RS256"], audience=AUDIENCE, issuer=ISSUER))
        except jwt.PyJWTError as error:
            message = f"There was an error processing the identity token: {error}"
            raise ApiError("UNAUTHENTICATED", message) from None


def issued(
    chain: Chain, claims: Claims, public: Any, log: CertificateLog | None = None
) -> x509.Certificate:
    """A certificate for what the claims say, signed by the chain's first key and told to the log."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(chain.first.subject)
        .not_valid_before(now - timedelta(seconds=1))
        .not_valid_after(now + LIFE)
    )
    builder = complete(builder, (chain.key, public), _extensions(claims))
    if log:
        before = builder.sign(chain.key, hashes.SHA384())
        builder = builder.add_extension(log.seen(before, chain.first), critical=False)
    return builder.sign(chain.key, hashes.SHA384())


def _extensions(claims: Claims) -> list[tuple[x509.ExtensionType, bool]]:
    who = x509.UniformResourceIdentifier(f"{WEB}/{claims['job_workflow_ref']}")
    bare = {1: str(claims["iss"])} | {number: form.format(**claims) for number, form in OLDER.items()}
    said = {8: str(claims["iss"])} | {number: form.format(**claims) for number, form in CLAIMS.items()}
    values = {number: text.encode() for number, text in bare.items()}
    values |= {number: encode_der(text) for number, text in said.items()}
    told = [_own(number, value) for number, value in sorted(values.items())]
    return [
        (key_usage("digital_signature"), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
        (x509.SubjectAlternativeName([who]), True),
        *((one, False) for one in told),
    ]


def _own(number: int, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ObjectIdentifier(f"{ARC}.{number}"), value)


def _proven(asked: dict[str, Any], subject: str) -> Any:
    """The public key, whose private half has signed the subject. Raises INVALID_ARGUMENT."""
    try:
        pem = str(_at(asked, "publicKey", "content")).encode()
        public: Any = serialization.load_pem_public_key(pem)
        proof = base64.b64decode(str(asked.get("proofOfPossession", "")), validate=True)
        public.verify(proof, subject.encode(), ec.ECDSA(hashes.SHA256()))
    except (ValueError, AttributeError, TypeError):
        raise ApiError("INVALID_ARGUMENT", "The public key supplied in the request is invalid") from None
    except InvalidSignature:
        message = "The signature supplied in the request could not be verified"
        raise ApiError("INVALID_ARGUMENT", message) from None
    return public


def _at(found: Any, *path: str) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return "" if found is None else found
