"""The one environment in which unmodified clients reach the local cloud: what to set, what to unset."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

NOTHING = "/dev/null"
LOCAL, WHOLE = "ca.pem", "bundle.pem"  # the local cloud's own authority; and all outer ones, too
BUNDLES = (
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "HTTPLIB2_CA_CERTS",
)
# What would lead a client past the proxy, or hand it somebody's real credentials.
UNSET = (
    "ALL_PROXY",
    "all_proxy",
    "grpc_proxy",
    "no_grpc_proxy",
    "SSL_CERT_DIR",
    "STORAGE_EMULATOR_HOST",
    "BIGQUERY_EMULATOR_HOST",
    "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
    "GCE_METADATA_HOST",
    "GCE_METADATA_IP",
    "GCE_METADATA_ROOT",
    "NO_GCE_CHECK",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_REGION",
    "GH_TOKEN",
    "GITHUB_API_URL",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)
UNSET_PREFIXES = ("AWS_ENDPOINT_URL", "CLOUDSDK_")
# Set for the person at the keyboard alone: any other caller must not inherit them.
PERSONAL = (
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "GITHUB_REPOSITORY",
    "GITHUB_TOKEN",
)


@dataclass(frozen=True)
class Environment:
    """Variables to set and variables to unset."""

    set: dict[str, str]
    unset: tuple[str, ...]

    def over(self, outer: dict[str, str]) -> dict[str, str]:
        """`outer` with this environment laid over it."""
        kept = {key: value for key, value in outer.items() if not self._unsets(key)}
        return kept | self.set

    def alone(self) -> "Environment":
        """For a program that reaches nothing else: all outer authorities take 60 ms a connection."""
        quick = {name: str(Path(self.set[name]).with_name(LOCAL)) for name in BUNDLES}
        return Environment(self.set | quick, self.unset)

    def _unsets(self, name: str) -> bool:
        return name in self.unset or name.startswith(UNSET_PREFIXES)

    def shell(self) -> str:
        """Lines for `eval`."""
        lines = [f"unset {name}" for name in os.environ if self._unsets(name)]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in self.set.items()]
        return "\n".join(lines)


def environment(
    root: Path, port: int, caller: str, personal: dict[str, str] | None = None
) -> Environment:
    """What `caller` (the proxy's user name) needs. `personal` is the owner's own part.

    The owner's bundle holds the outer authorities too, so that a shell stays useful; another
    caller's holds the local one alone, which is quicker to read.
    """
    proxy = f"http://{caller}:x@127.0.0.1:{port}"
    bundle = str(root / (WHOLE if personal else LOCAL))
    empty = root / "empty"
    variables = {
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), proxy),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
        **dict.fromkeys(BUNDLES, bundle),
        "AWS_CONFIG_FILE": NOTHING,
        "AWS_SHARED_CREDENTIALS_FILE": NOTHING,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CLOUDSDK_CONFIG": str(empty),
        "GIT_CONFIG_GLOBAL": str(empty / ".gitconfig"),  # git replaces what it writes, a device too
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "NETRC": NOTHING,
        **(personal or {}),
    }
    unset = tuple(name for name in UNSET + PERSONAL if name not in variables)
    return Environment(variables, unset)
