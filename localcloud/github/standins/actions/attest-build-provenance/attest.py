"""Says which run built the subjects (SLSA provenance), signed by Sigstore for the job's identity.

Public repositories' signatures go into Sigstore's public log; others get a timestamp of GitHub's.
"""

import base64
import glob
import hashlib
import json
import os
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
SUBJECTS = ("subject-path", "subject-digest", "subject-checksums")


def fetched(url: str, body: Any = None, bearer: str = "") -> bytes:
    """A call's answer. Raises OSError with what the server said."""
    headers = {"content-type": "application/json", "accept": "application/json"}
    headers |= {"authorization": f"Bearer {bearer}"} if bearer else {}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise OSError(f"HTTP {error.code}: {error.read().decode(errors='replace')}") from None


def identity() -> str:
    """The job's identity token for Sigstore. Raises OSError where it may have none."""
    url = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL")
    if not url:
        raise OSError(
            'missing "id-token" permission. Please add "permissions: id-token: write" to your workflow.'
        )
    asked = f"{url}&{urlencode({'audience': 'sigstore'})}"
    return str(json.loads(fetched(asked, bearer=os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]))["value"])


def claims_of(token: str) -> dict[str, Any]:
    """What a token says; whoever gets it checks it."""
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def subjects(inputs: dict[str, str]) -> list[dict[str, Any]]:
    """Names and digests of what is attested. Raises OSError for inputs that name none."""
    if len([name for name in SUBJECTS if inputs[name]]) != 1:
        raise OSError(f"One of {', '.join(SUBJECTS[:-1])}, or {SUBJECTS[-1]} must be provided")
    if inputs["subject-path"]:
        lines = files(inputs["subject-path"], inputs["subject-name"])
    elif inputs["subject-digest"]:
        if not inputs["subject-name"]:
            raise OSError("subject-name must be provided when using subject-digest")
        lines = [f"{inputs['subject-digest'].removeprefix('sha256:')}  {inputs['subject-name']}"]
    else:
        given = inputs["subject-checksums"]
        lines = (
            Path(given).read_text() if "\n" not in given and Path(given).is_file() else given
        ).splitlines()
    found = [line.split(" ", 1) for line in lines if " " in line]
    return [
        {"name": name.lstrip(" *"), "digest": {"sha256": hexadecimal(digest)}} for digest, name in found
    ]


def files(given: str, name: str) -> list[str]:
    """A line of checksums for each file that paths and globs mean. Raises OSError where none is."""
    paths = [one.strip() for one in given.replace(",", "\n").splitlines() if one.strip()]
    if any(one.startswith("!") for one in paths):
        raise OSError("exclusions in subject-path are not served by the local cloud")
    found = {Path(file) for one in paths for file in glob.glob(one, recursive=True)}  # noqa: PTH207
    if not (some := sorted(file for file in found if file.is_file())):
        raise OSError(f"Could not find subject at path {given}")
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in some]
    return [f"{digest}  {name or file.name}" for digest, file in zip(digests, some, strict=True)]


def hexadecimal(digest: str) -> str:
    """The digest, if it is one of SHA-256."""
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise OSError(f"Invalid digest: {digest}")
    return digest


def statement(claims: dict[str, Any], of: list[dict[str, Any]]) -> dict[str, Any]:
    """Which run of which workflow built them."""
    web = os.environ["GITHUB_SERVER_URL"]
    source = f"{web}/{claims['repository']}"
    path = claims["workflow_ref"].removeprefix(f"{claims['repository']}/").partition("@")[0]
    numbers = ("event_name", "repository_id", "repository_owner_id", "runner_environment")
    run = f"{source}/actions/runs/{claims['run_id']}/attempts/{claims['run_attempt']}"
    definition = {
        "buildType": "https://actions.github.io/buildtypes/workflow/v1",
        "externalParameters": {"workflow": {"ref": claims["ref"], "repository": source, "path": path}},
        "internalParameters": {"github": {name: claims[name] for name in numbers}},
        "resolvedDependencies": [
            {"uri": f"git+{source}@{claims['ref']}", "digest": {"gitCommit": claims["sha"]}}
        ],
    }
    details = {
        "builder": {"id": f"{web}/{claims['job_workflow_ref']}"},
        "metadata": {"invocationId": run},
    }
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": of,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": definition, "runDetails": details},
    }


