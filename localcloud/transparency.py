"""Sigstore's log of certificates: its signed word that it has seen one (RFC 6962)."""

import hashlib
import struct
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from localcloud.sigstore_chain import Chains, Key
from localcloud.store import Store

NAME = "ctfe.sigstore.dev/2022"
V1, CERTIFICATE_TIMESTAMP, PRECERT, SHA256, ECDSA = 0, 0, 1, 4, 3  # as the RFCs number them


class CertificateLog:
    """The log: it forgets what it sees, and signs that it has seen it."""

    def __init__(self, store: Store) -> None:
        self._chains = Chains(store)

    @property
    def key(self) -> Key:
        """What it signs with."""
        return self._chains.key(NAME)

    def seen(self, before: x509.Certificate, issuer: x509.Certificate) -> x509.UnrecognizedExtension:
        """The extension that says so, of a certificate that does not have it yet."""
        body, above = before.tbs_certificate_bytes, hashlib.sha256(public_der(issuer.public_key()))
        now = int(datetime.now(UTC).timestamp() * 1000)
        entry = above.digest() + len(body).to_bytes(3, "big") + body
        head = struct.pack("!BBQH", V1, CERTIFICATE_TIMESTAMP, now, PRECERT)
        signature = self.key.sign(head + entry + bytes(2), ec.ECDSA(hashes.SHA256()))
        told = struct.pack("!B32sQH", V1, key_id(self.key), now, 0)
        told += struct.pack("!BBH", SHA256, ECDSA, len(signature)) + signature
        listed = struct.pack("!HH", len(told) + 2, len(told)) + told
        kind = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
        return x509.UnrecognizedExtension(kind, encode_der(listed))


def key_id(key: Key) -> bytes:
    """What a log's key is called: the hash of its public half."""
    return hashlib.sha256(public_der(key.public_key())).digest()


def public_der(public: object) -> bytes:
    """A public key in its usual form."""
    assert isinstance(public, ec.EllipticCurvePublicKey)
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
