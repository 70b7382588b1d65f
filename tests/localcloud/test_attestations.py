"""Artifact attestations: a job has Sigstore sign what it built, and GitHub keeps it."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rfc3161_client import VerifierBuilder, decode_timestamp_response
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity

from localcloud import fulcio, timestamps, trusted_root
from localcloud.__main__ import main
from localcloud.client import Client
from localcloud.cloud import Cloud
from localcloud.fulcio import Fulcio
from localcloud.github.job_identity import HOST, ISSUER
from localcloud.http import Request, Response, Router
from localcloud.identity import signing_key
from localcloud.rekor import Rekor
from localcloud.sigstore_chain import Chains
from localcloud.timestamps import Timestamps
from tests.eventually import eventually
from tests.localcloud.github_harness import WORLD, Site

ACTION = "actions/attest-build-provenance@a2bbfa25375fe432b6a289bc6b6cd05ecd0c4c32"
DIGEST, OTHER = "1" * 64, "2" * 64
CHECKSUMS = f"{{subject-checksums: '{DIGEST}  registry.test/one'}}"
JOB = """
  {}:
    runs-on: ubuntu-24.04
    permissions: {{{}}}
    steps:
      - id: attest
        uses: {}
        with: {}
      - env:
          BUNDLE: ${{{{ steps.attest.outputs.bundle-path }}}}
          URL: ${{{{ steps.attest.outputs.attestation-url }}}}
        run: cp "$BUNDLE" ../../../bundle && echo "at $URL"
"""
MAY = "id-token: write, attestations: write"
FLOW = "name: attest\non: workflow_dispatch\njobs:" + "".join(
    [
        JOB.format("good", MAY, ACTION, CHECKSUMS),
        JOB.format("unkept", "id-token: write, attestations: read", ACTION, CHECKSUMS),
        JOB.format("nobody", "attestations: write", ACTION, CHECKSUMS),
        JOB.format("nothing", MAY, ACTION, "{subject-name: one}"),
    ]
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A GitHub, and Sigstore beside it."""
    root = tmp_path_factory.mktemp("github")
    cloud = Cloud(root, WORLD)
    made = Site(root, services=[Fulcio(cloud), Timestamps(cloud), Rekor(cloud)])
    made.commit({".github/workflows/attest.yml": FLOW})
    yield made
    made.close()
    cloud.store.close()


def pressed(site: Site) -> tuple[dict[str, str], dict[str, Any], str]:
    """A run's jobs by what became of them, the good one's bundle, and the log."""
    repo = site.client().get_repo("acme/models")
    assert repo.get_workflow("attest.yml").create_dispatch("main", throw=True)
    run = repo.get_workflow("attest.yml").get_runs()[0].id
    eventually(lambda: repo.get_workflow_run(run).status == "completed")
    folder = site.root / "runs" / str(run)
    ends = {job.name: str(job.conclusion) for job in repo.get_workflow_run(run).jobs()}
    return ends, json.loads((folder / "bundle").read_text()), (folder / "log.txt").read_text()


def listed(site: Site, digest: str, token: str = "", **query: str) -> requests.Response:
    headers = {"authorization": f"Bearer {token or site.token}"}
    address = f"{site.api}/repos/acme/models/attestations/{digest}"
    return requests.get(address, headers=headers, params=query, timeout=5)


@pytest.fixture(scope="module")
def private(site: Site) -> tuple[dict[str, str], dict[str, Any], str]:
    return pressed(site)


