"""Cloud KMS as its own client uses it, by gRPC and by REST: keys, signatures, and who may sign."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import WORLD, Program

pytestmark = pytest.mark.slow

PLACE = f"projects/{WORLD.project}/locations/{WORLD.region}"
START = f"""
import hashlib
import google_crc32c
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from google.api_core import exceptions
from google.cloud import kms
client, place = kms.KeyManagementServiceClient(transport=%r), {PLACE!r}
ring = f"{{place}}/keyRings/%s"
def made(name, algorithm="EC_SIGN_P256_SHA256", purpose="ASYMMETRIC_SIGN", **more):
    template = {{"algorithm": algorithm, **more}}
    key = {{"purpose": purpose, "version_template": template}}
    return client.create_crypto_key(parent=ring, crypto_key_id=name, crypto_key=key).name

def refused(call, **fields):
    try:
        call(request=fields)
    except exceptions.GoogleAPICallError as error:
        return error.code

def digest(data, kind="sha256"):
    return {{kind: hashlib.new(kind, data).digest()}}
"""
MAKE = "client.create_key_ring(parent=place, key_ring_id=ring.rsplit('/', 1)[1], key_ring={})\n"


@pytest.fixture(params=["grpc", "rest"])
def ask(request: Any, program: Program) -> Any:
    def run(code: str) -> Any:
        return program(START % (request.param, f"{request.param}-{abs(hash(code))}") + MAKE + code)

    return run


def test_a_signature_is_checked_by_the_public_key(ask: Any) -> None:
    answer = ask("""
checks = {
    "EC_SIGN_P256_SHA256": ("sha256", lambda key, s, d: key.verify(s, d, ec.ECDSA(hashes.SHA256()))),
    "EC_SIGN_P384_SHA384": ("sha384", lambda key, s, d: key.verify(s, d, ec.ECDSA(hashes.SHA384()))),
    "RSA_SIGN_PKCS1_2048_SHA256":
        ("sha256", lambda key, s, d: key.verify(s, d, padding.PKCS1v15(), hashes.SHA256())),
    "RSA_SIGN_PSS_2048_SHA256": ("sha256", lambda key, s, d: key.verify(s, d,
        padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH), hashes.SHA256())),
}
answer = []
for number, (algorithm, (kind, check)) in enumerate(checks.items()):
    version = made(f"key-{number}", algorithm) + "/cryptoKeyVersions/1"
    public = client.get_public_key(name=version)
    asked = digest(b"hello", kind)
    crc = google_crc32c.value(asked[kind])
    signed = client.asymmetric_sign(request={"name": version, "digest": asked, "digest_crc32c": crc})
    check(serialization.load_pem_public_key(public.pem.encode()), signed.signature, b"hello")
    assert signed.signature_crc32c == google_crc32c.value(signed.signature)
    assert signed.verified_digest_crc32c and signed.name == public.name == version
    answer.append(public.algorithm.name)
""")
    assert answer == [
        *("EC_SIGN_P256_SHA256", "EC_SIGN_P384_SHA384"),
        *("RSA_SIGN_PKCS1_2048_SHA256", "RSA_SIGN_PSS_2048_SHA256"),
    ]


def test_a_digest_of_another_kind_or_checksum_is_refused(ask: Any) -> None:
    answer = ask("""
version = made("key") + "/cryptoKeyVersions/1"
sign = client.asymmetric_sign
answer = [refused(sign, name=version, digest=digest(b"x", "sha512")),
    refused(sign, name=version, digest={"sha256": b"short"}),
    refused(sign, name=version, data=b"x"),
    refused(sign, name=version, digest=digest(b"x"), digest_crc32c=1),
    refused(sign, name=version[:-1] + "2", digest=digest(b"x")),
    refused(sign, name=version[:-1] + "one", digest=digest(b"x"))]
""")
    assert answer == [400, 400, 400, 400, 404, 404]


def test_a_version_signs_while_it_is_enabled(ask: Any) -> None:
    answer = ask("""
key = made("key")
version, asked = f"{key}/cryptoKeyVersions/1", digest(b"x")
def change(state):
    new = {"name": version, "state": state}
    return client.update_crypto_key_version(
        request={"crypto_key_version": new, "update_mask": {"paths": ["state"]}}).state.name
answer = [change("DISABLED"), refused(client.asymmetric_sign, name=version, digest=asked),
    refused(client.get_public_key, name=version), change("ENABLED"),
    client.destroy_crypto_key_version(name=version).state.name,
    refused(client.asymmetric_sign, name=version, digest=asked),
    refused(client.update_crypto_key_version, update_mask={"paths": ["state"]},
        crypto_key_version={"name": version, "state": "ENABLED"}),
    client.restore_crypto_key_version(name=version).state.name, change("ENABLED"),
    client.create_crypto_key_version(parent=key, crypto_key_version={}).name.rsplit("/", 1)[1],
    [one.state.name for one in client.list_crypto_key_versions(parent=key)]]
