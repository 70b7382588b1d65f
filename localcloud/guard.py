"""What each call of a service needs: a permission on the resource that the request names."""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.protobuf import json_format

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.iam import CONDITIONAL, Policy
from localcloud.rpc import Caller, RpcHandler

# By method: the permission, and the request's field that names the resource.
Needs = Mapping[str, tuple[str, str]]
OPEN = "TestIamPermissions"  # anyone may ask what he may do
DENIED = "Permission '{permission}' denied for resource '{name}' (or it may not exist)."


def guarded(
    cloud: Cloud, handlers: Mapping[str, RpcHandler], needs: Needs, denied: str = DENIED
) -> dict[str, RpcHandler]:
    """The handlers, each behind what it needs; a method that `needs` does not name is a KeyError."""

    def call(method: str, request: Any, caller: Caller) -> Any:
        permission, field = needs[method]
        name = attrgetter(field)(request)
        words = denied.format(permission=permission, name=name)
        cloud.iam.check(caller.principal, permission, name, words)
        return handlers[method](request, caller)

    behind = {method: partial(call, method) for method in handlers if method != OPEN and needs[method]}
    return {**handlers, **behind}


def check_act_as(cloud: Cloud, principal: str, account: str) -> None:
    """Whoever lets a job run as an account gets all that it may do. Raises PERMISSION_DENIED."""
    words = f"You do not have permission to act as service_account: {account}. (or it may not exist)."
    cloud.iam.check(
        principal, "iam.serviceAccounts.actAs", f"projects/-/serviceAccounts/{account}", words
    )


def policy_handlers(cloud: Cloud, find: Callable[[str], object]) -> dict[str, RpcHandler]:
    """The three IAM calls of a service; `find` raises where a resource is not there."""

    def get(request: iam_policy_pb2.GetIamPolicyRequest, _: Caller) -> Any:
        find(request.resource)
        found = cloud.iam.policy(request.resource)
        wants = request.options.requested_policy_version
        return _message(found if wants == CONDITIONAL else unconditional(found))

    def put(request: iam_policy_pb2.SetIamPolicyRequest, _: Caller) -> Any:
        find(request.resource)
        if not set(request.update_mask.paths) <= {"bindings", "etag", "version"}:
            raise ApiError("INVALID_ARGUMENT", "update_mask may name bindings, etag and version.")
        return _message(cloud.iam.set(request.resource, json_format.MessageToDict(request.policy)))

    def test(request: iam_policy_pb2.TestIamPermissionsRequest, caller: Caller) -> Any:
        find(request.resource)
        held = cloud.iam.held(caller.principal, request.permissions, request.resource)
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=held)

    return {"GetIamPolicy": get, "SetIamPolicy": put, "TestIamPermissions": test}


def unconditional(policy: Policy) -> Policy:
    """A policy as who asks for no version of conditions sees it: their roles have other names."""
    shown = [
        {"role": f"{one['role']}_withcond_{_short(one['condition'])}", "members": one["members"]}
        if "condition" in one
        else one
        for one in policy["bindings"]
    ]
    return {**policy, "version": 1, "bindings": shown}


def _short(condition: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(condition, sort_keys=True).encode()).hexdigest()[:20]


def _message(policy: Mapping[str, Any]) -> policy_pb2.Policy:
    return json_format.ParseDict(dict(policy), policy_pb2.Policy())
