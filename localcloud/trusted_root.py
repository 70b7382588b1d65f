"""Whom the verifiers of Sigstore's signatures have to trust here: a trusted root for each instance."""

import base64
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from localcloud import fulcio, rekor, timestamps, transparency
from localcloud.sigstore_chain import Chain, Chains, Key
from localcloud.store import Store

FORM = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
CURVE = "PKIX_ECDSA_P256_SHA_256"


def trusted_roots(store: Store) -> list[dict[str, Any]]:
    """The public instance's root, and the one of GitHub's own for private repositories."""
    return [public(store), private(store)]


def private(store: Store) -> dict[str, Any]:
    """Certificates and signed timestamps."""
    chains = Chains(store)
    return {
        "mediaType": FORM,
        "certificateAuthorities": [_authority(chains.signer(fulcio.PRIVATE), fulcio.PRIVATE)],
        "timestampAuthorities": [_authority(chains.stamper(timestamps.HOST), timestamps.HOST)],
    }


def public(store: Store) -> dict[str, Any]:
    """Certificates that a log has seen, and a log of signatures."""
    chain = Chains(store).signer(fulcio.PUBLIC)
    signatures, certificates = rekor.SignatureLog(store), transparency.CertificateLog(store)
    return {
        "mediaType": FORM,
        "tlogs": [_log(signatures.key, f"https://{rekor.HOST}", chain)],
        "certificateAuthorities": [_authority(chain, fulcio.PUBLIC)],
        "ctlogs": [_log(certificates.key, f"https://{transparency.NAME}", chain)],
    }


def _authority(chain: Chain, host: str) -> dict[str, Any]:
    shown = [{"rawBytes": _text(one.public_bytes(Encoding.DER))} for one in chain.certificates]
    return {
        "subject": {"organization": "localcloud", "commonName": host},
        "uri": f"https://{host}",
        "certChain": {"certificates": shown},
        "validFor": {"start": chain.start},
    }


def _log(key: Key, address: str, chain: Chain) -> dict[str, Any]:
    public = _text(transparency.public_der(key.public_key()))
    valid = {"start": chain.start}
    return {
        "baseUrl": address,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": public, "keyDetails": CURVE, "validFor": valid},
        "logId": {"keyId": _text(transparency.key_id(key))},
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
