"""Identity tokens of workflow jobs: GitHub's signed word on what runs, for one audience."""

import hashlib
import secrets
import time
import uuid
from typing import Any

import jwt
from jwt.algorithms import RSAAlgorithm

from localcloud.errors import ApiError
from localcloud.github.identity import secret_of
from localcloud.github.job import facts
from localcloud.github.repository import Repositories
from localcloud.github.runs import Run, Runs
from localcloud.github.shapes import WEB
from localcloud.http import Request, Response, Route
from localcloud.identity import signing_key
from localcloud.store import Store

HOST = "token.actions.githubusercontent.com"
ISSUER = f"https://{HOST}"
DOOR = "run-actions.actions.githubusercontent.com"  # where a job asks; at GitHub, one of many
EARLY, LIFE = 600, 300  # seconds before and after its making in which a token is good
# Of what GitHub tells a job, what stands in its token too.
CLAIMS = (
    "actor actor_id event_name ref ref_type repository repository_id repository_owner"
    " repository_owner_id run_attempt run_id run_number sha workflow workflow_ref workflow_sha"
)
OTHERS = (
    "aud exp iat iss jti nbf sub base_ref environment head_ref job_workflow_ref job_workflow_sha"
    " ref_protected repository_visibility runner_environment"
)


class JobIdentity:
    """Both hosts. Records: "github-id-token", the run and attempt of a request token, by its hash."""

    hosts: tuple[str, ...] = (HOST.replace(".", r"\."), DOOR.replace(".", r"\."))

    def __init__(self, store: Store, runs: Runs, repositories: Repositories) -> None:
        self._store, self._runs, self._repositories = store, runs, repositories

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

    def variables(self, run: Run) -> dict[str, str]:
        """What a job gets to ask with, as long as it runs; nothing without `id-token: write`."""
        if run.get("identity") is None:
            return {}
        token = secrets.token_urlsafe(48)
        asker = {"repository": run["repository"], "run": run["id"], "attempt": run["attempt"]}
        self._store.put("github-id-token", _hash(token), asker)
        address = f"https://{DOOR}/idtoken/{run['id']}/{run['attempt']}?api-version=2.0"
        return {"ACTIONS_ID_TOKEN_REQUEST_URL": address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token}

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
        run = self._asking(request)
        keys = self._keys
        headers = {"kid": _hash(keys["public"])}
        claims = self._claims(run, request.query.get("audience", ""))
        signed = jwt.encode(claims, keys["private"], algorithm="RS256", headers=headers)
        return Response({"count": len(signed), "value": signed})

    @property
    def _keys(self) -> dict[str, Any]:
        return signing_key(self._store, HOST)

    def _asking(self, request: Request) -> Run:
        """The run whose job asks. Raises UNAUTHENTICATED, also once that attempt has ended."""
        bearer = secret_of(request.headers.get("authorization", ""))
        asker = self._store.get("github-id-token", _hash(bearer))
        if asker and request.params == {k: str(asker[k]) for k in ("run", "attempt")}:
            run = self._runs.get(asker["repository"], asker["run"])
            if (run["status"], run["attempt"]) == ("in_progress", asker["attempt"]):
                return run
        raise ApiError("UNAUTHENTICATED", "this token is of no job that runs, or of another one")

    def _claims(self, run: Run, audience: str) -> dict[str, Any]:
        where, now = self._repositories.get(*run["repository"].split("/")), int(time.time())
        known = {name.lower(): value for name, value in facts(run, where).items()}
        environment = run["identity"]["environment"]
        context = (
            f"environment:{environment.replace(':', '%3A')}" if environment else f"ref:{run['ref']}"
        )
        return {
            "jti": str(uuid.uuid4()),
            "sub": f"repo:{where.full_name}:{context}",
            "aud": audience or f"{WEB}/{where.owner}",
            **({"environment": environment} if environment else {}),
            **{name: known[name] for name in CLAIMS.split()},
            "job_workflow_ref": known["workflow_ref"],
            "job_workflow_sha": known["workflow_sha"],
            "base_ref": "",
            "head_ref": "",
            "ref_protected": "false",
            "repository_visibility": "private" if where.record["private"] else "public",
            "runner_environment": "github-hosted",
            "iss": ISSUER,
            "nbf": now - EARLY,
            "exp": now + LIFE,
            "iat": now,
        }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
