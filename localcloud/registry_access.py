"""Who may do what at Artifact Registry: a caller's token, an image's name, its repository's grants."""

import base64
import binascii
import re

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response

PULL = "artifactregistry.repositories.downloadArtifacts"
PUSH = "artifactregistry.repositories.uploadArtifacts"
UNTAG = "artifactregistry.tags.delete"
DELETE = "artifactregistry.versions.delete"
USER = "oauth2accesstoken"  # the name under which an access token is a password
TOKEN_LIFE = 3600  # seconds, as is said to clients; the token's own life is what counts
NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SCOPED = re.compile(r"/v2/(.+)/(?:manifests|blobs|tags|referrers)/.*")
# Error codes of the distribution specification, for errors without a reason of their own.
CODES = {
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    429: "TOOMANYREQUESTS",
    501: "UNSUPPORTED",
}


class Access:
    """Every call names its permission here, before it looks at anything."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def principal(self, request: Request) -> str:
        """Bearer with an access token, or Basic with it as a password. Raises UNAUTHENTICATED."""
        return self._cloud.principal(f"Bearer {token(request)}")

    def name(self, request: Request, permission: str) -> str:
        """The image's name with its host, once the caller has the permission."""
        return self.named(request, request.params["name"], permission)

    def named(self, request: Request, path: str, permission: str) -> str:
        """The same of another image at that host."""
        principal = self.principal(request)
        if not NAME.fullmatch(path):
            raise ApiError("INVALID_ARGUMENT", f"invalid repository name: {path}", reason="NAME_INVALID")
        project, repository = [*path.split("/"), ""][:2]
        region = request.host.removesuffix("-docker.pkg.dev")
        place = f"projects/{project}/locations/{region}/repositories/{repository}"
        self._cloud.iam.check(principal, permission, place, target=place)
        return f"{request.host}/{path}"

    def exchange(self, request: Request) -> Response:
        """The token endpoint: what a client gets for its password is what it sends from then on."""
        self.principal(request)
        own = token(request)
        body = {"token": own, "access_token": own, "expires_in": TOKEN_LIFE}
        return Response({**body, "issued_at": self._cloud.now()})


def token(request: Request) -> str:
    """The access token in the Authorization header; "" where there is none, or another user's name."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return value
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return password if user == USER else ""


def refuse(request: Request, error: ApiError) -> Response:
    """The distribution specification's error body, with a challenge where a token is missing."""
    # Google's own words for a denial are not codes of the specification.
    given = error.reason if error.reason.isupper() else ""
    code = given or CODES.get(error.status, "UNKNOWN" if error.status >= 500 else "MANIFEST_INVALID")
    body = {"errors": [{"code": code, "message": error.message}]}
    return Response(body, error.status, _challenge(request) if error.status == 401 else {})


def _challenge(request: Request) -> dict[str, str]:
    words = f'Bearer realm="https://{request.host}/v2/token",service="{request.host}"'
    if found := SCOPED.fullmatch(request.path):
        verbs = "pull" if request.method in ("GET", "HEAD") else "pull,push"
        words += f',scope="repository:{found[1]}:{verbs}"'
    return {"www-authenticate": words}


def digest_of(text: str) -> str:
    """The digest itself. Raises what the specification says for one that is none."""
    if not DIGEST.fullmatch(text):
        words = f"'{text}' is not a digest that is served: sha256 and 64 hexadecimal digits"
        raise ApiError("INVALID_ARGUMENT", words, reason="DIGEST_INVALID")
    return text


def page(request: Request, items: list[str]) -> tuple[list[str], dict[str, str]]:
    """The part of a sorted list that `n` and `last` ask for, and the link to what follows."""
    last, most = request.query.get("last", ""), request.query.get("n")
    rest = [item for item in items if item > last]
    if most is None:
        return rest, {}
    if not most.isdecimal():
        words = f"invalid number of results requested: {most}"
        raise ApiError("INVALID_ARGUMENT", words, reason="PAGINATION_NUMBER_INVALID")
    found = rest[: int(most)]
    if not found or len(found) == len(rest):
        return found, {}
    return found, {"link": f'<{request.path}?n={most}&last={found[-1]}>; rel="next"'}
