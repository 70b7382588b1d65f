"""iam.googleapis.com: service accounts and workload identity, each call behind its permission."""

from functools import partial
from urllib.parse import unquote

from localcloud import google_rest
from localcloud.cloud import Cloud
from localcloud.described import description
from localcloud.errors import ApiError
from localcloud.http import Request, Response, Route
from localcloud.rpc import rest_error
from localcloud.service_accounts import ServiceAccounts
from localcloud.workload_identity import (
    POOL,
    POOL_KIND,
    POOLS,
    PROVIDER,
    PROVIDER_KIND,
    PROVIDERS,
    Call,
    Collection,
    Row,
)


class IamApi:
    """The service at the host, of its parts."""

    hosts = (r"iam\.googleapis\.com",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._accounts = cloud, ServiceAccounts(cloud)
        self._pools, self._providers = Collection(cloud, POOL_KIND), Collection(cloud, PROVIDER_KIND)

    def table(self) -> list[Row]:
        """The calls that are served, with the permission that each needs."""
        return [
            *ServiceAccounts.table(self._accounts),
            *Collection.table(self._pools, POOLS, POOL, "iam.workloadIdentityPools"),
            *Collection.table(self._providers, PROVIDERS, PROVIDER, "iam.workloadIdentityPoolProviders"),
        ]

    def routes(self) -> list[Route]:
        """The table, each call behind the gate."""
        found = [
            Route(method, path, partial(self._behind, permission, call))
            for method, path, permission, call in self.table()
        ]
        return google_rest.routes(description("iam"), found, ("/",))

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """Google's error body."""
        return rest_error(error)

    def _behind(self, permission: str, call: Call, request: Request) -> Response:
        principal = self._cloud.principal(request.headers.get("authorization", ""))
        if permission:
            self._cloud.iam.check(principal, permission, resource(request.path))
        return call(request, principal)


def resource(path: str) -> str:
    """The resource that a call is about: a collection's is what it stands in, as an operation's is."""
    parts = unquote(path).removeprefix("/v1/").partition("/operations/")[0].split("/")
    parts[-1] = parts[-1].partition(":")[0]
    return "/".join(parts[: len(parts) // 2 * 2])
