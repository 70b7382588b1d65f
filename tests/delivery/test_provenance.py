"""Who built an image: what train.yml signs, and what is refused before a job is submitted."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from delivery import dsse, provenance, referrers, settings, statement
from delivery.dsse import ForgedError
from delivery.layout import MANIFEST_TYPE, digest_of
from delivery.provenance import UnvouchedError
from delivery.settings import Environment
from flows.errors import InputError, RetrainError
from tests.conftest import ROOT, WORLD, Program
from tests.delivery.signers import DIGEST, IMAGE, KEY, RUN, Shelf, Signer, trusted

PRODUCTION: Environment = msgspec.structs.replace(
    settings.load().environment("production"), attest="kms", attest_key=KEY
)
OFF = msgspec.structs.replace(PRODUCTION, attest="off")
OTHER = "sha256:" + "9" * 64


@pytest.fixture
def signer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signer:
    """The key of a repository that trusts it, in a run of train.yml on its main."""
    own, key = settings.load(ROOT / "settings.toml"), Signer()
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "load", lambda: own)
    monkeypatch.setattr(provenance, "Kms", lambda version: key)
    for name, value in RUN.items():
        monkeypatch.setenv(name, value)
    trusted(tmp_path, key)
    return key


def attested(by: Signer, **run: str) -> Shelf:
    """A shelf on which the image is attested, by a run with other facts."""
    shelf = Shelf()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in run.items():
            patch.setenv(name, value)
        said = statement.made(shelf.name, DIGEST)
    referrers.attach(shelf, DIGEST, dsse.ENVELOPE, dsse.sign(said, by.version, by.sign))
    return shelf


def refusal(shelf: Shelf, environment: Environment = PRODUCTION) -> str:
    with pytest.raises(UnvouchedError) as caught:
        provenance.check(environment, shelf, DIGEST)
    assert "train.yml" in caught.value.mend
    return caught.value.what


@pytest.mark.usefixtures("signer")
def test_what_a_run_of_train_has_attested_is_submitted(capsys: pytest.CaptureFixture[str]) -> None:
    shelf = Shelf()
    provenance.attest(PRODUCTION, shelf, DIGEST)
    provenance.check(PRODUCTION, shelf, DIGEST)
    assert "attested      " in capsys.readouterr().err
    [envelope] = referrers.attached(shelf, DIGEST, dsse.ENVELOPE)
    said = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    assert said["subject"] == [{"name": shelf.name, "digest": {"sha256": DIGEST[7:]}}]
    [source] = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source["digest"] == {"gitCommit": RUN["GITHUB_SHA"]}
    run = said["predicate"]["runDetails"]
    assert run["metadata"]["invocationId"] == "https://github.com/acme/models/actions/runs/42/attempts/1"


@pytest.mark.usefixtures("signer")
def test_without_an_attestation_nothing_is_submitted_or_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "there is no attestation of it" in refusal(Shelf())
    shelves = {Shelf.name: Shelf()}
    monkeypatch.setattr(provenance, "Registry", shelves.pop)
    with pytest.raises(UnvouchedError, match=DIGEST):
        provenance.check_used(PRODUCTION, f"{Shelf.name}@{DIGEST}")
    provenance.check_used(OFF, f"{Shelf.name}@{DIGEST}")
    assert shelves == {}


def test_a_promoted_model_s_image_counts_by_the_word_of_where_it_was_built(
    signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, own = Signer(KEY.replace("acme-ml", "acme-ml-staging")), settings.load()
    trusted(tmp_path, theirs)
    (tmp_path / "trust/production.toml").rename(tmp_path / "trust/staging.toml")
    trusted(tmp_path, signer)
    staging = msgspec.structs.replace(
        own.environment("staging"), attest="kms", attest_key=theirs.version
    )
    both = {"staging": staging, "production": PRODUCTION}
    monkeypatch.setattr(settings, "load", lambda: msgspec.structs.replace(own, environments=both))
    target = msgspec.structs.replace(PRODUCTION, origins={"staging": staging.model_store})
    image, shelf = f"{Shelf.name}@{DIGEST}", attested(theirs)
    monkeypatch.setattr(provenance, "Registry", lambda name: {Shelf.name: shelf}[name])
    provenance.check_served(target, image)
    with pytest.raises(UnvouchedError, match="no trusted key has signed it"):
        provenance.check_served(PRODUCTION, image)
    provenance.check_served(OFF, "nowhere")


def test_where_attestation_is_off_nothing_is_asked() -> None:
    nothing: Any = object()
    provenance.attest(OFF, nothing, DIGEST)
    provenance.check(OFF, nothing, DIGEST)
    assert provenance.reusable(OFF, nothing, DIGEST) is True
    assert provenance.reusable(OFF, nothing, None) is False


@pytest.mark.usefixtures("signer")
def test_another_key_s_word_does_not_count() -> None:
    assert f"no trusted key has signed it; it says: {KEY}" in refusal(attested(Signer()))


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"GITHUB_WORKFLOW_REF": "acme/models/.github/workflows/tick.yml@refs/heads/main"}, "tick.yml"),
        ({"GITHUB_WORKFLOW_REF": "acme/models/.github/workflows/train.yml@refs/heads/x"}, "heads/x"),
        ({"GITHUB_WORKFLOW_REF": "acme/models/.github/workflows/train.yml@refs/tags/main"}, "tags/main"),
        (
            {
                "GITHUB_REPOSITORY": "mallory/models",
                "GITHUB_WORKFLOW_REF": "mallory/models/.github/workflows/train.yml@refs/heads/main",
            },
            "mallory/models",
        ),
    ],
)
def test_another_workflow_branch_or_repository_does_not_count(
    signer: Signer, run: dict[str, str], said: str
) -> None:
    words = refusal(attested(signer, **run))
    assert said in words
    assert "is 'https://github.com" in words or "is '.github" in words or "is 'refs/" in words


def test_the_word_on_another_image_does_not_count(signer: Signer) -> None:
    shelf = Shelf()
    said = statement.made(shelf.name, OTHER)
    referrers.attach(shelf, DIGEST, dsse.ENVELOPE, dsse.sign(said, signer.version, signer.sign))
    assert f"it is of another image, not of {shelf.name}@{DIGEST}" in refusal(shelf)


def test_the_word_on_another_group_s_image_of_that_digest_does_not_count(signer: Signer) -> None:
    shelf = Shelf()
    said = statement.made(shelf.name.replace("/base", "/torch"), DIGEST)
    referrers.attach(shelf, DIGEST, dsse.ENVELOPE, dsse.sign(said, signer.version, signer.sign))
    assert f"it is of another image, not of {shelf.name}@{DIGEST}" in refusal(shelf)


def test_a_key_counts_until_its_end(signer: Signer, tmp_path: Path) -> None:
    shelf = attested(signer)
    trusted(tmp_path, signer, until="2999-01-01T00:00:00Z")
    provenance.check(PRODUCTION, shelf, DIGEST)
    trusted(tmp_path, signer, until="2020-01-01T00:00:00Z")
    assert f"its key counts no more since 2020-01-01: {KEY}" in refusal(shelf)


def test_one_that_holds_is_enough(signer: Signer) -> None:
    shelf = attested(Signer())
    assert provenance.reusable(PRODUCTION, shelf, DIGEST) is False
    provenance.attest(PRODUCTION, shelf, DIGEST)
    assert len(list(referrers.attached(shelf, DIGEST, dsse.ENVELOPE))) == 2
    assert provenance.reusable(PRODUCTION, shelf, DIGEST) is True


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"", "no DSSE envelope"),
        (b"[1]", "no DSSE envelope"),
        (b'{"payload": "e30=", "payloadType": "x", "signatures": []}', "it says: nobody"),
        (b'{"payload": "%", "payloadType": "x", "signatures": []}', "not in base64"),
    ],
)
@pytest.mark.usefixtures("signer")
def test_what_is_no_envelope_is_named(broken: bytes, words: str) -> None:
    shelf = Shelf()
    referrers.attach(shelf, DIGEST, dsse.ENVELOPE, broken)
    assert words in refusal(shelf)


@pytest.mark.parametrize("field", ["payload", "payloadType"])
def test_a_changed_payload_or_type_does_not_count(signer: Signer, field: str) -> None:
    said = statement.made(Shelf.name, OTHER)
    envelope = json.loads(dsse.sign(said, signer.version, signer.sign))
    forged = statement.made(Shelf.name, DIGEST)
    envelope[field] = base64.b64encode(forged).decode() if field == "payload" else "text/plain"
    shelf = Shelf()
    referrers.attach(shelf, DIGEST, dsse.ENVELOPE, json.dumps(envelope).encode())
    assert "no trusted key has signed it" in refusal(shelf)


def test_a_signed_text_that_is_no_statement_does_not_count(signer: Signer) -> None:
    for payload in (b"hello", b"[]", b"{}", b'{"subject": [1], "predicate": []}'):
        shelf = Shelf()
        envelope = dsse.sign(payload, signer.version, signer.sign)
        referrers.attach(shelf, DIGEST, dsse.ENVELOPE, envelope)
        assert "no statement" in refusal(shelf) or "another image" in refusal(shelf)


def test_a_blob_that_is_another_one_ends_the_look(signer: Signer) -> None:
    shelf = attested(signer)
    [name] = [name for name, data in shelf.blobs.items() if data.startswith(b'{"payload"')]
    shelf.blobs[name] += b" "
    with pytest.raises(RetrainError, match="has the bytes of"):
        provenance.check(PRODUCTION, shelf, DIGEST)


@pytest.mark.parametrize("manifest", [{"layers": [1]}, {"layers": {}}, {}, {"layers": [{"digest": 1}]}])
@pytest.mark.usefixtures("signer")
def test_a_manifest_of_no_form_is_passed_over(manifest: dict[str, Any]) -> None:
    shelf = Shelf()
    told = {**manifest, "artifactType": dsse.ENVELOPE, "subject": {"digest": DIGEST}}
    data = json.dumps(told).encode()
    shelf.push_manifest(digest_of(data), data, MANIFEST_TYPE)
    assert "there is no attestation of it" in refusal(shelf)


@pytest.mark.usefixtures("signer")
def test_an_attestation_of_no_image_is_refused() -> None:
    shelf = Shelf()
    shelf.manifests.clear()
    with pytest.raises(RetrainError, match="there is no such image"):
        provenance.attest(PRODUCTION, shelf, DIGEST)


def test_a_key_that_the_trust_root_does_not_name_attests_nothing(signer: Signer, tmp_path: Path) -> None:
    trusted(tmp_path, Signer())
    shelf = Shelf()
    with pytest.raises(RetrainError, match=r"trust/production\.toml does not trust") as caught:
        provenance.attest(PRODUCTION, shelf, DIGEST)
    assert "doctor" in caught.value.mend
    assert list(shelf.manifests) == [DIGEST]


@pytest.mark.parametrize(
    "run",
    [
        {"GITHUB_RUN_ID": ""},
        {"GITHUB_WORKFLOW_REF": "acme/models/.github/workflows/tick.yml@refs/heads/main"},
        {"GITHUB_WORKFLOW_REF": "acme/models/.github/workflows/train.yml@refs/heads/mine"},
    ],
)
@pytest.mark.usefixtures("signer")
def test_nobody_else_builds_what_is_attested(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    for name, value in run.items():
        monkeypatch.setenv(name, value)
    for digest in (None, DIGEST):
        with pytest.raises(InputError, match=r"only\s+train.yml on main can") as caught:
            provenance.reusable(PRODUCTION, Shelf(), digest)
        assert "train.yml on main with environment 'production'" in caught.value.mend


# With a real Cloud KMS, a real registry, and the rights of the accounts.

PLACE = f"projects/{WORLD.project}/locations/{WORLD.region}"
LIVE_KEY = f"{PLACE}/keyRings/retrain/cryptoKeys/images/cryptoKeyVersions/1"
START = f"""
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "vertex-ai-pipelines")!r}]
from pathlib import Path
import google.auth, msgspec
from delivery import grants, image, provenance, settings
from delivery.registry import Registry
from flows.errors import RetrainError
from laptop import grant

