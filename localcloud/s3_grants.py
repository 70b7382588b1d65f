"""Whether a principal may do what it asks of S3 or IAM: its own policies, and the bucket's."""

import json
from typing import Any

from localcloud.aws_errors import refusal
from localcloud.aws_keys import Keys, Principal
from localcloud.aws_policy import decision
from localcloud.http import Request
from localcloud.s3_request import Need, arn, bucket, context, names, needs

READS = ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes")


class S3Grants:
    """Checks before moto sees a request."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def check(self, principal: Principal, request: Request, held: Any) -> None:
        """Raises AccessDenied; `held` is moto's bucket, None where there is none: it says so itself."""
        facts = {**context(request), "aws:PrincipalArn": principal.names[-1]}
        wanted = needs(request)
        creates = any(need.action == "s3:CreateBucket" for need in wanted)
        if bucket(request) and held is None and not creates:
            return
        for need in wanted:
            self._check(principal, need, _policies(held), facts)
        # Who may not list a bucket does not learn that an object is not there.
        if wanted[0].action in READS and held.keys.get(names(request)[0]) is None:
            listing = Need("s3:ListBucket", arn(bucket(request)))
            self._check(principal, listing, _policies(held), facts)

    def check_iam(self, principal: Principal, action: str) -> None:
        """Raises AccessDenied where a call of IAM is not granted."""
        self._check(principal, Need(f"iam:{action}", "*"), (), {"aws:PrincipalArn": principal.names[-1]})

    @staticmethod
    def _check(
        principal: Principal,
        need: Need,
        of_bucket: tuple[dict[str, Any], ...],
        facts: dict[str, str],
    ) -> None:
        own = decision(principal.policies, *need, facts)
        others = decision(of_bucket, *need, facts, *principal.names)
        verdicts = (own, others, principal.root or None)
        if False not in verdicts and True in verdicts:
            return
        kind = "resource" if others is False else "identity"
        why = f"because no {kind}-based policy allows the {need.action} action"
        if False in verdicts:
            why = f"with an explicit deny in a{'n' if kind == 'identity' else ''} {kind}-based policy"
        what = f'{need.action} on resource: "{need.resource}"'
        raise refusal(
            "AccessDenied", f"User: {principal.arn} is not authorized to perform: {what} {why}"
        )


def _policies(held: Any) -> tuple[dict[str, Any], ...]:
    """A bucket's own policy, if it has one."""
    text = getattr(held, "policy", None)
    return (json.loads(text),) if text else ()
