"""What `doctor` looks at: each check yields what it found, what was expected, and how to mend it."""

import filecmp
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from delivery import (
    components,
    federation,
    grants,
    image,
    lock,
    provenance,
    release_checks,
    schedule,
    serving_checks,
    settings,
    supply_checks,
    window,
)
from delivery.compile import GOLDEN
from delivery.finding import Check, Finding
from delivery.git import head
from delivery.jobs import Jobs
from delivery.pipeline import PLACEHOLDER, compile_pipeline
from delivery.provenance import UnvouchedError
from delivery.registry import Registry
from delivery.settings import ROOT, Environment
from flows import config
from flows.errors import InputError
from flows.s3 import s3_client


def flows(_: Environment) -> Iterator[Finding]:
    """Every flow.toml and module, and whether its schedule is one."""
    for name in config.names():
        flow = components.load(name)
        list(islice(schedule.before(flow, datetime.now(UTC)), 1))
        when = f" · {flow.schedule} {flow.timezone}" if flow.schedule else ""
        yield Finding("flow", "ok", f"{name} · {flow.train.algorithm} · {flow.data.table}{when}")


def golden(_: Environment) -> Iterator[Finding]:
    """The compiled pipelines that are reviewed."""
    with tempfile.TemporaryDirectory() as folder:
        for name in config.names():
            path, reviewed = Path(folder) / f"{name}.yaml", GOLDEN / f"{name}.yaml"
            compile_pipeline(config.load(name), PLACEHOLDER, path)
            if reviewed.exists() and filecmp.cmp(path, reviewed, shallow=False):
                yield Finding("pipeline", "ok", f"{name} compiles as reviewed")
                continue
            wrong = "is not what today's code compiles" if reviewed.exists() else "is missing"
            mend = "./scripts/compile --golden, then read the difference and commit it"
            shown = reviewed.relative_to(ROOT)
            yield Finding("pipeline", "failed", f"{shown} {wrong}", "the compiled pipeline", mend)


def apart(environment: Environment) -> Iterator[Finding]:
    """Branches run where nothing is released: Vertex AI's roles end at a project, and nowhere below."""
    if not grants.is_experiment(environment):
        return
    others = [one for one in settings.load().environments.values() if not grants.is_experiment(one)]
    shared = [one.name for one in others if one.project == environment.project]
    for name in shared:
        what = f"any branch may start and cancel jobs of '{name}': both are in {environment.project}"
        mend = (
            "name another project in settings.toml, with the tables, the secrets and a pool of its own"
        )
        yield Finding("project", "failed", what, "a project where nothing is released", mend)
    if not shared:
        yield Finding("project", "ok", f"{environment.project} · nothing is released there")


def tables(environment: Environment) -> Iterator[Finding]:
    """The flows' source tables."""
    for name in config.names():
        data = config.load(name).data
        changed = window.window(data, environment.project).snapshot
        yield Finding("table", "ok", f"{data.table} · last change {window.moment(changed)}")


def secrets(environment: Environment) -> Iterator[Finding]:
    """Every secret that settings.toml names has an enabled newest version. No value is read."""
    from google.api_core.exceptions import NotFound
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient, SecretVersion

    manager = SecretManagerServiceClient()
    for name in filter(None, msgspec.to_builtins(environment.secrets).values()):
        path = f"projects/{environment.project}/secrets/{name}/versions/latest"
        expected, where = "an enabled newest version", f"{name} --project {environment.project}"
        try:
            version = manager.get_secret_version(name=path, timeout=30)
        except NotFound:
            what = f"{name}: there is no such secret, or it has no version"
            mend = f"gcloud secrets create {where}; gcloud secrets versions add {where} --data-file -"
            yield Finding("secret", "failed", what, expected, mend)
            continue
        number, state = version.name.rpartition("/")[2], version.state
        if state == SecretVersion.State.ENABLED:
            yield Finding("secret", "ok", f"{name}, version {number}")
            continue
        what, mend = f"{name}: version {number} is {state.name}", f"gcloud secrets versions add {where}"
        yield Finding("secret", "failed", what, expected, f"{mend} --data-file -, or enable that one")


def google_buckets(environment: Environment) -> Iterator[Finding]:
    """The pipeline root's bucket and the serving bucket, in the environment's region."""
    from google.cloud import storage

    client = storage.Client(project=environment.project)
    for name in environment.google_buckets:
        bucket = client.lookup_bucket(name, timeout=30)
        if bucket is None:
            mend = f"gcloud storage buckets create gs://{name} --location {environment.region}"
            yield Finding("bucket", "failed", f"gs://{name}: there is none", "a bucket", mend)
        elif bucket.location.lower() != environment.region:
            what = f"gs://{name} is in {bucket.location.lower()}"
            mend = "name a bucket there in settings.toml: reading across regions costs time and money"
            yield Finding("bucket", "note", what, environment.region, mend)
        else:
            yield Finding("bucket", "ok", f"gs://{name} · {bucket.location.lower()}")


def model_store(environment: Environment) -> Iterator[Finding]:
    """The model store's bucket, with whatever AWS credentials the caller has."""
    from botocore.exceptions import ClientError, NoCredentialsError

    name, place = environment.bucket, environment.aws_region
    try:
        s3_client(place, None).head_bucket(Bucket=name)
    except NoCredentialsError:
        yield Finding(
            "bucket", "note", f"s3://{name}: not looked at", "AWS credentials", "aws sso login"
        )
    except ClientError as error:
        yield _unseen_store(environment, error)
    else:
        yield Finding("bucket", "ok", f"s3://{name} · {place}")


