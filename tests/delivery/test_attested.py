"""What GitHub attests of an image: whose word counts before a job is submitted, and whose does not."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from delivery import bundle, image, provenance, referrers, roots, settings
from delivery.image import Origin
from delivery.provenance import UnsaidError, UnvouchedError
from delivery.settings import Environment
from flows.errors import InputError, RetrainError
from localcloud.store import Store
from tests.conftest import ROOT
from tests.delivery.attesters import CLAIMS, NUMBER, OWNER, Attester, text, trusting
from tests.delivery.signers import DIGEST, RUN, Shelf

PRODUCTION: Environment = msgspec.structs.replace(
    settings.load().environment("production"), attest="github"
)
OTHERS = "acme/models/.github/workflows/{}"
Both = pytest.mark.parametrize("is_public", [False, True], ids=["private", "public"])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository of its own, in a run of train.yml on its main."""
    own = settings.load(ROOT / "settings.toml")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "load", lambda: own)
    for name, value in RUN.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def attester(tmp_path: Path) -> Attester:
    """GitHub's own Sigstore, which the repository trusts."""
    made = Attester(Store(tmp_path / "sigstore"))
    trusting(tmp_path, made)
    return made


def shelf_with(*bundles: Any) -> Shelf:
    """A shelf on which these lie beside the image."""
    shelf = Shelf()
    for one in bundles:
        data = one if isinstance(one, bytes) else json.dumps(one).encode()
        referrers.attach(shelf, DIGEST, bundle.KIND, data)
    return shelf


def refusal(*bundles: Any) -> str:
    with pytest.raises(UnvouchedError) as caught:
        provenance.check(PRODUCTION, shelf_with(*bundles), DIGEST)
    assert "train.yml" in caught.value.mend
    return caught.value.what


def other(attester: Attester, **claims: str) -> Attester:
    """The same Sigstore, and another run."""
    return Attester(attester.store, attester.is_public, {**CLAIMS, **claims})


@Both
def test_what_github_has_attested_is_submitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_public: bool
) -> None:
    attester, shelf = Attester(Store(tmp_path / "sigstore"), is_public), Shelf()
    trusting(tmp_path, attester)
    trusting_both = attester.bundle()
    provenance.attest(PRODUCTION, shelf, DIGEST, [json.dumps(trusting_both).encode()])
    assert "attested      " in capsys.readouterr().err
    provenance.check(PRODUCTION, shelf, DIGEST)
    assert provenance.reusable(PRODUCTION, shelf, DIGEST) is True
    [kept] = referrers.attached(shelf, DIGEST, bundle.KIND)
    assert json.loads(kept) == trusting_both


def test_the_roots_of_both_kinds_may_stand_in_the_file(tmp_path: Path) -> None:
    both = [Attester(Store(tmp_path / "sigstore"), is_public) for is_public in (True, False)]
    trusting(tmp_path, *both)
    for one in both:
        provenance.check(PRODUCTION, shelf_with(one.bundle()), DIGEST)


def test_what_is_built_has_no_tag_before_github_has_attested_it(attester: Attester) -> None:
    shelf = Shelf()
    with pytest.raises(UnsaidError, match=DIGEST):
        provenance.attest(PRODUCTION, shelf, DIGEST)
    assert list(shelf.manifests) == [DIGEST]
    assert provenance.reusable(PRODUCTION, shelf, DIGEST) is False


def test_an_image_has_its_tags_once_github_has_attested_it(attester: Attester) -> None:
    """As `./scripts/build` is called twice, before and after the action."""
    shelf, commit = Shelf(), "a" * 40

    def publish(*bundles: dict[str, Any]) -> tuple[str, bool]:
        given = [json.dumps(one).encode() for one in bundles]
        says = partial(provenance.attest, PRODUCTION, shelf, bundles=given)
        origin = Origin(partial(provenance.reusable, PRODUCTION, shelf), says)
        return image.publish(shelf, ROOT, "base", commit, origin=origin)

    with pytest.raises(UnsaidError) as caught:
        publish()
    assert all(name.startswith("sha256:") for name in shelf.manifests)
    made = caught.value.digest
    said = attester.statement(digest=made)
    assert publish(attester.bundle(json.dumps(said).encode())) == (made, True)
    assert {commit, made} < shelf.manifests.keys()
    assert publish() == (made, False)


