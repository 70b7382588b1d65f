"""Chains of certificates: a root, whoever it lets sign, and that one's key, made once a local cloud."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Use
from cryptography.x509.oid import NameOID, ObjectIdentifier

from localcloud.store import Store

DAY, YEARS = timedelta(days=1), timedelta(days=3650)
PEM = serialization.Encoding.PEM
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Chain:
    """Certificates from the one whose key this is up to the root, which has signed itself."""

    certificates: tuple[x509.Certificate, ...]
    key: Key

    @property
    def first(self) -> x509.Certificate:
        """The certificate of the key."""
        return self.certificates[0]

    @cached_property
    def start(self) -> str:
        """Since when it counts, as trusted roots write it."""
        return f"{self.first.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"


class Chains:
    """The chains of one local cloud by name. Records: "chain", a key and certificates as PEM."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def signer(self, name: str) -> Chain:
        """A root and an authority below it, which signs code-signing certificates."""
        return self._kept(name, "authority")

    def stamper(self, name: str) -> Chain:
        """A root and whoever it lets sign timestamps."""
        return self._kept(name, "stamper")

    def key(self, name: str) -> Key:
        """A key without certificates: a log's."""
        return self._kept(name, "key").key

    def _kept(self, name: str, kind: str) -> Chain:
        with self._store.transaction():
            found = self._store.get("chain", f"{kind}/{name}")
            if found is None:
                found = _pem(_made(name, kind))
                self._store.put("chain", f"{kind}/{name}", found)
        key: Any = serialization.load_pem_private_key(found["key"].encode(), None)
        return Chain(tuple(x509.load_pem_x509_certificates(found["certificates"].encode())), key)


def _made(name: str, kind: str) -> Chain:
    if kind == "key":
        key = ec.generate_private_key(ec.SECP256R1())
        return Chain((_issued((name, None), (key, key.public_key()), []),), key)
    top, key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
    root = _issued((name, None), (top, top.public_key()), _authority(1))
    extensions = _authority(0, Use.CODE_SIGNING) if kind == "authority" else _uses(Use.TIME_STAMPING)
    return Chain((_issued((f"{name} {kind}", root), (top, key.public_key()), extensions), root), key)


Extensions = list[tuple[x509.ExtensionType, bool]]


def _authority(length: int, *uses: ObjectIdentifier) -> Extensions:
    extended: Extensions = [(x509.ExtendedKeyUsage(uses), False)] if uses else []
    usage = key_usage("key_cert_sign", "crl_sign")
    return [(x509.BasicConstraints(ca=True, path_length=length), True), (usage, True), *extended]


def _uses(use: ObjectIdentifier) -> Extensions:
    return [(key_usage("digital_signature"), True), (x509.ExtendedKeyUsage([use]), True)]


def key_usage(*what: str) -> x509.KeyUsage:
    """What a key may be used for, and for nothing else."""
    known = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
        " key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: name in what for name in known.split()})


def _issued(
    name: tuple[str, x509.Certificate | None], keys: tuple[Key, Any], extensions: Extensions
) -> x509.Certificate:
    """A certificate by its name and issuer (None: itself), its issuer's key and its own public one."""
    now, (subject, issuer) = datetime.now(UTC), name
    own = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _organization(subject)),
            x509.NameAttribute(NameOID.COMMON_NAME, subject),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer.subject if issuer else own)
        .not_valid_before(now - DAY)
        .not_valid_after(now + YEARS)
    )
    return complete(builder, keys, extensions).sign(keys[0], hashes.SHA384())


def _organization(name: str) -> str:
    """Whose instance it is: verifiers tell the two apart by it."""
    return "GitHub, Inc." if ".githubapp.com" in name else "sigstore.dev"


def complete(
    builder: x509.CertificateBuilder, keys: tuple[Key, Any], extensions: Extensions
) -> x509.CertificateBuilder:
    """What remains to be signed, with a number, the extensions, and the names of both keys."""
    issuer, public = keys
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    named: Extensions = [(x509.SubjectKeyIdentifier.from_public_key(public), False), (above, False)]
    for extension, is_critical in [*named, *extensions]:
        builder = builder.add_extension(extension, is_critical)
    return builder.public_key(public).serial_number(x509.random_serial_number())


def _pem(chain: Chain) -> dict[str, str]:
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    certificates = b"".join(one.public_bytes(PEM) for one in chain.certificates)
    return {
        "key": chain.key.private_bytes(PEM, form, none).decode(),
        "certificates": certificates.decode(),
    }
