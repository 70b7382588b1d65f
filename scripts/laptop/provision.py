"""What a new local cloud lacks: buckets, secrets and the flows' sample tables, by the public APIs."""

import fcntl
import hashlib
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from delivery import federation, grants, settings
from delivery.grants import Repository
from delivery.settings import ROOT, Environment
from flows import config
from laptop import grant
from laptop.world import CLOUD, client, local_environment

CALL = 60.0  # seconds that one call may take
MARK = CLOUD / "provisioned"
VERSION = 3  # of what is done here: a local cloud that an earlier one provisioned is done again
USERS: tuple[grants.S3User, ...] = ("s3_reader", "s3_writer", "s3_deploy")
APPS = {
    "github_notify": {"actions": "write"},
    "github_release": {"contents": "write", "pull_requests": "write"},
}


def enter() -> None:
    """Make this process a client of the running local cloud, which gets all that is named.

    One process at a time: an App's key that two made at once would be one too many.
    """
    environment = client().environment().alone().over(dict(os.environ))
    os.environ.clear()
    os.environ.update(environment)
    if done():
        return
    with (CLOUD / "provision.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done():
            provision()


def done() -> bool:
    """Whether this local cloud has all that today's settings and flows name."""
    return MARK.exists() and MARK.read_text() == _fingerprint()


def provision() -> None:
    """Make what is missing; again: nothing. Runs in the owner's environment."""
    trusted = federation.repository(settings.load().repository)
    for one in here():
        _buckets(one)
        _secrets(one)
        grant.signing_key(one)
        grant.google(one)
        if one.workload_identity_provider:
            grant.workflows(one, trusted)
        grant.aws_roles(one, trusted)
    _tables(local_environment())
    MARK.write_text(_fingerprint())


def here() -> list[Environment]:
    """The environments in the local cloud's one project."""
    project = local_environment().project
    return [one for one in settings.load().environments.values() if one.project == project]


def _fingerprint() -> str:
    tables = {name: _table(name) for name in config.names()}
    repository = settings.load().repository
    unasked = Repository(repository, 0, 0)  # its numbers are its name's, as long as this cloud lives
    rights = [
        (grants.google(one), [grants.s3_policy(one, who) for who in USERS], grants.aws(one, unasked, ""))
        for one in here()
    ]
    named = msgspec.json.encode([here(), repository, tables, rights, VERSION])
    return hashlib.sha256(named).hexdigest()


def _table(flow: str) -> str:
    """The flow's table; "" where it cannot be read, which is no matter of the other flows."""
    try:
        return config.load(flow).data.table
    except Exception:  # its config.py is the flow's own code
        return ""


def _buckets(environment: Environment) -> None:
    import boto3
    from google.cloud import storage

    google = storage.Client(project=environment.project)
    for name in environment.google_buckets:
        if google.lookup_bucket(name) is None:
            google.create_bucket(name, location=environment.region)
    s3 = boto3.client("s3", region_name=environment.aws_region)
    if environment.bucket not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        place = {"LocationConstraint": environment.aws_region}
        s3.create_bucket(Bucket=environment.bucket, CreateBucketConfiguration=place)


def _secrets(environment: Environment) -> None:
    from google.cloud import secretmanager

    manager = secretmanager.SecretManagerServiceClient()
    parent = f"projects/{environment.project}"
    known = {secret.name.rsplit("/", 1)[1] for secret in manager.list_secrets(parent=parent)}
    for key, name in msgspec.to_builtins(environment.secrets).items():
        if not name:
            continue
        if name not in known:
            automatic: dict[str, Any] = {"replication": {"automatic": {}}}
            manager.create_secret(parent=parent, secret_id=name, secret=automatic)
        make = _app_key if key in APPS else _aws_key
        payload = make(environment, key, _newest(manager, f"{parent}/secrets/{name}"))
        if payload:
            data = {"data": json.dumps(payload).encode()}
            manager.add_secret_version(parent=f"{parent}/secrets/{name}", payload=data)


def _newest(manager: Any, secret: str) -> bytes | None:
    """The payload of a secret's newest version; None where it has none, or it is disabled."""
    from google.api_core import exceptions

    try:
        found = manager.access_secret_version(name=f"{secret}/versions/latest")
    except exceptions.NotFound:
        return None
    except exceptions.FailedPrecondition:
        return b""  # somebody disabled it on purpose
    return bytes(found.payload.data)


def _app_key(environment: Environment, key: str, there: bytes | None) -> dict[str, Any] | None:
    """A GitHub App's key, where there is none."""
    name = getattr(environment.secrets, key)
    return client().ask("POST", f"/apps/{name}", APPS[key]) if there is None else None


def _aws_key(environment: Environment, key: Any, there: bytes | None) -> dict[str, Any] | None:
    """An AWS user with its policy, and a key of it, where the secret holds none that is good."""
    name = getattr(environment.secrets, key)
    iam = grant.aws_user(environment, name, key)
    mine = [one["AccessKeyId"] for one in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]]
    if there == b"" or (there and json.loads(there).get("aws_access_key_id") in mine):
        return None
    # Of runs that ended before they put their key away: a user may have no more than two.
    for unknown in mine:
        iam.delete_access_key(UserName=name, AccessKeyId=unknown)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
    }


def _tables(environment: Environment) -> None:
    from google.cloud import bigquery

    google = bigquery.Client(project=environment.project)
    for name in config.names():
        if not (ROOT / "vertex-ai-pipelines" / "flows" / name / "sample.py").exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            table, path = importlib.import_module(f"flows.{name}.sample").table(Path(folder))
            full = f"{environment.project}.{table}"
            google.create_dataset(full.rpartition(".")[0], exists_ok=True, timeout=CALL)
            if not _exists(google, full):
                _load(google, full, path)


def _exists(google: Any, table: str) -> bool:
    from google.api_core.exceptions import NotFound

    try:
        google.get_table(table, timeout=CALL)
    except NotFound:
        return False
    return True


def _load(google: Any, table: str, path: Path) -> None:
    from google.cloud.bigquery import LoadJobConfig, SourceFormat

    from flows import bigquery

    options = LoadJobConfig(source_format=SourceFormat.PARQUET, write_disposition="WRITE_TRUNCATE")
    print(f"sample data   {table} · once", file=sys.stderr)
    with path.open("rb") as file:
        bigquery.wait(google.load_table_from_file(file, table, job_config=options, timeout=CALL))
