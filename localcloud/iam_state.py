"""What moto holds of AWS's IAM, as one record: users, their keys, roles, providers, inline policies."""

from datetime import datetime
from typing import Any

from localcloud.aws_keys import ACCOUNT

Record = dict[str, Any]
# The changes that are kept. Another one would be forgotten at the next start: so it is not served.
KEPT = {
    *("CreateUser", "DeleteUser", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"),
    *("PutUserPolicy", "DeleteUserPolicy"),
    *("CreateRole", "DeleteRole", "UpdateAssumeRolePolicy", "UpdateRole"),
    *("PutRolePolicy", "DeleteRolePolicy"),
    *("CreateOpenIDConnectProvider", "DeleteOpenIDConnectProvider"),
}
DOCUMENTS = {"PolicyDocument", "AssumeRolePolicyDocument"}
TRUSTING = {"CreateRole", "UpdateAssumeRolePolicy"}  # whose document is a trust policy
READ = ("Get", "List")
USER = ("name", "id", "path", "policies")
KEY = ("user_name", "access_key_id", "secret_access_key", "status")
ROLE = ("id", "name", "assume_role_policy_document", "path", "policies", "description")
PROVIDER = ("url", "thumbprint_list", "client_id_list")


def frozen(iam: Any) -> Record:
    """All that can be kept."""
    return {
        "users": [
            {**_fields(user, USER), "keys": [_fields(key, KEY) for key in user.access_keys]}
            for user in iam.users.values()
        ],
        "roles": [
            {**_fields(role, ROLE), "max_session_duration": role.max_session_duration}
            for role in iam.roles.values()
        ],
        "providers": [_fields(one, PROVIDER) for one in iam.open_id_providers.values()],
    }


def thaw(iam: Any, record: Record) -> None:
    """Give a fresh IAM what was kept."""
    from moto.iam.models import AccessKey, OpenIDConnectProvider, Role, User

    for row in record["users"]:
        user = iam.users[row["name"]] = User(ACCOUNT, iam.region_name, row["name"], row["path"])
        _set(user, row)
        for one in row["keys"]:
            key = AccessKey(row["name"], "AKIA", ACCOUNT)
            _set(key, one)
            user.access_keys.append(key)
            iam.access_keys[key.access_key_id] = key
    for row in record["roles"]:
        document, seconds = row["assume_role_policy_document"], row["max_session_duration"]
        role = Role(
            *(ACCOUNT, "aws", row["id"], row["name"], document, row["path"]),
            permissions_boundary=None,
            description=row["description"],
            tags=[],
            max_session_duration=seconds,
        )
        _set(role, row)
        iam.roles[role.id] = role
    for row in record["providers"]:
        url, thumbs, clients = f"https://{row['url']}", row["thumbprint_list"], row["client_id_list"]
        provider = OpenIDConnectProvider(ACCOUNT, iam.region_name, url, thumbs, clients, {})
        _set(provider, row)
        iam.open_id_providers[provider.arn] = provider


def _fields(found: Any, names: tuple[str, ...]) -> Record:
    return {
        **{name: getattr(found, name) for name in names},
        "create_date": found.create_date.isoformat(),
    }


def _set(made: Any, record: Record) -> None:
    own = {name: value for name, value in record.items() if name not in ("keys", "create_date")}
    vars(made).update(own, create_date=datetime.fromisoformat(record["create_date"]))