def _unseen_store(environment: Environment, error: Any) -> Finding:
    """What S3's refusal says of the model store: a HEAD has a status and no body."""
    name, place = environment.bucket, environment.aws_region
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 403:  # it is there, and not for this caller
        return Finding("bucket", "ok", f"s3://{name} · {place}")
    words = {301: "it is elsewhere", 404: "there is none"}.get(status)
    mend = f"aws s3 mb s3://{name} --region {place}, or mend model_store in settings.toml"
    expected = f"a bucket in {place}"
    return Finding("bucket", "failed", f"s3://{name}: {words or error}", expected, mend if words else "")


def jobs(environment: Environment) -> Iterator[Finding]:
    """Vertex AI answers this caller."""
    service = Jobs(environment)
    service.find(f"{service.parent}/pipelineJobs/doctor")
    yield Finding("vertex ai", "ok", service.parent)


def identities(environment: Environment) -> Iterator[Finding]:
    """Workflows become Google's accounts: the provider is as it has to be, and so are its users."""
    if environment.workload_identity_provider is None:
        what = "workflows have no Google identity here"
        mend = "name a workload_identity_provider in settings.toml"
        yield Finding("identity", "note", what, "Workload Identity Federation", mend)
        return
    trusted = federation.repository(settings.load().repository)
    lacking = list(federation.lacking(environment, trusted))
    for what, mend in lacking:
        yield Finding("identity", "failed", what, f"workflows of {trusted.name} get in", mend)
    if not lacking:
        yield Finding("identity", "ok", f"workflows of {trusted.name} get in, as their own accounts")


def images(environment: Environment) -> Iterator[Finding]:
    """This commit's images: submit wants them, and CI makes them."""
    try:
        commit = head(ROOT)
    except InputError as error:
        yield Finding("image", "note", error.what, "a commit, whose image submit takes", error.mend)
        return
    for group in sorted({lock.BASE, *(config.load(name).image for name in config.names())}):
        registry = Registry(f"{environment.artifact_registry}/{group}")
        try:
            digest = image.resolve(registry, commit)
            provenance.check(environment, registry, digest)
        except UnvouchedError as error:
            yield Finding("image", "failed", error.what, "what train.yml has built", error.mend)
        except InputError:
            what, mend = (
                f"{group}: none of commit {commit[:7]}",
                "push the commit, or ./scripts/build --push",
            )
            yield Finding("image", "note", what, "an image before submit", mend)
        else:
            yield _whole(environment, f"{group}@{digest[:19]}…")


def _whole(environment: Environment, name: str) -> Finding:
    if environment.builder != "files":
        return Finding("image", "ok", name)
    what, mend = f"{name}: the flows alone, without base and packages", 'builder = "docker"'
    return Finding(
        "image", "note", what, "on Vertex AI: a whole image", f"there: {mend} in settings.toml"
    )


def fits(_: Environment) -> Iterator[Finding]:
    """The five components' YAML files."""
    components.check()
    yield Finding("components", "ok", ", ".join(components.STEPS))


def caller(_: Environment) -> Iterator[Finding]:
    """Who asks Google Cloud."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        credentials, _project = google.auth.default()
    except DefaultCredentialsError:
        mend = "gcloud auth application-default login"
        yield Finding("caller", "failed", "no Google Cloud credentials here", "some", mend)
        return
    who = getattr(credentials, "service_account_email", "") or type(credentials).__name__
    yield Finding("caller", "ok", who)


HERE: dict[str, Check] = {
    "flow": flows,
    "components": fits,
    "pipeline": golden,
    "project": apart,
    "release": release_checks.released,
    "bucket": model_store,
    "caller": caller,
}
GOOGLE: dict[str, Check] = {  # for naught where nobody asks
    "secret": secrets,
    "bucket": google_buckets,
    "table": tables,
    "vertex ai": jobs,
    "identity": identities,
    "attest": supply_checks.attested,
    "image": images,
    "endpoint": serving_checks.endpoints,
    "deploy": serving_checks.rights,
}


def findings(environment: Environment) -> Iterator[Finding]:
    """All checks, in order; Google Cloud is asked only by a caller that it can know."""
    yield Finding("settings", "ok", f"{environment.name} · project {environment.project}")
    is_known = False
    for name, check in HERE.items():
        for finding in guarded(name, check, environment):
            yield finding
            is_known |= finding.check == "caller" and finding.state == "ok"
    if is_known:
        for name, check in GOOGLE.items():
            yield from guarded(name, check, environment)


def guarded(name: str, check: Check, environment: Environment) -> Iterator[Finding]:
    """The check's findings; what it could not foresee is one, too, and ends it."""
    try:
        yield from check(environment)
    except InputError as error:
        yield Finding(name, "failed", error.what, mend=error.mend)
    except Exception as error:
        yield Finding(name, "failed", _words(error), mend=getattr(error, "mend", ""))


def _words(error: Any) -> str:
    words = getattr(error, "what", "") or str(getattr(error, "message", "")) or str(error)
    return f"{type(error).__name__}: {words}".splitlines()[0]
