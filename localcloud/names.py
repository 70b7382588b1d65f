"""What its vendor calls an API method: one name for the request log and for faults."""

import re

from localcloud import aws_names
from localcloud.github.operations import OPERATIONS
from localcloud.http import Request, Route, Router
from localcloud.rpc import RestService

# By the first word of the host, or what stands for it: method, path, name.
SERVICES = {
    "github": OPERATIONS,
    "git": """
GET /{owner}/{repo}/info/refs info-refs
POST /{owner}/{repo}/git-upload-pack upload-pack
POST /{owner}/{repo}/git-receive-pack receive-pack
""",
    "metadata": """
GET / ping
GET /computeMetadata/v1/project/project-id project-id
GET /computeMetadata/v1/project/numeric-project-id numeric-project-id
GET /computeMetadata/v1/universe/universe-domain universe-domain
GET /computeMetadata/v1/universe/universe_domain universe-domain
GET /computeMetadata/v1/instance/service-accounts/{account}/token token
GET /computeMetadata/v1/instance/service-accounts/{account}/identity identity
GET /computeMetadata/v1/instance/service-accounts/{account}/email email
GET /computeMetadata/v1/instance/service-accounts/{account}/ account
""",
    "oauth2": "POST /token token",
    "iamcredentials": """
GET /v1/projects/{project}/serviceAccounts/{account}/allowedLocations GetAllowedLocations
""",
    # The OCI distribution specification has no names; these are its words.
    "registry": """
GET /v2/ ping
GET /v2/{name}/tags/list tags.list
HEAD /v2/{name}/manifests/{reference} manifests.head
GET /v2/{name}/manifests/{reference} manifests.get
PUT /v2/{name}/manifests/{reference} manifests.put
HEAD /v2/{name}/blobs/{digest} blobs.head
GET /v2/{name}/blobs/{digest} blobs.get
POST /v2/{name}/blobs/uploads/ uploads.start
PATCH /v2/{name}/blobs/uploads/{upload} uploads.append
PUT /v2/{name}/blobs/uploads/{upload} uploads.finish
""",
    "storage": """
GET /storage/v1/projects/{project}/serviceAccount projects.serviceAccount.get
POST /batch/storage/v1 batch
POST /storage/v1/b buckets.insert
GET /storage/v1/b buckets.list
GET /storage/v1/b/{bucket} buckets.get
PATCH /storage/v1/b/{bucket} buckets.patch
PUT /storage/v1/b/{bucket} buckets.update
DELETE /storage/v1/b/{bucket} buckets.delete
GET /storage/v1/b/{bucket}/iam buckets.getIamPolicy
PUT /storage/v1/b/{bucket}/iam buckets.setIamPolicy
GET /storage/v1/b/{bucket}/iam/testPermissions buckets.testIamPermissions
GET /storage/v1/b/{bucket}/o objects.list
POST /storage/v1/b/{bucket}/o/{name}/compose objects.compose
POST /storage/v1/b/{bucket}/o/{name}/copyTo/b/{to}/o/{target} objects.copy
POST /storage/v1/b/{bucket}/o/{name}/rewriteTo/b/{to}/o/{target} objects.rewrite
GET /storage/v1/b/{bucket}/o/{name} objects.get
GET /download/storage/v1/b/{bucket}/o/{name} objects.get
PATCH /storage/v1/b/{bucket}/o/{name} objects.patch
PUT /storage/v1/b/{bucket}/o/{name} objects.update
DELETE /storage/v1/b/{bucket}/o/{name} objects.delete
POST /upload/storage/v1/b/{bucket}/o objects.insert
PUT /upload/storage/v1/b/{bucket}/o objects.insert
DELETE /upload/storage/v1/b/{bucket}/o objects.insert
""",
    "bigquery": """
POST /bigquery/v2/projects/{project}/datasets datasets.insert
GET /bigquery/v2/projects/{project}/datasets datasets.list
GET /bigquery/v2/projects/{project}/datasets/{dataset} datasets.get
PATCH /bigquery/v2/projects/{project}/datasets/{dataset} datasets.patch
DELETE /bigquery/v2/projects/{project}/datasets/{dataset} datasets.delete
POST /bigquery/v2/projects/{project}/datasets/{dataset}/tables tables.insert
GET /bigquery/v2/projects/{project}/datasets/{dataset}/tables tables.list
GET /bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table} tables.get
PATCH /bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table} tables.patch
DELETE /bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table} tables.delete
GET /bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}/data tabledata.list
POST /bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}/insertAll tabledata.insertAll
POST /bigquery/v2/projects/{project}/jobs jobs.insert
GET /bigquery/v2/projects/{project}/jobs jobs.list
GET /bigquery/v2/projects/{project}/jobs/{job} jobs.get
POST /bigquery/v2/projects/{project}/jobs/{job}/cancel jobs.cancel
DELETE /bigquery/v2/projects/{project}/jobs/{job}/delete jobs.delete
POST /bigquery/v2/projects/{project}/queries jobs.query
GET /bigquery/v2/projects/{project}/queries/{job} jobs.getQueryResults
POST /upload/bigquery/v2/projects/{project}/jobs jobs.insert
PUT /upload/bigquery/v2/projects/{project}/jobs jobs.insert
""",
}
STANDS_FOR = {
    "api.github.com": "github",
    "github.com": "git",
    "www.googleapis.com": "storage",
    "169.254.169.254": "metadata",
}
PARAMETER = re.compile(r"\{[^}]*\}")


def service(host: str) -> str:
    """The service's short name: "storage", "aiplatform", "s3", "github", …"""
    if host in STANDS_FOR:
        return STANDS_FOR[host]
    first = host.partition(".")[0]
    if host.endswith("-docker.pkg.dev"):
        return "registry"
    # A region stands before some names: europe-west1-aiplatform.
    return first.rpartition("-")[2] if host.endswith(".googleapis.com") else first


class Names:
    """The name of every call that a router serves."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def http(self, request: Request) -> str:
        """The name of a call over HTTP, for example "storage.objects.insert".

        A call without a name is called by its method and path: "storage.POST /a/{b}".
        """
        if request.host.endswith(".amazonaws.com"):
            return aws_names.name(request)
        found, route = self._router.find(request)
        if isinstance(found, RestService) and (method := found.method(request)):
            return f"{service(request.host)}.{method}"
        return _named(service(request.host), route) if route else f"{service(request.host)}.unknown"

    @staticmethod
    def grpc(host: str, path: str) -> str:
        """The name of a call over gRPC, for example "secretmanager.AccessSecretVersion"."""
        return f"{service(host)}.{path.rpartition('/')[2]}"

    def known(self) -> list[str]:
        """Every name that a call may have, sorted."""
        found = {f"{one}.{name}" for one, table in _TABLES.items() for name in table.values()}
        for served in self._router.services:
            if isinstance(served, RestService):
                host = re.sub(r"\\|\(.*?\)\?", "", served.hosts[0])
                found |= {f"{service(host)}.{name}" for name in served.methods()}
        return sorted(found | aws_names.names())


def _shape(path: str) -> str:
    return PARAMETER.sub("{}", path)


def _table(text: str) -> dict[tuple[str, str], str]:
    rows = (line.split(" ") for line in text.strip().splitlines())
    return {(method, _shape(path)): name for method, path, name in rows}


_TABLES = {name: _table(text) for name, text in SERVICES.items()}


def _named(service: str, route: Route) -> str:
    known = _TABLES.get(service, {}).get((route.method, _shape(route.path)))
    return f"{service}.{known or f'{route.method} {route.path}'}"
