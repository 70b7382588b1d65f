"""Keys that sign: how each of Cloud KMS's algorithms makes one, and signs a digest with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

Make = Callable[[], Any]
Sign = Callable[[Any, bytes], bytes]


@dataclass(frozen=True)
class Algorithm:
    """One of CryptoKeyVersionAlgorithm; `digest` is the field that a request to sign must have."""

    digest: str
    make: Make
    sign: Sign


def _curve(curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> Algorithm:
    def sign(key: Any, data: bytes) -> bytes:
        return bytes(key.sign(data, ec.ECDSA(Prehashed(digest))))

    return Algorithm(digest.name, lambda: ec.generate_private_key(curve), sign)


def _rsa(bits: int, pad: padding.AsymmetricPadding) -> Algorithm:
    def sign(key: Any, data: bytes) -> bytes:
        return bytes(key.sign(data, pad, Prehashed(hashes.SHA256())))

    return Algorithm("sha256", lambda: rsa.generate_private_key(65537, bits), sign)


def _pss() -> padding.PSS:
    return padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


ALGORITHMS: Mapping[str, Algorithm] = {
    "EC_SIGN_P256_SHA256": _curve(ec.SECP256R1(), hashes.SHA256()),
    "EC_SIGN_P384_SHA384": _curve(ec.SECP384R1(), hashes.SHA384()),
    **{f"RSA_SIGN_PKCS1_{n}_SHA256": _rsa(n, padding.PKCS1v15()) for n in (2048, 3072, 4096)},
    **{f"RSA_SIGN_PSS_{n}_SHA256": _rsa(n, _pss()) for n in (2048, 3072, 4096)},
}


def generated(algorithm: str) -> dict[str, str]:
    """A new key's two halves, as PEM."""
    key = ALGORITHMS[algorithm].make()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {"private": private.decode(), "public": public.decode()}


def signed(algorithm: str, private: str, digest: bytes) -> bytes:
    """The signature of a digest of the algorithm's own kind."""
    key = serialization.load_pem_private_key(private.encode(), None)
    return ALGORITHMS[algorithm].sign(key, digest)