def test_a_bundle_of_another_image_is_not_put_beside_this_one(attester: Attester) -> None:
    said = attester.statement(["elsewhere/base"])
    shelf, bundles = Shelf(), [json.dumps(attester.bundle(json.dumps(said).encode())).encode()]
    with pytest.raises(RetrainError, match="does not trust what this run has signed") as caught:
        provenance.attest(PRODUCTION, shelf, DIGEST, bundles)
    assert "it is of another image" in caught.value.what
    assert list(shelf.manifests) == [DIGEST]


def test_one_attestation_may_be_of_all_groups(attester: Attester) -> None:
    said = attester.statement([Shelf.name.replace("/base", "/torch"), Shelf.name])
    provenance.check(PRODUCTION, shelf_with(attester.bundle(json.dumps(said).encode())), DIGEST)


def test_without_an_attestation_nothing_is_submitted() -> None:
    assert "there is no attestation of it" in refusal()


def test_one_that_holds_is_enough(attester: Attester) -> None:
    wrong = other(attester, event_name="pull_request")
    provenance.check(PRODUCTION, shelf_with(wrong.bundle(), attester.bundle()), DIGEST)


@Both
@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"job_workflow_ref": OTHERS.format("tick.yml@refs/heads/main")}, "tick.yml"),
        ({"job_workflow_ref": OTHERS.format("train.yml@refs/heads/mine")}, "refs/heads/mine"),
        ({"job_workflow_ref": OTHERS.format("train.yml@refs/tags/main")}, "refs/tags/main"),
        ({"job_workflow_ref": CLAIMS["workflow_ref"].replace("acme", "mallory")}, "mallory"),
    ],
)
def test_another_workflow_branch_or_repository_does_not_count(
    attester: Attester, tmp_path: Path, claims: dict[str, str], said: str, is_public: bool
) -> None:
    attester.is_public = is_public
    trusting(tmp_path, attester)
    assert said in refusal(other(attester, **claims).bundle())


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"workflow_ref": OTHERS.format("ci.yml@refs/heads/main")}, "build configuration is"),
        ({"iss": "https://accounts.google.com"}, "issuer is 'https://accounts.google.com'"),
        ({"repository": "mallory/models"}, "source repository is 'https://github.com/mallory/models'"),
        ({"repository_id": "1"}, f"source repository's number is '1', not '{NUMBER}'"),
        ({"repository_owner_id": "2"}, f"source owner's number is '2', not '{OWNER}'"),
        ({"ref": "refs/heads/mine"}, "source ref is 'refs/heads/mine'"),
        ({"event_name": "pull_request_target"}, "trigger is 'pull_request_target'"),
        ({"runner_environment": "self-hosted"}, "runner is 'self-hosted'"),
        ({"job_workflow_sha": "0" * 40}, "build signer's commit is '0000"),
        ({"workflow_sha": "0" * 40}, "build configuration's commit is '0000"),
        ({"sha": "0" * 40}, "it does not name the commit of its certificate, '0000"),
    ],
)
def test_a_certificate_that_says_something_else_does_not_count(
    attester: Attester, claims: dict[str, str], words: str
) -> None:
    assert words in refusal(other(attester, **claims).bundle())


def test_a_statement_that_says_something_else_does_not_count(attester: Attester) -> None:
    said = attester.statement()
    said["subject"][0]["digest"]["sha256"] = "9" * 64
    assert "it is of another image" in refusal(attester.bundle(json.dumps(said).encode()))
    said = attester.statement() | {"predicateType": "https://spdx.dev/Document"}
    assert "its predicateType is 'https://spdx.dev" in refusal(
        attester.bundle(json.dumps(said).encode())
    )
    said = attester.statement()
    said["predicate"]["buildDefinition"]["externalParameters"]["workflow"]["path"] = "elsewhere.yml"
    assert "its path is 'elsewhere.yml'" in refusal(attester.bundle(json.dumps(said).encode()))
    for payload in (b"{}", b'{"predicate": {"buildDefinition": 1}}'):
        assert "it does not name the commit of its certificate" in refusal(attester.bundle(payload))
    for payload in (b"[]", b"hello"):
        assert "its payload is no statement" in refusal(attester.bundle(payload))


