"""Who may do what in an environment: least privilege, as a table for set-up, doctor and docs."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from delivery.settings import WORKFLOW_ROLES, Environment
from flows import config, serving_config
from flows.errors import InputError

# The workflow files that have an account, by their stems.
TRAIN, TICK, RELEASE, DEPLOY = WORKFLOWS = ("train", "tick", "release-pr", "deploy")
GITHUB = "token.actions.githubusercontent.com"  # who signs the identity tokens of workflows
GITHUB_AUDIENCE = "sts.amazonaws.com"

READS = "roles/secretmanager.secretAccessor"

WRITES = "roles/storage.objectUser"
LOOKS = "roles/artifactregistry.reader"
SIGNS = "roles/cloudkms.signer"

Kind = Literal["project", "bucket", "secret", "account", "key"]
S3User = Literal["s3_reader", "s3_writer", "s3_deploy"]


class Grant(NamedTuple):
    """A role for a service account, on the project or on one bucket, secret, account or key alone.

    `account` may also be a set of workload identities, "principalSet://…". `only` limits the role to
    the resource of that name, or, where it ends with "/", to all below it.
    """

    account: str
    role: str
    kind: Kind
    name: str
    only: str = ""

    @property
    def member(self) -> str:
        """Whom it is for, as bindings say it."""
        return self.account if "://" in self.account else f"serviceAccount:{self.account}"

    @property
    def condition(self) -> dict[str, str] | None:
        """The binding's condition."""
        if not self.only:
            return None
        below = f"resource.name.startsWith('{self.only}')"
        return {
            "title": "own-part",
            "expression": below if self.only.endswith("/") else f"resource.name == '{self.only}'",
        }


class Repository(NamedTuple):
    """A repository on GitHub: its name can go to somebody else, its numbers cannot."""

    name: str
    number: int
    owner: int


class Role(NamedTuple):
    """A role on AWS by its ARN: whom it trusts, and what it may do."""

    arn: str
    trust: dict[str, Any]
    policy: dict[str, Any]

    @property
    def path(self) -> str:
        """The folder in its account: "/" or "/…/"."""
        return self.arn.partition(":role")[2].rpartition("/")[0] + "/"

    @property
    def name(self) -> str:
        """Its name, without account and path."""
        return self.arn.rpartition("/")[2]


def is_experiment(environment: Environment) -> bool:
    """Whether an environment is for branches: one account is all that runs there."""
    return environment.ends_at is not None


def account(environment: Environment, workflow: str) -> str:
    """The service account of a workflow; for branches it is the one that their pipelines run as."""
    if is_experiment(environment):
        return environment.pipeline_account
    return f"workflow-{workflow}@{environment.project}.iam.gserviceaccount.com"


def accounts(environment: Environment) -> list[str]:
    """Every service account that the grants name."""
    found = {grant.account for grant in google(environment)}
    return sorted(found | {grant.name for grant in google(environment) if grant.kind == "account"})


def google(environment: Environment) -> list[Grant]:
    """The grants on Google Cloud."""
    table = _experiment(environment) if is_experiment(environment) else _released(environment)
    return [grant for grant in table if grant.name]