""")
    assert answer == [
        *("DISABLED", 400, 400, "ENABLED", "DESTROY_SCHEDULED", 400, 400, "DISABLED", "ENABLED"),
        *("2", ["ENABLED", "ENABLED"]),
    ]


def test_what_is_there_is_listed_and_not_made_again(ask: Any) -> None:
    answer = ask("""
made("b"), made("a")
answer = [[one.name.rsplit("/", 1)[1] for one in client.list_crypto_keys(parent=ring)],
    ring in [one.name for one in client.list_key_rings(parent=place)],
    client.get_crypto_key(name=f"{ring}/cryptoKeys/a").purpose.name,
    refused(client.create_key_ring, parent=place, key_ring_id=ring.rsplit("/", 1)[1], key_ring={}),
    refused(client.create_crypto_key, parent=ring, crypto_key_id="a", crypto_key={
        "purpose": "ASYMMETRIC_SIGN", "version_template": {"algorithm": "EC_SIGN_P256_SHA256"}}),
    refused(client.get_key_ring, name=ring + "x"),
    refused(client.get_crypto_key, name=f"{ring}x/cryptoKeys/a"),
    refused(client.create_key_ring, parent=place, key_ring_id="a b", key_ring={}),
    refused(client.create_key_ring, parent=place[:-1] + "9", key_ring_id="a", key_ring={})]
""")
    assert answer == [["a", "b"], True, "ASYMMETRIC_SIGN", 409, 409, 404, 404, 400, 404]


def test_a_key_that_is_not_served_is_refused_by_name(ask: Any) -> None:
    answer = ask("""
answer = []
for given in ({"algorithm": "EC_SIGN_ED25519"}, {"protection_level": "HSM"},
              {"algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION", "purpose": "ENCRYPT_DECRYPT"}):
    try:
        made("key", **given)
    except exceptions.GoogleAPICallError as error:
        answer.append([error.code, error.message])
""")
    assert [code for code, _ in answer] == [400, 400, 400]
    for (_, words), named in zip(answer, ("EC_SIGN_ED25519", "HSM", "ENCRYPT_DECRYPT"), strict=True):
        assert "does not serve" in words
        assert named in words


def test_a_role_with_a_condition_is_seen_by_who_asks_for_its_version(ask: Any) -> None:
    answer = ask("""
own, asked = made("key"), {"requested_policy_version": 3}
policy = client.get_iam_policy(request={"resource": own, "options": asked})
policy.version = 3
policy.bindings.add(role="roles/cloudkms.signer",
    members=["serviceAccount:a@test-project.iam.gserviceaccount.com"],
    condition={"title": "this", "expression": 'resource.name.startsWith("projects/")'})
client.set_iam_policy(request={"resource": own, "policy": policy})
answer = []
for options in (None, asked):
    seen = client.get_iam_policy(request={"resource": own, "options": options})
    answer.append([seen.version, seen.bindings[0].role, seen.bindings[0].condition.title])
""")
    assert answer[1] == [3, "roles/cloudkms.signer", "this"]
    assert answer[0][1].startswith("roles/cloudkms.signer_withcond_")
    assert (answer[0][0], answer[0][2]) == (1, "")


def test_who_signs_may_do_nothing_else(program: Program, as_account: Callable[[str, str], Any]) -> None:
    start = START % ("grpc", "grants")
    program(
        start
        + MAKE
        + """
for key in ("own", "other"):
    made(key)
own = f"{ring}/cryptoKeys/own"
for role, who in (("signer", "signs"), ("publicKeyViewer", "looks")):
    policy = client.get_iam_policy(request={"resource": own})
    policy.bindings.add(role=f"roles/cloudkms.{role}",
        members=[f"serviceAccount:{who}@test-project.iam.gserviceaccount.com"])
    client.set_iam_policy(request={"resource": own, "policy": policy})
"""
    )
    tries = """
answer = []
for key in ("own", "other"):
    version = f"{ring}/cryptoKeys/{key}/cryptoKeyVersions/1"
    for call, fields in ((client.asymmetric_sign, {"digest": digest(b"x")}), (client.get_public_key, {}),
                         (client.destroy_crypto_key_version, {})):
        answer.append(refused(call, name=version, **fields))
"""
    accounts = [f"{who}@test-project.iam.gserviceaccount.com" for who in ("signs", "looks")]
    signs, looks = (as_account(account, start + tries) for account in accounts)
    assert signs == [None, 403, 403, 403, 403, 403]
    assert looks == [403, None, 403, 403, 403, 403]
