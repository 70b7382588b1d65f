"""The list of everything that is served: for people, and to compare it with the vendors' own."""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from localcloud import aws_names, iam_state
from localcloud.bigquery import BigQuery
from localcloud.cloud_logging import CloudLogging
from localcloud.described import description
from localcloud.endpoints import Endpoints
from localcloud.github.routes import paths
from localcloud.iam_api import IamApi
from localcloud.iam_credentials import IamCredentials
from localcloud.kms import Kms
from localcloud.models import Models
from localcloud.monitoring import Monitoring
from localcloud.names import TABLES
from localcloud.operations import Locations, Operations
from localcloud.pipelines import Pipelines
from localcloud.predictions import Predictions
from localcloud.resourcemanager import ResourceManager
from localcloud.rpc_methods import Method, methods
from localcloud.secretmanager import SecretManager
from localcloud.security_tokens import SecurityTokens
from localcloud.storage import Storage

RPC = (SecretManager, Kms, ResourceManager, Pipelines, Models, Endpoints, Predictions)
DESCRIBED = {
    "storage": Storage,
    "bigquery": BigQuery,
    "iam": IamApi,
    "iamcredentials": IamCredentials,
    "sts": SecurityTokens,
    "logging": CloudLogging,
    "monitoring": Monitoring,
}
OTHERS = {
    "oauth2": "OAuth",
    "metadata": "Metadata",
    "registry": "Registry",
    "actions": "JobIdentity",
    "fulcio": "Fulcio",
    "timestamp": "Timestamps",
    "rekor": "Rekor",
}
# What the vendors describe in words only: protocols beside the methods, and older addresses.
ELSEWHERE = {
    "POST /batch/storage/v1": "batch of calls",
    "PUT /upload/storage/v1/b/{bucket}/o": "resumable upload: send, ask",
    "DELETE /upload/storage/v1/b/{bucket}/o": "resumable upload: cancel",
    "GET /{bucket}/{name*}": "XML API: GET Object",
    "GET /{bucket}": "XML API: GET Bucket (list objects)",
    "HEAD /{bucket}/{name*}": "XML API: HEAD Object",
    "POST /{bucket}/{name*}": "XML API: begin and complete a multipart or resumable upload",
    "PUT /{bucket}/{name*}": "XML API: PUT Object, upload a part",
    "DELETE /{bucket}/{name*}": "XML API: DELETE Object, abort a multipart upload",
    "PUT /upload/bigquery/v2/projects/{project}/jobs": "resumable upload: send, ask",
    "GET /repos/{owner}/{repo}/statuses/{ref*}": "repos/list-commit-statuses-for-ref",
    "GET /repos/{owner}/{repo}/contents": "repos/get-content",
    "GET /repos/{owner}/{repo}/contents/": "repos/get-content",
}


class Served(NamedTuple):
    """One call: whose it is, its name at the vendor, and how it is reached."""

    service: str
    method: str
    transport: str
    address: str


class Nobody:
    """Stands for a service or its parts where only its table is wanted."""

    def __getattr__(self, _: str) -> "Nobody":
        return self


def rpc_methods(service: Any) -> list[Method]:
    """The methods of one of RPC that are served."""
    handlers = {
        *service.handlers(cast(Any, Nobody())),
        *Operations.handlers(cast(Any, Nobody())),
        *Locations.handlers(cast(Any, Nobody())),
    }
    return [one for one in methods(service.client) if one.name in handlers]


def rest_routes(service: Any) -> list[tuple[str, str]]:
    """Verb and path of each call of one of DESCRIBED."""
    return [(verb, path) for verb, path, *_ in service.table(cast(Any, Nobody()))]


def served() -> Iterator[Served]:
    """Every call; of AWS's IAM also all that begins with Get or List."""
    for service in RPC:
        for method in rpc_methods(service):
            name = method.path.strip("/").replace("/", ".")
            transport = "gRPC, REST" if method.rules else "gRPC"
            yield Served(service.__name__, name, transport, method.path)
    for name, kind in DESCRIBED.items():
        for verb, path in rest_routes(kind):
            found = description(name).find(verb, path)
            yield _rest(kind.__name__, found.name if found else "", f"{verb} {path}")
    for verb, path in paths():
        found = description("github").find(verb, path)
        yield _rest("GitHub", found.name if found else "", f"{verb} {path}")
    for key, label in OTHERS.items():
        for (verb, path), name in TABLES[key].items():
            yield Served(label, name, "REST", f"{verb} {path}")
    for part, calls in (("S3", aws_names.S3), ("STS", aws_names.STS), ("IAM", iam_state.KEPT)):
        for name in sorted(calls):
            yield Served(part, name, "REST", "")


def _rest(service: str, name: str, address: str) -> Served:
    return Served(service, name or ELSEWHERE.get(address, "-"), "REST", address)
