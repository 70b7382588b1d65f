"""Whose an AWS access key is: the owner's (the account's root), a user's, or a role's session."""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from localcloud.aws_errors import refusal
from localcloud.cloud import Cloud

ACCOUNT = "123456789012"  # moto's


@dataclass(frozen=True)
class Principal:
    """Who signs with a key; `policies` are documents. The root may do everything.

    `role` is the ARN of the role whose session it is.
    """

    arn: str
    secret: str
    policies: tuple[dict[str, Any], ...] = ()
    root: bool = False
    role: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every ARN that a policy may name it by; the last is that of aws:PrincipalArn."""
        return (self.arn, self.role) if self.role else (self.arn,)


class Keys:
    """Records: "owner" "aws", and kind "aws-session" by key id. Users and roles are moto's."""

    def __init__(self, cloud: Cloud) -> None:
        self._store = cloud.store

    @property
    def iam(self) -> Any:
        """moto's IAM of the one account."""
        from moto.iam.models import iam_backends

        return iam_backends[ACCOUNT]["aws"]

    def find(self, key: str, token: str = "") -> Principal:
        """The key's principal. Raises InvalidAccessKeyId, InvalidToken or ExpiredToken."""
        session = self._store.get("aws-session", key)
        if session is not None:
            return self._session(session, token)
        owner = self._store.get("owner", "aws")
        if owner and owner["id"] == key:
            return Principal(f"arn:aws:iam::{ACCOUNT}:root", owner["secret"], root=True)
        for user in self.iam.users.values():
            for one in user.access_keys:
                if one.access_key_id == key and one.status == "Active":
                    return Principal(user.arn, one.secret_access_key, _documents(user))
        raise refusal("InvalidAccessKeyId")

    def issue(self, role: str, name: str, seconds: int) -> tuple[str, dict[str, Any]]:
        """A session of a role: its key id, and its record (secret, token, role, name, expires)."""
        key = "ASIA" + secrets.token_hex(8).upper()
        record = {"secret": secrets.token_urlsafe(30), "token": secrets.token_urlsafe(96)}
        record |= {"role": role, "name": name}
        session = {**record, "expires": time.time() + seconds}
        self._store.put("aws-session", key, session)
        return key, session

    def _session(self, session: dict[str, Any], token: str) -> Principal:
        role = next((one for one in self.iam.roles.values() if one.name == session["role"]), None)
        if role is None or not secrets.compare_digest(session["token"], token):
            raise refusal("InvalidToken")
        if session["expires"] <= time.time():
            raise refusal("ExpiredToken")
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.name}/{session['name']}"
        return Principal(arn, session["secret"], _documents(role), role=role.arn)


def _documents(holder: Any) -> tuple[dict[str, Any], ...]:
    """The inline policies of a user or a role."""
    return tuple(json.loads(text) for text in holder.policies.values())
