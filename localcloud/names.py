"""What its vendor calls an API method: one name for the request log and for faults."""

import re

from localcloud import aws_names
from localcloud.described import description
from localcloud.http import Request, Route, Router
from localcloud.rpc import RestService

# By the first word of the host, or what stands for it: method, path, name.
SERVICES = {
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
    "actions": """
GET /.well-known/openid-configuration openid-configuration
GET /.well-known/jwks jwks
GET /idtoken/{run}/{attempt} idtoken
""",
    "fulcio": """
POST /api/v2/signingCert CreateSigningCertificate
GET /api/v2/trustBundle GetTrustBundle
""",
    "timestamp": "POST /api/v1/timestamp getTimestampResponse",
    "rekor": "POST /api/v1/log/entries createLogEntry",
    # The OCI distribution specification has no names; these are its words.
    "registry": """
GET /v2/ ping
GET /v2/token token
GET /v2/{name}/tags/list tags.list
GET /v2/{name}/referrers/{digest} referrers.list
HEAD /v2/{name}/manifests/{reference} manifests.head
GET /v2/{name}/manifests/{reference} manifests.get
PUT /v2/{name}/manifests/{reference} manifests.put
DELETE /v2/{name}/manifests/{reference} manifests.delete
HEAD /v2/{name}/blobs/{digest} blobs.head
GET /v2/{name}/blobs/{digest} blobs.get
DELETE /v2/{name}/blobs/{digest} blobs.delete
POST /v2/{name}/blobs/uploads/ uploads.start
GET /v2/{name}/blobs/uploads/{upload} uploads.status
PATCH /v2/{name}/blobs/uploads/{upload} uploads.append
PUT /v2/{name}/blobs/uploads/{upload} uploads.finish
DELETE /v2/{name}/blobs/uploads/{upload} uploads.cancel
""",
    # Beside the methods of the descriptions.
    "storage": """
POST /batch/storage/v1 batch
PUT /upload/storage/v1/b/{bucket}/o objects.insert
DELETE /upload/storage/v1/b/{bucket}/o objects.insert
""",
    "bigquery": "PUT /upload/bigquery/v2/projects/{project}/jobs jobs.insert",
    "github": """
GET /repos/{owner}/{repo}/statuses/{ref} repos/list-commit-statuses-for-ref
GET /repos/{owner}/{repo}/contents repos/get-content
""",
}
DESCRIBED = ("storage", "bigquery", "iam", "iamcredentials", "sts", "monitoring", "github")
STANDS_FOR = {
    "api.github.com": "github",
    "github.com": "git",
    "www.googleapis.com": "storage",
    "169.254.169.254": "metadata",
    "token.actions.githubusercontent.com": "actions",
    "run-actions.actions.githubusercontent.com": "actions",
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
        found = {f"{one}.{name}" for one, table in TABLES.items() for name in table.values()}
        for served in self._router.services:
            if isinstance(served, RestService):
                host = re.sub(r"\\|\(.*?\)\?", "", served.hosts[0])
                found |= {f"{service(host)}.{name}" for name in served.methods()}
        return sorted(found | aws_names.names())


def _shape(path: str) -> str:
    return PARAMETER.sub("{}", path).rstrip("/") or "/"


def _table(text: str) -> dict[tuple[str, str], str]:
    rows = (line.split(" ") for line in text.strip().splitlines())
    return {(method, _shape(path)): name for method, path, name in rows}


def _described(service: str) -> dict[tuple[str, str], str]:
    """A service's methods as its vendor describes them, without the service's name before them."""
    operations = description(service).operations.values()
    return {
        (one.verb, _shape(path)): one.name.removeprefix(f"{service}.")
        for one in operations
        for path in one.paths
    }


TABLES = {name: _table(text) for name, text in SERVICES.items()}
for _name in DESCRIBED:
    TABLES[_name] = TABLES.get(_name, {}) | _described(_name)


def _named(service: str, route: Route) -> str:
    known = TABLES.get(service, {}).get((route.method, _shape(route.path)))
    return f"{service}.{known or f'{route.method} {route.path}'}"