def test_a_private_repository_s_run_is_attested_with_a_timestamp(site: Site, private: Any) -> None:
    ends, bundle, log = private
    assert ends == {"good": "success", "unkept": "failure", "nobody": "failure", "nothing": "failure"}
    assert "Failed to persist attestation: HTTP 403" in log
    assert 'missing "id-token" permission' in log
    assert "One of subject-path, subject-digest, or subject-checksums must be provided" in log
    assert "at https://github.com/acme/models/attestations/1" in log
    material, envelope = bundle["verificationMaterial"], bundle["dsseEnvelope"]
    assert material["tlogEntries"] == []
    leaf = x509.load_der_x509_certificate(base64.b64decode(material["certificate"]["rawBytes"]))
    chain = Chains(site.cloud.store).signer(fulcio.PRIVATE)
    leaf.verify_directly_issued_by(chain.first)
    names = leaf.issuer.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    assert [one.value for one in names] == ["GitHub, Inc."]
    of_public = Chains(site.cloud.store).signer(fulcio.PUBLIC).first.subject
    assert of_public.rdns[0].rfc4514_string() == "O=sigstore.dev"
    payload, [signature] = base64.b64decode(envelope["payload"]), envelope["signatures"]
    head = f"DSSEv1 28 {envelope['payloadType']} {len(payload)} ".encode()
    public: Any = leaf.public_key()
    raw = base64.b64decode(signature["sig"])
    public.verify(raw, head + payload, ec.ECDSA(hashes.SHA256()))
    [stamp] = material["timestampVerificationData"]["rfc3161Timestamps"]
    response = decode_timestamp_response(base64.b64decode(stamp["signedTimestamp"]))
    own, root = Chains(site.cloud.store).stamper(timestamps.HOST).certificates
    assert VerifierBuilder(tsa_certificate=own, roots=[root]).build().verify_message(response, raw)
    assert leaf.not_valid_before_utc <= response.tst_info.gen_time <= leaf.not_valid_after_utc


def test_the_statement_says_which_run_built_what(site: Site, private: Any) -> None:
    said = json.loads(base64.b64decode(private[1]["dsseEnvelope"]["payload"]))
    assert said["subject"] == [{"name": "registry.test/one", "digest": {"sha256": DIGEST}}]
    workflow = {"ref": "refs/heads/main", "path": ".github/workflows/attest.yml"}
    workflow |= {"repository": "https://github.com/acme/models"}
    definition, run = said["predicate"]["buildDefinition"], said["predicate"]["runDetails"]
    assert definition["externalParameters"] == {"workflow": workflow}
    [source] = definition["resolvedDependencies"]
    assert source["digest"] == {"gitCommit": site.repository.head}
    assert run["builder"]["id"] == f"{workflow['repository']}/{workflow['path']}@refs/heads/main"


def test_github_keeps_it_by_the_digest(site: Site, private: Any) -> None:
    [found] = listed(site, f"sha256:{DIGEST}").json()["attestations"]
    assert (found["bundle"], found["repository_id"]) == (private[1], site.repository.record["id"])
    assert "bundle_url" not in found, "gh would fetch it, and take it for compressed"
    assert listed(site, f"sha256:{DIGEST}", predicate_type="provenance").ok
    for digest, query in (
        (f"sha256:{OTHER}", {}),
        (DIGEST, {}),
        (f"sha256:{DIGEST}", {"predicate_type": "sbom"}),
    ):
        assert listed(site, digest, **query).status_code == 404
    reads, other = (site.hub.job_token({name: "read"}) for name in ("attestations", "contents"))
    assert listed(site, f"sha256:{DIGEST}", reads).ok
    assert listed(site, f"sha256:{DIGEST}", other).status_code == 403


@pytest.mark.parametrize(
    "bundle", [{}, {"dsseEnvelope": {"payload": "e30="}}, {"dsseEnvelope": {"payload": "%"}}]
)
def test_what_names_no_subject_is_refused(site: Site, bundle: dict[str, Any]) -> None:
    headers, body = {"authorization": f"Bearer {site.token}"}, {"bundle": {"mediaType": "x"} | bundle}
    answer = requests.post(
        f"{site.api}/repos/acme/models/attestations", json=body, headers=headers, timeout=5
    )
    assert (answer.status_code, answer.json()["message"]) == (422, "Invalid bundle")