def _released(environment: Environment) -> list[Grant]:
    project, pipeline = environment.project, environment.pipeline_account
    secrets = environment.secrets
    tick, release, deploy = (account(environment, one) for one in (TICK, RELEASE, DEPLOY))
    registry = registry_name(environment)
    images = registry.split("/")[1] if environment.attest != "off" else ""
    _, serving = environment.google_buckets
    return [
        # A pipeline job's steps: what Google wants of an account that a pipeline runs as, its data, its
        # artifacts, the keys of the model store, one App.
        *_steps(pipeline, environment),
        Grant(pipeline, READS, "secret", secrets.github_notify),
        Grant(pipeline, READS, "secret", secrets.s3_writer or ""),
        # train.yml: builds the image, submits the job, lets it run as the pipeline's account.
        *_submits(account(environment, TRAIN), environment),
        # And nobody else says who built an image.
        Grant(account(environment, TRAIN), SIGNS, "key", signing_key(environment)),
        # tick.yml: submits what is due, and reports what ended with its last log lines.
        *_submits(tick, environment),
        Grant(tick, "roles/logging.viewer", "project", project),
        # It proposes the next share where the evidence is good, as the release App, if a flow wants it.
        Grant(tick, "roles/monitoring.viewer", "project", project),
        Grant(tick, READS, "secret", secrets.github_release if _promotes(environment) else ""),
        # It ends stand-bys, one roll-out at a time; without a list, a lock that is not there is 403.
        Grant(tick, "roles/storage.legacyBucketReader", "bucket", serving),
        Grant(tick, WRITES, "bucket", serving, f"projects/_/buckets/{serving}/objects/locks/"),
        # release-pr.yml: looks at the job and who built its image, reads the model, writes to GitHub as
        # the release App.
        Grant(release, "roles/aiplatform.viewer", "project", project),
        Grant(release, READS, "secret", secrets.s3_reader or ""),
        Grant(release, READS, "secret", secrets.github_release),
        Grant(release, LOOKS, "project", images, registry),
        # deploy.yml: makes endpoints serve what releases/ names, from files in the serving bucket, by
        # images whose builder it looks up, and says what a server wrote that does not start.
        Grant(deploy, "roles/aiplatform.user", "project", project),
        Grant(deploy, "roles/logging.viewer", "project", project),
        Grant(deploy, WRITES, "bucket", serving),
        Grant(deploy, LOOKS, "project", images, registry),
        Grant(deploy, READS, "secret", secrets.s3_deploy or ""),
    ]


def _promotes(environment: Environment) -> bool:
    """Whether any flow's next share is proposed there without a person."""
    return any(serving_config.load(one, environment.name).promote == "auto" for one in config.names())


def _experiment(environment: Environment) -> list[Grant]:
    """A branch's account submits and is what the steps run as.

    Its own prefix bounds the objects that it writes, and nothing else: roles/aiplatform.user is of the
    whole project. There it may cancel any job, start one under any name and with any labels, write what
    others' steps find in their cache, and by a job without an account run code as Vertex AI's own agent.
    So nothing is released in its project, or it is no boundary: `doctor` says where that does not hold.
    """
    own, bucket = environment.pipeline_account, environment.google_bucket
    prefix = environment.pipeline_root.removeprefix(f"gs://{bucket}").strip("/")
    if not prefix:
        raise InputError(
            f"settings.toml: the pipeline_root of environment '{environment.name}' is a whole bucket",
            "name a folder in it: experiments write below it and nowhere else",
        )
    place = f"projects/_/buckets/{bucket}/objects/{prefix}/"
    return [*_steps(own, environment, place), *_submits(own, environment)]


def _steps(who: str, environment: Environment, only: str = "") -> list[Grant]:
    """What a pipeline's steps need until `evaluate`, which reads the champion."""
    project, bucket = environment.project, environment.google_bucket
    return [
        Grant(who, "roles/aiplatform.user", "project", project),
        Grant(who, "roles/logging.logWriter", "project", project),
        Grant(who, "roles/bigquery.jobUser", "project", project),
        Grant(who, "roles/bigquery.dataViewer", "project", project),
        Grant(who, WRITES, "bucket", bucket, only),
        Grant(who, "roles/storage.legacyBucketReader", "bucket", bucket),
        Grant(who, READS, "secret", environment.secrets.s3_reader or ""),
    ]


def _submits(who: str, environment: Environment) -> list[Grant]:
    """What building an image and submitting a job need."""
    project, bucket = environment.project, environment.google_bucket
    registry = registry_name(environment)
    return [
        Grant(who, "roles/aiplatform.user", "project", project),
        Grant(who, "roles/iam.serviceAccountUser", "account", environment.pipeline_account),
        Grant(who, "roles/bigquery.metadataViewer", "project", project),
        Grant(who, "roles/storage.legacyBucketReader", "bucket", bucket),
        Grant(who, "roles/artifactregistry.writer", "project", registry.split("/")[1], registry),
    ]


def signing_key(environment: Environment) -> str:
    """The key that signs what train.yml builds, without its version; empty where none does."""
    is_used = environment.attest == "kms"
    return str(environment.attest_key).partition("/cryptoKeyVersions/")[0] if is_used else ""