def refusal(call, *arguments):
    try:
        return call(*arguments)
    except RetrainError as error:
        return str(error)

os.environ |= {RUN!r}
root, real = Path(%r), settings.ROOT
key = {LIVE_KEY!r}
environment = msgspec.structs.replace(
    settings.load().environment("local"), project="{WORLD.project}", attest="kms", attest_key=key,
    artifact_registry="{WORLD.region}-docker.pkg.dev/{WORLD.project}/attested",
    pipeline_account="pipeline@{WORLD.project}.iam.gserviceaccount.com")
registry = Registry(f"{{environment.artifact_registry}}/base")
settings.ROOT = root
"""


def test_train_s_account_attests_and_tick_s_only_looks(
    tmp_path: Path, program: Program, as_account: Callable[[str, str], Any]
) -> None:
    start = START % str(tmp_path)
    public = program(f"""
sys.path.insert(0, {str(ROOT / "scripts")!r})
{start}
grant.signing_key(environment), grant.signing_key(environment)
wanted = [one for one in grants.google(environment) if one.kind in ("key", "project")]
for account in {{one.account for one in wanted}}:
    grant._account(grant._session(), environment.project, account)
grant._give(grant._session(), environment, wanted)
from delivery.kms import Kms
answer = [Kms(key).public(), sorted(Kms(key).signers())]
""")
    train, tick = (
        f"workflow-{one}@{WORLD.project}.iam.gserviceaccount.com" for one in ("train", "tick")
    )
    assert public[1] == [f"serviceAccount:{train}"]
    root = f"schema = 1\n[[keys]]\nname = '{LIVE_KEY}'\npublic = '''{public[0]}'''\n"
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "local.toml").write_text(root)
    publish = "digest, new = image.publish(registry, real, 'base', '%040d')\n"
    scripts = f"sys.path.insert(0, {str(ROOT / 'scripts')!r})\n{start}"
    forged = as_account(
        tick,
        scripts + publish % 1 + "answer = refusal(provenance.attest, environment, registry, digest)",
    )
    assert "Cloud KMS answers 403" in forged
    assert "only the account of train.yml may sign" in forged
    made = as_account(
        train,
        scripts
        + publish % 2
        + """