def test_a_public_repository_s_run_is_in_the_log(site: Site, private: Any, tmp_path: Path) -> None:
    repo = site.client().get_repo("acme/models")
    repo.edit(private=False)
    _, bundle, _ = pressed(site)
    repo.edit(private=True)
    path = tmp_path / "root.json"
    path.write_text(json.dumps(trusted_root.public(site.cloud.store)))
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(path)))
    workflow = "https://github.com/acme/models/.github/workflows/attest.yml@refs/heads/main"
    policy = Identity(identity=workflow, issuer=ISSUER)
    kind, payload = verifier.verify_dsse(Bundle.from_json(json.dumps(bundle)), policy)
    assert kind == "application/vnd.in-toto+json"
    assert json.loads(payload)["subject"][0]["digest"] == {"sha256": DIGEST}
    assert bundle != private[1]
    assert len(listed(site, f"sha256:{DIGEST}").json()["attestations"]) == 2


def test_whom_to_trust_is_printed_as_gh_prints_it(
    cloud: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(cloud.root), "trusted-root"]) == 0
    roots = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [sorted(root.keys() - {"mediaType", "certificateAuthorities"}) for root in roots] == [
        ["ctlogs", "tlogs"],
        ["timestampAuthorities"],
    ]


# What Fulcio, the timestamp authority and Rekor refuse.


def ask(site: Site, host: str, path: str, body: Any) -> Response:
    router = Router([kind(site.cloud) for kind in (Fulcio, Timestamps, Rekor)])
    request = Request("POST", host, path, body=json.dumps(body).encode())
    try:
        return router(request)
    except Exception as error:
        return router.refuse(request, error)  # type: ignore[arg-type]


def certificate(site: Site, subject: str = "me", **changed: Any) -> Response:
    """What Fulcio answers to who has proven that the key is its own, with other claims."""
    key, now = ec.generate_private_key(ec.SECP256R1()), int(time.time())
    claims = {"iss": ISSUER, "aud": "sigstore", "sub": "me", "exp": now + 300, **changed}
    token = jwt.encode(claims, signing_key(site.cloud.store, HOST)["private"], algorithm="RS256")
    proof = key.sign(subject.encode(), ec.ECDSA(hashes.SHA256()))
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    public = {"publicKey": {"algorithm": "ECDSA", "content": pem.decode()}}
    asked = public | {"proofOfPossession": base64.b64encode(proof).decode()}
    body = {"credentials": {"oidcIdentityToken": token}, "publicKeyRequest": asked}
    return ask(site, fulcio.PRIVATE, "/api/v2/signingCert", body)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"aud": "sts.amazonaws.com"}, 401),
        ({"iss": "https://issuer.test"}, 401),
        ({"exp": 1}, 401),
        ({"subject": "somebody else"}, 400),
    ],
)
def test_fulcio_certifies_nobody_else(site: Site, changed: dict[str, Any], status: int) -> None:
    assert certificate(site, **changed).status == status


def test_a_timestamp_is_of_a_hash(site: Site) -> None:
    digest = base64.b64encode(hashlib.sha256(b"one").digest()).decode()
    for body in (
        {"artifactHash": digest, "hashAlgorithm": "sha512"},
        {"artifactHash": digest[:8], "hashAlgorithm": "sha256"},
        {"artifactHash": "%", "hashAlgorithm": "sha256"},
        {},
    ):
        assert ask(site, timestamps.HOST, "/api/v1/timestamp", body).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"apiVersion": "0.0.1", "kind": "hashedrekord"},
        {"apiVersion": "0.0.1", "kind": "dsse", "spec": {}},
        {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {"proposedContent": {"envelope": "{", "verifiers": ["x"]}},
        },
    ],
)
def test_the_log_takes_envelopes_alone(site: Site, body: dict[str, Any]) -> None:
    assert ask(site, "rekor.sigstore.dev", "/api/v1/log/entries", body).status == 400
