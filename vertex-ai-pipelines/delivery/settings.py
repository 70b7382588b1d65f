"""settings.toml: where each environment is. Names of secrets, never their values."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from flows.errors import InputError
from flows.tables import Table, convert, load_toml

ROOT = Path(__file__).resolve().parents[2]

BUCKET = r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]"
IDS = "[a-z0-9-]{4,32}"  # of pools and providers
KEY = "[a-zA-Z0-9_-]{1,63}"  # of key rings and keys
WORKFLOW_ROLES = ("s3_release_role", "s3_deploy_role")
ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/\S+"
SHAPES = {
    "repository": (r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", "OWNER/NAME"),
    "name": (r"[a-z][a-z0-9-]{0,30}", "lower case letters, digits and '-', at most 31"),
    "project": (r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a Google Cloud project id"),
    "region": (r"[a-z]+-[a-z]+\d+", "a Google Cloud region such as europe-west1"),
    "pipeline_root": (rf"gs://{BUCKET}(/[^/\s]+)*", "gs://BUCKET or gs://BUCKET/FOLDER"),
    "serving_bucket": (rf"gs://{BUCKET}", "gs://BUCKET"),
    "artifact_registry": (
        r"[a-z0-9.-]+(:\d+)?(/[a-z0-9][a-z0-9._-]*){2,}",
        "HOST/PROJECT/REPOSITORY, without https:// and without a tag",
    ),
    "pipeline_account": (
        r"[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com",
        "a service account's address: NAME@PROJECT.iam.gserviceaccount.com",
    ),
    "workload_identity_provider": (
        rf"projects/\d+/locations/global/workloadIdentityPools/{IDS}/providers/{IDS}",
        "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER",
    ),
    "model_store": (rf"s3://{BUCKET}", "s3://BUCKET"),
    "aws_region": (r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as eu-west-1"),
    "s3_role": (ROLE, "arn:aws:iam::ACCOUNT:role/NAME"),
    "s3_release_role": (ROLE, "arn:aws:iam::ACCOUNT:role/NAME"),
    "s3_deploy_role": (ROLE, "arn:aws:iam::ACCOUNT:role/NAME"),
    "s3_audience": (r"\S+", "a text without spaces"),
    "attest_key": (
        rf"projects/[a-z0-9-]+/locations/[a-z0-9-]+/keyRings/{KEY}/cryptoKeys/{KEY}/cryptoKeyVersions/\d+",
        "projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY/cryptoKeyVersions/NUMBER",
    ),
    "s3_writer": (r"[A-Za-z0-9_-]{1,255}", "a secret's name"),
    "s3_reader": (r"[A-Za-z0-9_-]{1,255}", "a secret's name"),
    "s3_deploy": (r"[A-Za-z0-9_-]{1,255}", "a secret's name"),
    "github_notify": (r"[A-Za-z0-9_-]{1,255}", "a secret's name"),
    "github_release": (r"[A-Za-z0-9_-]{1,255}", "a secret's name"),
}


class Secrets(Table):
    """Names in the environment's Secret Manager. The AWS keys' are needed with s3_auth = "secret".

    Where only experiments run, the reader's alone is.
    """

    github_notify: str = ""
    github_release: str = ""
    s3_writer: str | None = None
    s3_reader: str | None = None
    s3_deploy: str | None = None


class Environment(Table):
    """One place where flows are trained and served; `name` is its table's key.

    Workflows become Google's accounts by `workload_identity_provider`.
    With s3_auth = "web-identity", a pipeline's steps assume `s3_role` by Google's token for
    `s3_audience`. By GitHub's, the release workflow assumes `s3_release_role`, which only reads, and
    deploy `s3_deploy_role`, which also writes the channels.
    With `ends_at`, what is trained here is only measured, against what `champions` (another
    environment) has released.
    Models of the environment `promotes_from`, and of that one's in turn, may be released here, too:
    `origins` has their model stores by name. Where images are attested here, they are there, too.
    A request to an endpoint takes `request_seconds` at most (Vertex AI's limit): a model that has lost
    its traffic is undeployed after that.
    `builder` makes the images; those of "files" hold the flows alone, without base and packages.
    With attest = "kms", train.yml signs with `attest_key` that it has built an image; with "github", it
    has GitHub attest that.
    """

    name: str
    project: str
    region: str
    pipeline_root: str
    serving_bucket: str
    artifact_registry: str
    pipeline_account: str
    model_store: str
    aws_region: str
    secrets: Secrets
    workload_identity_provider: str | None = None
    s3_auth: Literal["secret", "web-identity"] = "secret"
    s3_role: str | None = None
    s3_release_role: str | None = None
    s3_deploy_role: str | None = None
    s3_audience: str | None = None
    train: bool = True
    ends_at: Literal["evaluate"] | None = None
    champions: str | None = None
    promotes_from: str | None = None
    origins: dict[str, str] = {}
    attest: Literal["off", "github", "kms"] = "off"
    builder: Literal["docker", "buildah", "files"] = "docker"
    attest_key: str | None = None
    request_seconds: Annotated[int, Meta(ge=0, le=3600)] = 60

    @property
    def retrains(self) -> bool:
        """Whether pushes and the schedule train here; experiments are started by people."""
        return self.train and self.ends_at is None

    @property
    def location(self) -> str:
        """The Vertex AI parent of everything here: projects/PROJECT/locations/REGION."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def bucket(self) -> str:
        """The model store's bucket, without s3://."""
        return self.model_store.removeprefix("s3://")

    @property
    def google_bucket(self) -> str:
        """The pipeline root's bucket, without gs:// and folder."""
        return self.pipeline_root.removeprefix("gs://").partition("/")[0]

    @property
    def google_buckets(self) -> tuple[str, str]:
        """The pipeline root's bucket and the serving bucket."""
        return self.google_bucket, self.serving_bucket.removeprefix("gs://")


class Settings(Table):
    """The repository on GitHub, and the environments by name."""

    repository: str
    environments: dict[str, Environment]
    default_flow: str | None = None
    default_environment: str | None = None

    def flow_by_default(self, flows: list[str]) -> str:
        """The flow that is meant where none is named. Raises InputError where that is not said."""
        if self.default_flow is None and len(flows) != 1:
            raise InputError(f"name a flow: {', '.join(flows)}", "or set default_flow in settings.toml")
        return self.default_flow or flows[0]

    def environment(self, name: str) -> Environment:
        """The environment `name`, "" for the default. Raises InputError that names the known ones."""
        name = name or self.default_environment or next(iter(self.environments))
        if name not in self.environments:
            known = ", ".join(self.environments)
            raise InputError(f"settings.toml has no environment '{name}'", f"name one of: {known}")
        return self.environments[name]


class _Toml(Table):
    schema: Literal[1]
    repository: str
    environments: dict[str, dict[str, Any]]
    default_flow: str | None = None
    default_environment: str | None = None


def load(path: Path = ROOT / "settings.toml") -> Settings:
    """The settings in `path`. Raises InputError that names file, key and expectation."""
    where = str(path)
    toml = convert(load_toml(path), _Toml, where)
    _check_shapes({"repository": toml.repository}, where)
    if not toml.environments:
        raise InputError(f"{where}: it has no environment", "add a table [environments.NAME]")
    environments = {name: _environment(name, table, where) for name, table in toml.environments.items()}
    for environment in environments.values():
        for key in ("champions", "promotes_from"):
            if getattr(environment, key) not in (None, *environments):
                raise InputError(
                    f"{where} [environments.{environment.name}]: {key} ="
                    f" '{getattr(environment, key)}' is not an environment",
                    f"name one of: {', '.join(environments)}",
                )
        _check_promotes(environment, environments, where)
    return Settings(
        repository=toml.repository,
        environments={
            name: msgspec.structs.replace(one, origins=_origins(one, environments, where))
            for name, one in environments.items()
        },
        default_flow=toml.default_flow,
        default_environment=toml.default_environment,
    )


def _check_promotes(one: Environment, all_: dict[str, Environment], where: str) -> None:
    """Where only attested images serve, none comes in by promotion that nobody attested."""
    if one.attest != "off" and one.promotes_from and all_[one.promotes_from].attest == "off":
        raise InputError(
            f"{where} [environments.{one.name}]: attest = '{one.attest}', but promotes_from ="
            f" '{one.promotes_from}', which attests nothing",
            f"set attest in [environments.{one.promotes_from}], too, or leave promotes_from out",
        )


def _origins(one: Environment, all_: dict[str, Environment], where: str) -> dict[str, str]:
    """The model stores of the environments that `one` gets models from, the nearest first."""
    found, source = dict[str, str](), one.promotes_from
    while source:
        if source in (one.name, *found):
            raise InputError(
                f"{where} [environments.{one.name}]: promotes_from goes round in a circle",
                "models are promoted in one direction, for example staging to production",
            )
        found[source] = all_[source].model_store
        source = all_[source].promotes_from
    return found


def _environment(name: str, table: dict[str, Any], where: str) -> Environment:
    where = f"{where} [environments.{name}]"
    environment = convert({**table, "name": name, "origins": {}}, Environment, where)
    _check_shapes(msgspec.to_builtins(environment), where)
    _check_needs(environment, where)
    named = {key: name for key, name in msgspec.to_builtins(environment.secrets).items() if name}
    _check_shapes(named, f"{where[:-1]}.secrets]")
    return environment


def _check_shapes(table: dict[str, Any], where: str) -> None:
    for key, (pattern, meaning) in SHAPES.items():
        value = table.get(key)
        if value is not None and not re.fullmatch(pattern, value):
            raise InputError(f"{where}: {key} = '{value}' is not of the right form", f"write {meaning}")


def _check_needs(environment: Environment, where: str) -> None:
    """What is only needed because of another key is there."""
    secrets, auth = environment.secrets, environment.s3_auth
    roles = {key: getattr(environment, key) for key in ("s3_role", *WORKFLOW_ROLES, "s3_audience")}
    needed = roles if auth == "web-identity" else {"secrets.s3_reader": secrets.s3_reader}
    if environment.ends_at:
        needed = {key: value for key, value in needed.items() if key not in WORKFLOW_ROLES}
        needed["champions"] = environment.champions
    else:
        apps = ("github_notify", "github_release")
        writes = ("s3_writer", "s3_deploy", *apps) if auth == "secret" else apps
        needed |= {f"secrets.{key}": getattr(secrets, key) for key in writes}
    _check_attest(environment, where)
    missing = [key for key, value in needed.items() if not value]
    if missing:
        because = f"s3_auth = '{auth}'" + (", with ends_at," if environment.ends_at else "")
        raise InputError(
            f"{where}: {because} needs {', '.join(missing)}",
            "set what is missing, or choose the other s3_auth",
        )


def _check_attest(environment: Environment, where: str) -> None:
    """Images are attested by train.yml on main, with a key where the signature is our own."""
    if environment.attest != "off" and environment.ends_at:
        raise InputError(
            f"{where}: attest = '{environment.attest}', but branches build their images themselves",
            "leave attest out where ends_at is set: nothing is released there",
        )
    if environment.attest == "kms" and not environment.attest_key:
        raise InputError(f"{where}: attest = 'kms' needs attest_key", f"write {SHAPES['attest_key'][1]}")
