"""Sigstore's bundles: a signed statement, the certificate of who signed it, and when that was.

Public repositories' signatures are in a public log: sigstore-python looks at those. It takes no bundle
without a log entry (its issue 1529), and GitHub's own instance, which signs for private repositories,
has no log: there, certificates are looked at here, and timestamps by the library that it uses itself.
"""

import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from delivery import dsse
from delivery.dsse import Envelope, ForgedError
from delivery.roots import Authority, Root

KIND = "application/vnd.dev.sigstore.bundle.v0.3+json"
STAMPS = 32  # as many timestamps are looked at, as others do, too


class _Certificate(msgspec.Struct, rename="camel"):
    raw_bytes: bytes


class _Stamp(msgspec.Struct, rename="camel"):
    signed_timestamp: bytes


class _Stamps(msgspec.Struct, rename="camel"):
    rfc3161_timestamps: list[_Stamp] = []


class _Material(msgspec.Struct, rename="camel"):
    certificate: _Certificate
    tlog_entries: list[Any] = []
    timestamp_verification_data: _Stamps | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: Envelope


def opened(data: bytes, roots: list[Root], identity: str) -> tuple[dict[str, Any], Any]:
    """The statement that `identity` has signed under one of the roots, and its certificate.

    Raises ForgedError. What else the certificate says has still to be looked at.
    """
    bundle = _parsed(data)
    is_logged = bool(bundle.verification_material.tlog_entries)
    reasons = list[str]()
    for root in [one for one in roots if one.is_logged == is_logged]:
        try:
            return _logged(data, root, identity) if is_logged else _stamped(bundle, root)
        except ForgedError as error:
            reasons.append(str(error))
    how = "is in a log" if is_logged else "is in no log"
    raise ForgedError("; ".join(reasons) or f"its signature {how}, and no trusted root is of that kind")


def _parsed(data: bytes) -> _Bundle:
    try:
        found = msgspec.json.decode(data, type=_Bundle)
    except msgspec.MsgspecError as error:
        raise ForgedError(f"it is no bundle of Sigstore's: {error}") from None
    if found.media_type != KIND:
        raise ForgedError(f"it is a '{found.media_type}', not a '{KIND}'")
    if len(found.dsse_envelope.signatures) != 1:
        raise ForgedError("its envelope has not just one signature")
    return found


def _loaded(bundle: _Bundle) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        found = x509.load_der_x509_certificate(bundle.verification_material.certificate.raw_bytes)
        if isinstance(found.public_key(), ec.EllipticCurvePublicKey):
            return found
    except ValueError:
        pass
    raise ForgedError("its certificate is none, or not of an elliptic curve's key")


def _logged(data: bytes, root: Root, identity: str) -> tuple[dict[str, Any], Any]:
    """What the root's log has a signature of, and the certificate, both as sigstore reads the bundle."""
    from sigstore.errors import Error
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity

    from delivery.certificate import ISSUER

    with tempfile.NamedTemporaryFile() as file:
        file.write(root.text)
        file.flush()
        trusted = TrustedRoot.from_file(file.name)
    policy = Identity(identity=identity, issuer=ISSUER)
    try:
        found = Bundle.from_json(data)
        kind, payload = Verifier(trusted_root=trusted).verify_dsse(found, policy)
    except (Error, ValueError) as error:
        raise ForgedError(f"sigstore: {error}") from None
    return dsse.statement(kind, payload), found.signing_certificate


def _stamped(bundle: _Bundle, root: Root) -> tuple[dict[str, Any], Any]:
    """The same where a timestamp of the root's is in a time when the certificate was good."""
    certificate = _loaded(bundle)
    signature = dsse.decoded(bundle.dsse_envelope.signatures[0].sig)
    stamps = bundle.verification_material.timestamp_verification_data or _Stamps()
    given = [one.signed_timestamp for one in stamps.rfc3161_timestamps[:STAMPS]]
    times = [time for stamp in given for time in _times(stamp, signature, root.stampers)]
    if not times:
        raise ForgedError("no trusted authority says when it was signed")
    reasons = [why for time in times if (why := _untrusted(certificate, root.authorities, time))]
    if len(reasons) == len(times):
        raise ForgedError("; ".join(dict.fromkeys(reasons)))
    envelope, key = msgspec.json.encode(bundle.dsse_envelope), certificate.public_key()
    return dsse.opened(envelope, {"certificate": key})[0], certificate


def _times(stamp: bytes, signature: bytes, authorities: list[Authority]) -> Iterator[datetime]:
    """The time of a timestamp, if one of the authorities says that the signature was there then."""
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    try:
        response = decode_timestamp_response(stamp)
    except ValueError:
        return
    for authority in authorities:
        own, *between, top = authority.certificates
        builder = VerifierBuilder(tsa_certificate=own, intermediates=between, roots=[top])
        try:
            builder.build().verify_message(response, signature)
        except VerificationError:
            continue
        time = response.tst_info.gen_time
        if authority.valid_for.holds(time):
            yield time


def _untrusted(certificate: Any, authorities: list[Authority], time: datetime) -> str:
    """Why the certificate was not good for signing code at that time; "" where it was."""
    from cryptography.x509 import UnsupportedGeneralNameType
    from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

    why = "no trusted authority was there"
    end_entity, above = _policies()
    for one in authorities:
        *between, top = one.certificates
        if not one.valid_for.holds(time):
            continue
        builder = PolicyBuilder().store(Store([top])).time(time)
        policies = {"ca_policy": above, "ee_policy": end_entity}
        try:
            builder.extension_policies(**policies).build_client_verifier().verify(certificate, between)
        except (VerificationError, UnsupportedGeneralNameType) as error:
            why = str(error)
        else:
            return ""
    return f"its certificate was not good at {time:%Y-%m-%d %H:%M:%SZ}, when it was signed: {why}"


def _policies() -> tuple[Any, Any]:
    """What the certificates of signers, and of authorities, have to say: that they sign code."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    def signs_code(_policy: Any, _certificate: Any, uses: Any) -> None:
        if uses is not None and ExtendedKeyUsageOID.CODE_SIGNING not in uses:
            raise ValueError("it is not for signing code")

    any_way = Criticality.AGNOSTIC
    own = ExtensionPolicy.webpki_defaults_ee()
    above = ExtensionPolicy.webpki_defaults_ca()
    return (
        own.require_present(x509.ExtendedKeyUsage, any_way, signs_code),
        above.may_be_present(x509.ExtendedKeyUsage, any_way, signs_code),
    )
