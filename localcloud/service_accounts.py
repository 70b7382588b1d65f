"""The project's service accounts, and who may act as them."""

import re
from collections.abc import Callable

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.guard import unconditional
from localcloud.http import Request, Response
from localcloud.iam import CONDITIONAL, Policy
from localcloud.identity import unique_id

ACCOUNTS = "/v1/projects/{project}/serviceAccounts"
ACCOUNT = f"{ACCOUNTS}/{{account}}"
ACCOUNT_ID = re.compile(r"[a-z](?:[a-z0-9-]{4,28}[a-z0-9])")
Call = Callable[[Request, str], Response]


class ServiceAccounts:
    """Records: kind "service-account" by address."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store

    def table(self) -> list[tuple[str, str, str, Call]]:
        """The calls that are served, with the permission that each needs."""
        of = "iam.serviceAccounts"
        return [
            ("POST", ACCOUNTS, f"{of}.create", self.create),
            ("GET", ACCOUNTS, f"{of}.list", self.list),
            ("GET", ACCOUNT, f"{of}.get", self.get),
            ("DELETE", ACCOUNT, f"{of}.delete", self.delete),
            ("POST", f"{ACCOUNT}:getIamPolicy", f"{of}.getIamPolicy", self.get_policy),
            ("POST", f"{ACCOUNT}:setIamPolicy", f"{of}.setIamPolicy", self.set_policy),
            ("POST", f"{ACCOUNT}:testIamPermissions", "", self.test),
        ]

    def create(self, request: Request, _: str) -> Response:
        """projects.serviceAccounts.create"""
        body = request.json()
        name, shown = str(body.get("accountId", "")), body.get("serviceAccount") or {}
        if not ACCOUNT_ID.fullmatch(name):
            raise ApiError("INVALID_ARGUMENT", f"Account ids must match {ACCOUNT_ID.pattern}: '{name}'.")
        account = self._cloud.world.account(name)
        with self._store.transaction():
            if self._store.get("service-account", account):
                words = f"Service account {name} already exists within project"
                raise ApiError("ALREADY_EXISTS", f"{words} projects/{self._cloud.world.project}.")
            fields = {key: shown[key] for key in ("displayName", "description") if key in shown}
            self._store.put("service-account", account, fields)
        return Response(self._shown(account))

    def list(self, _request: Request, _: str) -> Response:
        """projects.serviceAccounts.list"""
        return Response(
            {"accounts": [self._shown(one) for one, _ in self._store.list("service-account")]}
        )

    def get(self, request: Request, _: str) -> Response:
        """projects.serviceAccounts.get"""
        return Response(self._shown(request.params["account"]))

    def delete(self, request: Request, _: str) -> Response:
        """projects.serviceAccounts.delete"""
        shown = self._shown(request.params["account"])
        with self._store.transaction():
            self._store.delete("service-account", shown["email"])
            self._cloud.forget_account(shown["email"])
            self._cloud.iam.forget(self._name(request))
        return Response({})

    def get_policy(self, request: Request, _: str) -> Response:
        """projects.serviceAccounts.getIamPolicy"""
        self._shown(request.params["account"])
        found = self._cloud.iam.policy(self._name(request))
        wants = request.query.get("options.requestedPolicyVersion")
        return Response(found if wants == str(CONDITIONAL) else unconditional(found))

    def set_policy(self, request: Request, _: str) -> Response:
        """projects.serviceAccounts.setIamPolicy"""
        self._shown(request.params["account"])
        return Response(self._cloud.iam.set(self._name(request), request.json().get("policy") or {}))

    def test(self, request: Request, principal: str) -> Response:
        """projects.serviceAccounts.testIamPermissions"""
        asked = request.json().get("permissions", [])
        return Response({"permissions": self._cloud.iam.held(principal, asked, self._name(request))})

    def _shown(self, account: str) -> Policy:
        """An account as a client sees it. Raises NOT_FOUND."""
        found = self._store.get("service-account", account)
        if found is None:
            raise ApiError("NOT_FOUND", f"Unknown service account: {account}")
        project = self._cloud.world.project
        names = {"name": f"projects/{project}/serviceAccounts/{account}", "email": account}
        return {**names, "projectId": project, "uniqueId": unique_id(account), **found}

    def _name(self, request: Request) -> str:
        return f"projects/-/serviceAccounts/{request.params['account']}"