answer = [new, provenance.reusable(environment, registry, digest)]
provenance.attest(environment, registry, digest)
answer.append(provenance.reusable(environment, registry, digest))
""",
    )
    assert made == [False, False, True]
    look = publish % 3 + "answer = refusal(provenance.check, environment, registry, digest)"
    assert as_account(tick, scripts + look) is None


def test_who_signs_under_a_condition_is_seen_and_stays(tmp_path: Path, program: Program) -> None:
    other = f"pipeline@{WORLD.project}.iam.gserviceaccount.com"
    found = program(f"""
sys.path.insert(0, {str(ROOT / "scripts")!r})
{START % str(tmp_path)}
from delivery.grants import Grant
from delivery.kms import Kms
key = key.replace("/images/", "/conditional/")
environment = msgspec.structs.replace(environment, attest_key=key)
grant.signing_key(environment)
name = Kms(key).key
for one in (Grant({other!r}, "roles/cloudkms.signer", "key", name, only=name),
            Grant({other!r}, "roles/cloudkms.viewer", "key", name)):
    grant._apply(grant._session(), environment.project, "key", name, [one])
answer = sorted(Kms(key).signers())
""")
    assert found == [f"serviceAccount:{other}"]


# The trust root.


def read(root: Path, text: str) -> str:
    (root / "trust" / "production.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        provenance.check(PRODUCTION, attested(Signer()), DIGEST)
    return str(caught.value)


@pytest.mark.usefixtures("signer")
def test_a_trust_root_that_is_none_is_named(tmp_path: Path) -> None:
    key = f"[[keys]]\nname = '{KEY}'\npublic = "
    good = (tmp_path / "trust" / "production.toml").read_text()
    curve = "it has no public key of the curve P-256"
    assert "not valid TOML" in read(tmp_path, "schema")
    assert "unknown key 'kyes'" in read(tmp_path, "schema = 1\nkeys = []\nkyes = 1")
    assert curve[7:] in read(tmp_path, f"schema = 1\n{key}'nothing'")
    assert "names projects/acme-ml" in read(tmp_path, good + good[good.index("[[") :])
    assert "has no time zone" in read(tmp_path, f"{good}until = 2027-01-01T00:00:00\n")
    (tmp_path / "trust" / "production.toml").unlink()
    for call in (provenance.check, provenance.reusable):
        with pytest.raises(InputError, match=r"no such file(.|\n)*doctor production"):
            call(PRODUCTION, attested(Signer()), DIGEST)
    with pytest.raises(InputError, match="no such file"):
        provenance.reusable(PRODUCTION, Shelf(), None)


def test_without_a_trusted_key_nothing_is_opened() -> None:
    signer = Signer()
    with pytest.raises(ForgedError):
        dsse.opened(dsse.sign(IMAGE, KEY, signer.sign), {})
