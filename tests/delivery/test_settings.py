"""settings.toml: what is read, and how what is wrong is named."""

from pathlib import Path

import msgspec
import pytest

from delivery.settings import ROOT, load
from flows.errors import InputError

ROLES = ("s3_role", "s3_release_role", "s3_deploy_role")
GOOD = (ROOT / "settings.toml").read_text()


def written(folder: Path, old: str = "", new: str = "") -> Path:
    """A settings.toml in `folder`: the repository's own, with `old` replaced by `new`."""
    path = folder / "settings.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(path)
    return str(caught.value)


def test_the_repository_s_own_settings_are_good() -> None:
    settings = load()
    assert settings.repository == "acme/models"
    assert list(settings.environments) == ["local", "experiment", "staging", "production"]
    local = settings.environment("local")
    assert local.location == "projects/retrain-local/locations/europe-west1"
    assert (local.name, local.bucket, local.train) == ("local", "retrain-local-models", True)
    assert local.secrets.s3_reader == "s3-reader"


def test_an_unknown_environment_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"no environment 'prod'(.|\n)*local, experiment, staging, production"
    ):
        load().environment("prod")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"acme/models" #', '"models" #', "repository = 'models'"),
        ("gs://retrain-local-pipelines", "retrain-local-pipelines", "pipeline_root"),
        ("gs://retrain-local-serving", "s3://retrain-local-serving", "write gs://BUCKET"),
        ("s3://retrain-local-models", "s3://retrain-local-models/models", "write s3://BUCKET"),
        ("europe-west1-docker.pkg.dev/retrain-local/retrain", "https://x.dev/a", "artifact_registry"),
        ("pipeline@retrain-local.iam.gserviceaccount.com", "pipeline@example.com", "pipeline_account"),
        ('"europe-west1"', '"eu"', "a Google Cloud region such as europe-west1"),
        ('"eu-west-1"', '"europe-west1"', "an AWS region such as eu-west-1"),
        ('"retrain-local"', '"R"', "project = 'R'"),
        ('"s3-reader"', '"projects/1/secrets/x"', "[environments.local.secrets]: s3_reader"),
        ("[environments.local", "[environments.Local", "name = 'Local'"),
    ],
)
def test_a_wrong_form_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in refusal(written(tmp_path, old, new))


def test_an_unknown_key_is_named_with_the_nearest(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, "pipeline_root", "pipline_root"))
    assert "[environments.local]" in said
    assert "unknown key 'pipline_root'" in said
    assert "nearest known key: pipeline_root" in said


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, 'project = "retrain-local"\n'))
    assert "[environments.local]" in said
    assert "`project`" in said


def test_the_schema_is_checked(tmp_path: Path) -> None:
    assert "schema" in refusal(written(tmp_path, "schema = 1", "schema = 2"))


def test_secret_keys_need_their_secrets(tmp_path: Path) -> None:
    for name in ("writer", "deploy"):
        said = refusal(written(tmp_path, f's3_{name} = "s3-{name}"\n'))
        assert f"needs secrets.s3_{name}" in said


def test_web_identity_needs_roles_and_audience(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, 's3_auth = "secret" #', 's3_auth = "web-identity" #'))
    assert "[environments.production]" in said
    assert "needs s3_role, s3_release_role, s3_deploy_role, s3_audience" in said


def test_web_identity_needs_no_secret(tmp_path: Path) -> None:
    role = "".join(f'{key} = "arn:aws:iam::123456789012:role/{key}"\n' for key in ROLES)
    role += 's3_audience = "retrain"\n'
    path = written(tmp_path, 's3_auth = "secret" #', f'{role}s3_auth = "web-identity" #')
    for name in ("writer", "reader", "deploy"):
        path.write_text(path.read_text().replace(f's3_{name} = "s3-{name}"\n', ""))
    path.write_text(path.read_text().split("[environments.local]")[0] + _only(path, "production"))
    production = load(path).environment("production")
    assert production.s3_auth == "web-identity"
    assert production.secrets.s3_reader is None


