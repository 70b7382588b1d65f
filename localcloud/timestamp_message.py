"""How GitHub's timestamp authority says when a hash was there: a signed message (RFC 3161).

What describes the messages takes a quarter of a second to import, and few ask for one.
"""

import hashlib
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import random_serial_number
from pyasn1.codec.der.decoder import decode
from pyasn1.codec.der.encoder import encode
from pyasn1.type.univ import OctetString
from pyasn1_modules import rfc3161, rfc5035, rfc5280, rfc5480, rfc5652

from localcloud.sigstore_chain import Chain

POLICY = "1.3.6.1.4.1.57264.2"
SHA256 = "2.16.840.1.101.3.4.2.1"
GRANTED = 0


def stamped(chain: Chain, digest: bytes, time: datetime) -> bytes:
    """DER of the response that says: this SHA-256 hash was there at that time."""
    response = rfc3161.TimeStampResp()
    response["status"]["status"] = GRANTED
    response["timeStampToken"]["contentType"] = rfc5652.id_signedData
    response["timeStampToken"]["content"] = encode(_signed(chain, _info(digest, time), time))
    return bytes(encode(response))


def _info(digest: bytes, time: datetime) -> bytes:
    info = rfc3161.TSTInfo()
    info["version"] = "v1"
    info["policy"] = POLICY
    info["messageImprint"]["hashAlgorithm"]["algorithm"] = SHA256
    info["messageImprint"]["hashedMessage"] = digest
    info["serialNumber"] = random_serial_number()
    info["genTime"] = f"{time:%Y%m%d%H%M%SZ}"
    return bytes(encode(info))


def _signed(chain: Chain, info: bytes, time: datetime) -> Any:
    """The information, with its signer's word on it and all certificates (CMS)."""
    signed = rfc5652.SignedData()
    signed["version"] = 3
    signed["digestAlgorithms"][0]["algorithm"] = SHA256
    signed["encapContentInfo"]["eContentType"] = rfc3161.id_ct_TSTInfo
    signed["encapContentInfo"]["eContent"] = info
    for place, one in enumerate(chain.certificates):
        content, _ = decode(one.public_bytes(Encoding.DER), asn1Spec=rfc5280.Certificate())
        signed["certificates"][place]["certificate"] = content
    signed["signerInfos"][0] = _signer(chain, info, time)
    return signed


def _signer(chain: Chain, info: bytes, time: datetime) -> Any:
    der = chain.first.public_bytes(Encoding.DER)
    content, _ = decode(der, asn1Spec=rfc5280.Certificate())
    signer = rfc5652.SignerInfo()
    signer["version"] = 1
    named = signer["sid"]["issuerAndSerialNumber"]
    named["issuer"] = content["tbsCertificate"]["issuer"]
    named["serialNumber"] = chain.first.serial_number
    signer["digestAlgorithm"]["algorithm"] = SHA256
    signer["signatureAlgorithm"]["algorithm"] = rfc5480.ecdsa_with_SHA256
    told = {
        rfc5652.id_contentType: rfc3161.id_ct_TSTInfo,
        rfc5652.id_messageDigest: OctetString(hashlib.sha256(info).digest()),
        rfc5652.id_signingTime: _time(time),
        rfc5035.id_aa_signingCertificateV2: _certificate(der),
    }
    attributes = rfc5652.SignedAttributes()
    for place, (kind, value) in enumerate(told.items()):
        attributes[place]["attrType"] = kind
        attributes[place]["attrValues"][0] = encode(value)
    signature = chain.key.sign(encode(attributes), ec.ECDSA(hashes.SHA256()))
    for place in range(len(told)):
        signer["signedAttrs"][place] = attributes[place]
    signer["signature"] = signature
    return signer


def _time(time: datetime) -> Any:
    found = rfc5652.SigningTime()
    found["utcTime"] = f"{time:%y%m%d%H%M%SZ}"
    return found


def _certificate(der: bytes) -> Any:
    """Which certificate the signer means, by its hash."""
    found = rfc5035.SigningCertificateV2()
    found["certs"][0]["certHash"] = hashlib.sha256(der).digest()
    return found
