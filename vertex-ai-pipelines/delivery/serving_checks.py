"""What `doctor` looks at of serving: the endpoints, and what deploy's account may do."""

from collections.abc import Iterator
from typing import Any

from delivery import google_session, grants
from delivery.endpoint import Endpoint
from delivery.finding import Finding
from delivery.grants import Grant
from delivery.settings import Environment
from flows import config, serving_config
from flows.errors import InputError

CONDITIONAL = 3  # the version of policies with conditions


def endpoints(environment: Environment) -> Iterator[Finding]:
    """Each flow's endpoint: one that flow.toml adopts must be there, others are made by deploy."""
    if grants.is_experiment(environment):
        return
    for name in config.names():
        serving = serving_config.load(name, environment.name)
        if serving.kind != "endpoint":
            yield Finding("endpoint", "ok", f"{name} · none: it is served from S3")
            continue
        endpoint = Endpoint(environment, name, serving.endpoint)
        try:
            seen = endpoint.look()
        except InputError as error:
            yield Finding("endpoint", "failed", error.what, "the endpoint of this flow", error.mend)
            continue
        ours = seen.ours if seen else ()
        shown = " · ".join(f"{one.version} {one.share} %" for one in ours) or "nothing deployed yet"
        there = endpoint.id if seen else f"{endpoint.id}, which deploy makes"
        yield Finding("endpoint", "ok", f"{name} · {there} · {shown}")


def rights(environment: Environment) -> Iterator[Finding]:
    """What deploy.yml's account needs on the project and on the serving bucket."""
    if grants.is_experiment(environment):
        return
    who = grants.account(environment, grants.DEPLOY)
    wanted = [one for one in grants.google(environment) if one.account == who]
    lacking = [one for one in wanted if one.kind in ("project", "bucket") and not _has(one)]
    for one in lacking:
        place = f"buckets add-iam-policy-binding gs://{one.name}"
        command = (
            f"storage {place}" if one.kind == "bucket" else f"projects add-iam-policy-binding {one.name}"
        )
        what = f"{who} has no {one.role} on {one.kind} {one.name}"
        mend = f"gcloud {command} --role {one.role} --member {one.member}{_limit(one)}"
        yield Finding("deploy", "failed", what, "what deploy.yml needs", mend)
    if not lacking:
        yield Finding("deploy", "ok", f"{who} may deploy")


def _limit(grant: Grant) -> str:
    """The option that binds a role to a part of what it is given on."""
    told = ",".join(f"{key}={value}" for key, value in (grant.condition or {}).items())
    return f' --condition "{told}"' if told else ""


def _has(grant: Grant) -> bool:
    """Whether the resource itself grants it, at least there; what is above it is not looked at."""
    bindings = _bucket(grant.name) if grant.kind == "bucket" else _project(grant.name)
    wanted = (grant.condition or {}).get("expression")
    return any(
        one["role"] == grant.role
        and grant.member in one["members"]
        and (one.get("condition") or {}).get("expression") in (None, wanted)
        for one in bindings
    )


def _bucket(name: str) -> list[dict[str, Any]]:
    from google.cloud import storage

    bucket = storage.Client(project=None).bucket(name)
    policy = bucket.get_iam_policy(requested_policy_version=CONDITIONAL, timeout=30)
    return [dict(one) for one in policy.bindings]


def _project(name: str) -> list[dict[str, Any]]:
    options = {"options": {"requestedPolicyVersion": CONDITIONAL}}
    address = f"https://cloudresourcemanager.googleapis.com/v3/projects/{name}:getIamPolicy"
    answer = google_session.session().post(address, json=options, timeout=30)
    answer.raise_for_status()
    return list(answer.json().get("bindings", []))
