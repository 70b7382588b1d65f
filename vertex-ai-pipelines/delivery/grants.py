"""Who may do what in an environment: least privilege, as a table for set-up, doctor and docs."""

from typing import Any, Literal, NamedTuple

from delivery.settings import Environment

SUBMITTER, RELEASE = "train", "release-pr"  # the workflows that have an account
GITHUB = "token.actions.githubusercontent.com"  # who signs the identity tokens of workflows
GITHUB_AUDIENCE = "sts.amazonaws.com"

Kind = Literal["project", "bucket", "secret", "account"]


class Grant(NamedTuple):
    """A role for a service account, on the project or on one bucket, secret or account alone."""

    account: str
    role: str
    kind: Kind
    name: str


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


def account(environment: Environment, workflow: str) -> str:
    """The service account of a workflow."""
    return f"workflow-{workflow}@{environment.project}.iam.gserviceaccount.com"


def accounts(environment: Environment) -> list[str]:
    """Every service account that the grants name."""
    found = {grant.account for grant in google(environment)}
    return sorted(found | {grant.name for grant in google(environment) if grant.kind == "account"})


def google(environment: Environment) -> list[Grant]:
    """The grants on Google Cloud."""
    project, secrets = environment.project, environment.secrets
    bucket, pipeline = environment.google_bucket, environment.pipeline_account
    submitter, release = account(environment, SUBMITTER), account(environment, RELEASE)
    reads = "roles/secretmanager.secretAccessor"
    table = [
        # A pipeline job's steps: what Google wants of an account that a pipeline runs as, its data, its
        # artifacts, the keys of the model store, one App.
        Grant(pipeline, "roles/aiplatform.user", "project", project),
        Grant(pipeline, "roles/logging.logWriter", "project", project),
        Grant(pipeline, "roles/bigquery.jobUser", "project", project),
        Grant(pipeline, "roles/bigquery.dataViewer", "project", project),
        Grant(pipeline, "roles/storage.objectUser", "bucket", bucket),
        Grant(pipeline, "roles/storage.legacyBucketReader", "bucket", bucket),
        Grant(pipeline, reads, "secret", secrets.github_notify),
        Grant(pipeline, reads, "secret", secrets.s3_reader or ""),
        Grant(pipeline, reads, "secret", secrets.s3_writer or ""),
        # train.yml: builds the image, submits the job, lets it run as the pipeline's account.
        Grant(submitter, "roles/aiplatform.user", "project", project),
        Grant(submitter, "roles/iam.serviceAccountUser", "account", pipeline),
        Grant(submitter, "roles/bigquery.metadataViewer", "project", project),
        Grant(submitter, "roles/storage.legacyBucketReader", "bucket", bucket),
        Grant(submitter, "roles/artifactregistry.writer", "project", project),
        # release-pr.yml: looks at the job, reads the model, writes to GitHub as the release App.
        Grant(release, "roles/aiplatform.viewer", "project", project),
        Grant(release, reads, "secret", secrets.s3_reader or ""),
        Grant(release, reads, "secret", secrets.github_release),
    ]
    return [grant for grant in table if grant.name]


def s3_policy(environment: Environment, writes: bool) -> dict[str, Any]:
    """The AWS policy of a reader of the model store, or of a writer: nobody deletes or lists."""
    actions = ["s3:GetObject", *(["s3:PutObject", "s3:AbortMultipartUpload"] if writes else [])]
    resource = f"arn:aws:s3:::{environment.bucket}/models/*"
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def aws(environment: Environment, repository: str, numeric_id: str) -> list[Role]:
    """The roles on AWS, where they are the way in; `numeric_id` is the pipeline's account's."""
    if environment.s3_auth != "web-identity":
        return []
    reads, writes = s3_policy(environment, writes=False), s3_policy(environment, writes=True)
    release_role = str(environment.s3_release_role)
    return [
        # A pipeline job's steps: read the champion, write the candidate.
        Role(str(environment.s3_role), google_trust(environment, numeric_id), writes),
        # release-pr.yml: reads the candidate and the champion.
        Role(release_role, github_trust(release_role, repository), reads),
    ]


def google_trust(environment: Environment, numeric_id: str) -> dict[str, Any]:
    """The trust policy of `s3_role`: Google's tokens of one account, by its numeric id.

    `accounts.google.com:aud` is compared with who asked for the token, `oaud` with its audience.
    """
    wanted = {"aud": numeric_id, "oaud": str(environment.s3_audience), "sub": numeric_id}
    return _trust("accounts.google.com", "accounts.google.com", wanted)


def github_trust(role: str, repository: str) -> dict[str, Any]:
    """The trust policy of a workflows' role: GitHub's tokens of what runs on the repository's main.

    GitHub must be an identity provider of the role's account: there, its ARN is what is trusted.
    """
    wanted = {"aud": GITHUB_AUDIENCE, "sub": f"repo:{repository}:ref:refs/heads/main"}
    return _trust(f"{role.partition(':role/')[0]}:oidc-provider/{GITHUB}", GITHUB, wanted)


def _trust(federated: str, issuer: str, wanted: dict[str, str]) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": federated},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{issuer}:{key}": value for key, value in wanted.items()}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}