def registry_name(environment: Environment) -> str:
    """The repository of images as a resource: who may push there, may not push elsewhere."""
    host, project, repository = environment.artifact_registry.split("/")[:3]
    region = host.removesuffix("-docker.pkg.dev")
    return f"projects/{project}/locations/{region}/repositories/{repository}"


def s3_policy(environment: Environment, who: S3User = "s3_reader") -> dict[str, Any]:
    """The AWS policy of those whose key the secret `who` holds: nobody deletes or lists.

    Models that may be promoted from elsewhere are read there; deploy also writes channels.
    """
    reads, bucket = ["s3:GetObject"], f"arn:aws:s3:::{environment.bucket}"
    actions = {"s3_writer": [*reads, "s3:PutObject", "s3:AbortMultipartUpload"]}.get(who, reads)
    allowed = [(actions, f"{bucket}/models/*")]
    origins = {store.removeprefix("s3://") for store in environment.origins.values()}
    others = sorted(origins - {environment.bucket})
    allowed += [(reads, f"arn:aws:s3:::{one}/models/*") for one in others]
    if who == "s3_deploy":
        allowed.append(([*reads, "s3:PutObject"], f"{bucket}/channels/{environment.name}/*"))
    statements = [{"Effect": "Allow", "Action": some, "Resource": where} for some, where in allowed]
    return {"Version": "2012-10-17", "Statement": statements}


def aws(environment: Environment, trusted: Repository, numeric_id: str) -> list[Role]:
    """The roles on AWS, where they are the way in; `numeric_id` is the pipeline's account's."""
    if environment.s3_auth != "web-identity":
        return []
    reads, writes = s3_policy(environment), s3_policy(environment, "s3_writer")
    if is_experiment(environment):
        return [Role(str(environment.s3_role), google_trust(environment, numeric_id), reads)]
    release_role, deploy_role = (str(getattr(environment, key)) for key in WORKFLOW_ROLES)
    return [
        # A pipeline job's steps: read the champion, write the candidate.
        Role(str(environment.s3_role), google_trust(environment, numeric_id), writes),
        # release-pr.yml: reads the candidate and the champion.
        Role(release_role, github_trust(release_role, trusted, RELEASE), reads),
        # deploy.yml: reads what is released, writes the channels.
        Role(
            deploy_role,
            github_trust(deploy_role, trusted, DEPLOY),
            s3_policy(environment, "s3_deploy"),
        ),
    ]


def google_trust(environment: Environment, numeric_id: str) -> dict[str, Any]:
    """The trust policy of `s3_role`: Google's tokens of one account, by its numeric id.

    `accounts.google.com:aud` is compared with who asked for the token, `oaud` with its audience.
    """
    wanted = {"aud": numeric_id, "oaud": str(environment.s3_audience), "sub": numeric_id}
    return _trust("accounts.google.com", "accounts.google.com", wanted)


def workflow_ref(trusted: Repository, workflow: str) -> str:
    """What GitHub's tokens call a workflow's file on the repository's main."""
    return f"{trusted.name}/.github/workflows/{workflow}.yml@refs/heads/main"


def github_trust(role: str, trusted: Repository, workflow: str) -> dict[str, Any]:
    """The trust policy of a workflow's role: GitHub's tokens of its own file on the repository's main.

    Those of a repository that was made or renamed since 2026-07-15 say its numbers, too. GitHub must be
    an identity provider of the role's account: there, its ARN is what is trusted.
    """
    owner, _, name = trusted.name.partition("/")
    names = (trusted.name, f"{owner}@{trusted.owner}/{name}@{trusted.number}")
    subjects = [f"repo:{one}:ref:refs/heads/main" for one in names]
    wanted: dict[str, str | list[str]] = {"aud": GITHUB_AUDIENCE, "sub": subjects}
    wanted["job_workflow_ref"] = workflow_ref(trusted, workflow)
    return _trust(f"{role.partition(':role/')[0]}:oidc-provider/{GITHUB}", GITHUB, wanted)


def _trust(federated: str, issuer: str, wanted: Mapping[str, str | list[str]]) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": federated},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{issuer}:{key}": value for key, value in wanted.items()}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}
