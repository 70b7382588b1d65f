"""Identity tokens of workflow jobs: GitHub's signed word on what runs, for one audience."""

import hashlib
import secrets
import time
import uuid
from typing import Any

import jwt
from jwt.algorithms import RSAAlgorithm

from localcloud.errors import ApiError
from localcloud.github.facts import facts
from localcloud.github.identity import account_id, secret_of
from localcloud.github.jobs import Job, Jobs
from localcloud.github.prepared import Planned
from localcloud.github.repository import Repositories, Repository
from localcloud.github.runs import Run, Runs
from localcloud.github.shapes import WEB
from localcloud.http import Request, Response, Route
from localcloud.identity import signing_key
from localcloud.store import Store

HOST = "token.actions.githubusercontent.com"
ISSUER = f"https://{HOST}"
DOOR = "run-actions.actions.githubusercontent.com"  # where a job asks; at GitHub, one of many
NUMBERED = "2026-07-15"  # subjects of repositories that were made since then have numbers
EARLY, LIFE = 600, 300  # seconds before and after its making in which a token is good
# Of what GitHub tells a job, what stands in its token too.
CLAIMS = (
    "actor actor_id event_name ref ref_protected ref_type repository repository_id repository_owner"
    " repository_owner_id repository_visibility run_attempt run_id run_number sha workflow workflow_ref"
    " workflow_sha"
)
OTHERS = (
    "aud exp iat iss jti nbf sub base_ref environment head_ref job_workflow_ref job_workflow_sha"
    " runner_environment"
)


class JobIdentity:
    """Both hosts. Records: "github-id-token", whose a request token is, by its hash."""

    hosts: tuple[str, ...] = (HOST.replace(".", r"\."), DOOR.replace(".", r"\."))

    def __init__(self, store: Store, runs: Runs, repositories: Repositories) -> None:
        self._store, self._runs, self._repositories = store, runs, repositories
        self._jobs = Jobs(store)

    def routes(self) -> list[Route]:
        """The calls that are served."""
        return [
            Route("GET", "/.well-known/openid-configuration", self.configuration),
            Route("GET", "/.well-known/jwks", self.keys),
            Route("GET", "/idtoken/{run}/{attempt}", self.token),
        ]

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """An error in words."""
        return Response({"message": error.message}, error.status)

    def variables(self, run: Run, job: Planned) -> dict[str, str]:
        """What a job gets to ask with, as long as it runs; nothing without `id-token: write`."""
        if job.permissions.get("id-token") != "write":
            return {}
        token = secrets.token_urlsafe(48)
        asker = {"repository": run["repository"], "run": run["id"], "attempt": run["attempt"]}
        self._store.put("github-id-token", _hash(token), asker | {"job": job.key, "path": job.path})
        address = f"https://{DOOR}/idtoken/{run['id']}/{run['attempt']}?api-version=2.0"
        return {"ACTIONS_ID_TOKEN_REQUEST_URL": address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token}

    def forget(self, run: int) -> None:
        """A run has ended: nobody asks for it any more."""
        for key, asker in self._store.list("github-id-token"):
            if asker["run"] == run:
                self._store.delete("github-id-token", key)

    def configuration(self, _request: Request) -> Response:
        """What OpenID Connect asks of an issuer."""
        return Response(
            {
                "issuer": ISSUER,
                "jwks_uri": f"{ISSUER}/.well-known/jwks",
                "subject_types_supported": ["public", "pairwise"],
                "response_types_supported": ["id_token"],
                "claims_supported": [*OTHERS.split(), *CLAIMS.split()],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid"],
            }
        )

    def keys(self, _request: Request) -> Response:
        """The public key that checks the tokens, as a JSON Web Key Set."""
        public = self._keys["public"]
        key = RSAAlgorithm.to_jwk(RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(public), as_dict=True)
        names = {"use": "sig", "alg": "RS256", "kid": _hash(public)}
        return Response({"keys": [{"kty": key["kty"], "n": key["n"], "e": key["e"], **names}]})

    def token(self, request: Request) -> Response:
        """A running job's token for `audience`; without one, for the repository's owner."""
        asker, run, job = self._asking(request)
        keys = self._keys
        headers = {"kid": _hash(keys["public"])}
        where = self._repositories.get(*run["repository"].split("/"))
        default = f"{WEB}/{where.owner}"
        claims = _claims(run, where, job) | {"aud": request.query.get("audience") or default}
        claims |= _called(run, where, asker["path"])
        signed = jwt.encode(claims, keys["private"], algorithm="RS256", headers=headers)
        return Response({"count": len(signed), "value": signed})

    @property
    def _keys(self) -> dict[str, Any]:
        return signing_key(self._store, HOST)

    def _asking(self, request: Request) -> tuple[dict[str, Any], Run, Job]:
        """The job that asks, and its run. Raises UNAUTHENTICATED, also once it has ended."""
        bearer = secret_of(request.headers.get("authorization", ""))
        asker = self._store.get("github-id-token", _hash(bearer))
        if asker and request.params == {k: str(asker[k]) for k in ("run", "attempt")}:
            run = self._runs.get(asker["repository"], asker["run"])
            for job in self._jobs.of(run, asker["attempt"]):
                if (job["key"], job["status"]) == (asker["job"], "in_progress"):
                    return asker, run, job
        raise ApiError("UNAUTHENTICATED", "this token is of no job that runs, or of another one")


def _claims(run: Run, where: Repository, job: Job) -> dict[str, Any]:
    known, now = {name.lower(): value for name, value in facts(run, where).items()}, int(time.time())
    environment, pull = job["environment"], (run.get("payload") or {}).get("pull_request") or {}
    return {
        "jti": str(uuid.uuid4()),
        "sub": f"repo:{_subject(where)}:{_context(run, environment)}",
        **({"environment": environment} if environment else {}),
        **{name: known[name] for name in CLAIMS.split()},
        **{f"{side}_ref": pull.get(side, {}).get("ref", "") for side in ("base", "head")},
        "runner_environment": "github-hosted",
        "iss": ISSUER,
        "nbf": now - EARLY,
        "exp": now + LIFE,
        "iat": now,
    }


def _subject(where: Repository) -> str:
    """What the subject calls the repository: a newer one by its numbers, too."""
    if where.record["created_at"] < NUMBERED:
        return where.full_name
    return f"{where.owner}@{account_id(where.owner)}/{where.name}@{where.record['id']}"


def _context(run: Run, environment: str) -> str:
    """What the subject says beside the repository."""
    if environment:
        return f"environment:{environment.replace(':', '%3A')}"
    return "pull_request" if run["event"] == "pull_request" else f"ref:{run['ref']}"


def _called(run: Run, where: Repository, path: str) -> dict[str, str]:
    """The workflow file that has the job: another one than the run's where it is called."""
    named = f"{where.full_name}/{path}@{run['ref']}"
    return {"job_workflow_ref": named, "job_workflow_sha": facts(run, where)["SHA"]}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