@Both
def test_another_root_does_not_count(tmp_path: Path, is_public: bool) -> None:
    ours, theirs = (Attester(Store(tmp_path / name), is_public) for name in ("ours", "theirs"))
    trusting(tmp_path, ours)
    said = refusal(theirs.bundle())
    assert "sigstore: " in said if is_public else "no trusted authority says when" in said


@Both
def test_a_root_of_the_other_kind_does_not_count(tmp_path: Path, is_public: bool) -> None:
    store = Store(tmp_path / "sigstore")
    trusting(tmp_path, Attester(store, not is_public))
    said = refusal(Attester(store, is_public).bundle())
    assert f"its signature is in {'a' if is_public else 'no'} log, and no trusted root is" in said


@pytest.mark.parametrize("is_late", [True, False])
def test_a_timestamp_from_before_or_after_the_certificate_does_not_count(
    attester: Attester, is_late: bool
) -> None:
    attester.time = datetime.now(UTC) + timedelta(hours=1 if is_late else -1)
    assert "its certificate was not good at" in refusal(attester.bundle())


@pytest.mark.parametrize("stamps", [[], [{"signedTimestamp": text(b"nothing")}]])
def test_a_certificate_alone_does_not_count(attester: Attester, stamps: Any) -> None:
    """It was good for some minutes; nobody knows whether the signature was made in them."""
    made = attester.bundle()
    made["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] = stamps
    assert "no trusted authority says when it was signed" in refusal(made)
    del made["verificationMaterial"]["timestampVerificationData"]
    assert "no trusted authority says when it was signed" in refusal(made)


def test_a_timestamp_of_another_signature_does_not_count(attester: Attester) -> None:
    made = attester.bundle()
    stamps = made["verificationMaterial"]["timestampVerificationData"]
    stamps["rfc3161Timestamps"] = [attester.stamp(b"another")]
    assert "no trusted authority says when it was signed" in refusal(made)


def test_a_root_counts_in_its_time_alone(attester: Attester, tmp_path: Path) -> None:
    made, root = attester.bundle(), attester.root()
    ended = {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
    file = tmp_path / "trust" / "production.jsonl"
    for key, words in (
        ("certificateAuthorities", "no trusted authority was there"),
        ("timestampAuthorities", "no trusted authority says when"),
    ):
        changed = {**root, key: [{**root[key][0], "validFor": ended}]}
        file.write_text(json.dumps(changed))
        assert words in refusal(made)


@Both
@pytest.mark.parametrize("field", ["payload", "payloadType", "signatures"])
def test_a_changed_envelope_does_not_count(
    attester: Attester, tmp_path: Path, field: str, is_public: bool
) -> None:
    attester.is_public = is_public
    trusting(tmp_path, attester)
    made, again = attester.bundle(), attester.bundle()
    said = attester.statement() | {"more": "than was signed"}
    changed = {"payload": text(json.dumps(said).encode()), "payloadType": "text/plain"}
    changed |= {"signatures": again["dsseEnvelope"]["signatures"]}
    made["dsseEnvelope"][field] = changed[field]
    assert refusal(made)


def test_a_log_s_entry_that_is_changed_does_not_count(attester: Attester, tmp_path: Path) -> None:
    attester.is_public = True
    trusting(tmp_path, attester)
    made, again = attester.bundle(), attester.bundle()
    entry, another = (one["verificationMaterial"].pop("tlogEntries")[0] for one in (made, again))
    for name, value in (another | {"integratedTime": "1"}).items():
        if value != entry[name]:
            made["verificationMaterial"]["tlogEntries"] = [entry | {name: value}]
            assert "sigstore: " in refusal(made), name
        made["verificationMaterial"]["tlogEntries"] = [{k: v for k, v in entry.items() if k != name}]
        assert "sigstore: " in refusal(made), name
    made["verificationMaterial"]["tlogEntries"] = [entry]
    provenance.check(PRODUCTION, shelf_with(made), DIGEST)


@pytest.mark.parametrize("alias", [False, True])
def test_a_bundle_that_can_be_read_in_two_ways_says_what_is_signed(
    attester: Attester, tmp_path: Path, alias: bool
) -> None:
    """Who looks at one certificate and envelope must not read another's."""
    attester.is_public = True
    trusting(tmp_path, attester)
    theirs = Attester(Store(tmp_path / "theirs"), is_public=True).bundle()
    signed = attester.bundle(json.dumps(attester.statement(["elsewhere/base"])).encode())
    own, forged = signed["verificationMaterial"], theirs["verificationMaterial"]
    if alias:
        own["certificate"] |= {"raw_bytes": own["certificate"]["rawBytes"], **forged["certificate"]}
        signed |= {"dsse_envelope": signed["dsseEnvelope"], "dsseEnvelope": theirs["dsseEnvelope"]}
        both = [json.dumps(signed)]
    else:
        forged["tlogEntries"] = own["tlogEntries"]
        parts = [json.dumps(one)[1:-1] for one in (signed, theirs)]
        both = [f"{{{', '.join(order)}}}" for order in (parts, parts[::-1])]
    for text_ in both:
        assert refusal(text_.encode())


def test_a_certificate_that_no_log_has_seen_does_not_count(attester: Attester, tmp_path: Path) -> None:
    """The public authority's certificates are in a public log, or they do not count."""
    attester.is_public = True
    trusting(tmp_path, attester)
    root = attester.root()
    root["ctlogs"] = Attester(Store(tmp_path / "theirs"), is_public=True).root()["ctlogs"]
    (tmp_path / "trust" / "production.jsonl").write_text(json.dumps(root))
    assert "SCT" in refusal(attester.bundle())


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"", "no bundle of Sigstore's"),
        (b"[1]", "no bundle of Sigstore's"),
        ({"mediaType": "application/json"}, "it is a 'application/json'"),
        ({"dsseEnvelope": {"payload": "", "payloadType": "", "signatures": []}}, "not just one"),
        (
            {"verificationMaterial": {"certificate": {"rawBytes": text(b"no")}}},
            "its certificate is none",
        ),
        ({"verificationMaterial": {"certificate": {"rawBytes": 1}}}, "no bundle of Sigstore's"),
    ],
)
def test_what_is_no_bundle_is_named(attester: Attester, broken: Any, words: str) -> None:
    assert words in refusal(broken if isinstance(broken, bytes) else attester.bundle() | broken)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("jsonl", None, "there is no such file: no attestation of GitHub's counts"),
        ("jsonl", "\n", "it names nobody"),
        ("jsonl", "{", "it is no trusted root of Sigstore's"),
        ("jsonl", '{"mediaType": "x", "certificateAuthorities": []}', "no trusted root with certif"),
        ("toml", None, "there is no such file: whose attestations count?"),
        ("toml", "schema = 1\nrepository_id = 1", "owner_id"),
        ("toml", "schema = 1\nrepository_id = 1\nowner_id = 'acme'", "int"),
    ],
)
def test_a_trust_root_that_is_none_is_named(
    attester: Attester, tmp_path: Path, file: str, content: str | None, words: str
) -> None:
    shelf, path = shelf_with(attester.bundle()), tmp_path / "trust" / f"production.{file}"
    path.unlink() if content is None else path.write_text(content)
    for call in (provenance.check, provenance.reusable):
        with pytest.raises(InputError) as caught:
            call(PRODUCTION, shelf, DIGEST)
        assert words in str(caught.value)
        assert f"trust/production.{file}" in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 1])
def test_an_authority_without_its_chain_is_none(attester: Attester, tmp_path: Path, kept: int) -> None:
    root = attester.root()
    del root["timestampAuthorities"][0]["certChain"]["certificates"][kept:]
    (tmp_path / "trust" / "production.jsonl").write_text(json.dumps(root))
    with pytest.raises(InputError, match="no trusted root with certificates"):
        roots.read(PRODUCTION)