def certified(host: str, token: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Fulcio's certificate for the key, as PEM."""
    proof = key.sign(str(claims_of(token)["sub"]).encode(), ec.ECDSA(hashes.SHA256()))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = {"algorithm": "ECDSA", "content": key.public_key().public_bytes(PEM, form).decode()}
    body = {
        "credentials": {"oidcIdentityToken": token},
        "publicKeyRequest": {"publicKey": public, "proofOfPossession": text(proof)},
    }
    answer = json.loads(fetched(f"https://{host}/api/v2/signingCert", body))
    [found] = answer.values()
    return str(found["chain"]["certificates"][0]).encode()


def signed(token: str, payload: bytes, is_public: bool) -> dict[str, Any]:
    """The bundle around the payload."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = certified("fulcio.sigstore.dev" if is_public else "fulcio.githubapp.com", token, key)
    head = f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(payload)} ".encode()
    signature = key.sign(head + payload, ec.ECDSA(hashes.SHA256()))
    envelope = {
        "payload": text(payload),
        "payloadType": PAYLOAD,
        "signatures": [{"sig": text(signature)}],
    }
    raw = x509.load_pem_x509_certificate(certificate).public_bytes(DER)
    material: dict[str, Any] = {"certificate": {"rawBytes": text(raw)}}
    if is_public:
        material |= {"tlogEntries": [logged(envelope, certificate)]}
    else:
        stamps = [{"signedTimestamp": text(stamped(signature))}]
        material |= {"tlogEntries": [], "timestampVerificationData": {"rfc3161Timestamps": stamps}}
    return {"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}


def stamped(signature: bytes) -> bytes:
    """GitHub's timestamp of a signature."""
    body = {"artifactHash": text(hashlib.sha256(signature).digest()), "hashAlgorithm": "sha256"}
    return fetched("https://timestamp.githubapp.com/api/v1/timestamp", body)


def logged(envelope: dict[str, Any], certificate: bytes) -> dict[str, Any]:
    """The public log's entry, as a bundle holds it."""
    content = {"envelope": json.dumps(envelope), "verifiers": [text(certificate)]}
    body = {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": content}}
    [entry] = json.loads(fetched("https://rekor.sigstore.dev/api/v1/log/entries", body)).values()
    proof, promise = (entry["verification"][n] for n in ("inclusionProof", "signedEntryTimestamp"))
    return {
        "logIndex": str(entry["logIndex"]),
        "logId": {"keyId": text(bytes.fromhex(entry["logID"]))},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
        "integratedTime": str(entry["integratedTime"]),
        "inclusionPromise": {"signedEntryTimestamp": promise},
        "inclusionProof": {
            "logIndex": str(proof["logIndex"]),
            "rootHash": text(bytes.fromhex(proof["rootHash"])),
            "treeSize": str(proof["treeSize"]),
            "hashes": [text(bytes.fromhex(one)) for one in proof["hashes"]],
            "checkpoint": {"envelope": proof["checkpoint"]},
        },
        "canonicalizedBody": entry["body"],
    }


def attested(inputs: dict[str, str]) -> None:
    """Sign, keep at GitHub, and tell later steps. Raises OSError."""
    if inputs["push-to-registry"] == "true":
        raise OSError("push-to-registry is not served by the local cloud")
    of, token = subjects(inputs), identity()
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text())
    is_public = (event.get("repository") or {}).get("visibility") == "public"
    bundle = signed(token, json.dumps(statement(claims_of(token), of)).encode(), is_public)
    place = f"repos/{os.environ['GITHUB_REPOSITORY']}/attestations"
    try:
        answer = fetched(
            f"{os.environ['GITHUB_API_URL']}/{place}", {"bundle": bundle}, inputs["github-token"]
        )
    except OSError as error:
        raise OSError(f"Failed to persist attestation: {error}") from None
    number = json.loads(answer)["id"]
    path = Path(tempfile.mkdtemp(dir=os.environ["RUNNER_TEMP"])) / "attestation.json"
    path.write_text(json.dumps(bundle) + "\n")
    url = f"{os.environ['GITHUB_SERVER_URL']}/{os.environ['GITHUB_REPOSITORY']}/attestations/{number}"
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
        outputs.write(f"bundle-path={path}\nattestation-id={number}\nattestation-url={url}\n")
    if inputs["show-summary"] == "true":
        with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a") as summary:
            summary.write(f"### Attestation Created\n\n- {url}\n")
    print(f"Attestation created for {len(of)} subjects: {url}")


def text(data: bytes) -> str:
    """Base64."""
    return base64.b64encode(data).decode()


def main() -> int:
    """Do it; returns the exit code."""
    try:
        attested(json.loads(os.environ["INPUTS"]))
    except OSError as error:
        print(f"::error::{error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