FROM_STAGING = 'promotes_from = "staging"\ntrain = true'


def test_models_come_from_where_an_environment_says(tmp_path: Path) -> None:
    found = load(written(tmp_path, "train = true", FROM_STAGING))
    assert found.environment("production").origins == {"staging": "s3://acme-models-staging"}
    assert found.environment("staging").origins == {}
    nowhere = FROM_STAGING.replace("staging", "nowhere")
    assert "promotes_from = 'nowhere' is not an" in refusal(written(tmp_path, "train = true", nowhere))


def test_models_go_round_in_no_circle(tmp_path: Path) -> None:
    path = written(tmp_path, "train = true", FROM_STAGING)
    staging = 'model_store = "s3://acme-models-staging"'
    back = f'{staging}\npromotes_from = "production"'
    path.write_text(path.read_text().replace(staging, back))
    assert "promotes_from goes round in a circle" in refusal(path)


def test_what_serves_attested_images_alone_takes_none_from_where_nobody_attests(tmp_path: Path) -> None:
    path = written(tmp_path, "train = true", FROM_STAGING)
    path.write_text(path.read_text().replace('attest = "off" ', 'attest = "github" '))
    said = refusal(path)
    assert "[environments.production]: attest = 'github', but promotes_from = 'staging'" in said
    assert "set attest in [environments.staging], too" in said
    both = path.read_text().replace(
        "[environments.staging]", '[environments.staging]\nattest = "github"'
    )
    path.write_text(both)
    assert load(path).environment("production").origins == {"staging": "s3://acme-models-staging"}


def _only(path: Path, name: str) -> str:
    return f"[environments.{name}]" + path.read_text().split(f"[environments.{name}]")[1]


def test_what_signs_images_has_a_key_and_is_no_branch_s(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, 'attest = "off" ', 'attest = "kms" '))
    assert "[environments.production]: attest = 'kms' needs attest_key" in said
    there = load(written(tmp_path, 'attest = "off" ', 'attest = "github" '))
    assert there.environment("production").attest == "github"
    key = 'attest_key = "projects/acme-ml/keys/1"\n'
    assert "attest_key = 'projects/acme-ml" in refusal(
        written(tmp_path, "train = true", f"{key}train = true")
    )
    said = refusal(written(tmp_path, 'ends_at = "evaluate"', 'attest = "github"\nends_at = "evaluate"'))
    assert "[environments.experiment]: attest = 'github', but branches build" in said


def test_settings_without_an_environment_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('schema = 1\nrepository = "acme/models"\n[environments]\n')
    assert "no environment" in refusal(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "settings.toml")


def test_an_experiment_needs_no_key_that_writes() -> None:
    found = load().environment("experiment")
    assert (found.ends_at, found.champions, found.retrains) == ("evaluate", "local", False)
    assert msgspec.to_builtins(found.secrets) == {
        "github_notify": "",
        "github_release": "",
        "s3_writer": None,
        "s3_reader": "s3-reader",
        "s3_deploy": None,
    }
    local = load().environment("local")
    assert found.pipeline_account != local.pipeline_account
    assert found.pipeline_root.startswith(f"{local.pipeline_root}/")
    assert found.artifact_registry != local.artifact_registry


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('champions = "local"', 'champions = "lokal"', "champions = 'lokal' is not an environment"),
        (
            'champions = "local"',
            "",
            "[environments.experiment]: s3_auth = 'secret', with ends_at, needs",
        ),
        ('ends_at = "evaluate"', 'ends_at = "train"', "Invalid enum value 'train'"),
        (
            'ends_at = "evaluate"',
            "",
            "needs secrets.s3_writer, secrets.s3_deploy, secrets.github_notify",
        ),
    ],
)
def test_what_an_experiment_needs_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in refusal(written(tmp_path, old, new))


def test_no_name_is_the_default_environment() -> None:
    found = load()
    assert found.environment("") == found.environment(found.default_environment or "")
    without = msgspec.structs.replace(found, default_environment=None)
    assert without.environment("").name == "local"
