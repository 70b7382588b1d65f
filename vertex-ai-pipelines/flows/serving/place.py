"""Where the server listens and what it serves: the whole story of its environment variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flows.errors import InputError
from flows.storage import Address

PATH = r"/[!-~]*"
VARIABLES = {  # name → what it is, an example, the form of it
    "AIP_HTTP_PORT": ("a port", "8080", r"\d{1,5}"),
    "AIP_HEALTH_ROUTE": ("a path", "/health", PATH),
    "AIP_PREDICT_ROUTE": ("a path", "/predict", PATH),
    "AIP_STORAGE_URI": (
        "the folder of the model's files",
        "gs://BUCKET/models/FLOW/VERSION",
        r"gs://.+",
    ),
    "MANIFEST_SHA256": ("the hash of the manifest there", "64 hexadecimal digits", r"[0-9a-f]{64}"),
}
DEFAULTS = {"AIP_HTTP_PORT": "8080", "AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/predict"}


def described() -> str:
    """The variables, one a line, as --help shows them."""
    lines = ["Its environment:"]
    for name, (what, example, _) in VARIABLES.items():
        kind = f"default: {DEFAULTS[name]}" if name in DEFAULTS else f"required: {example}"
        lines.append(f"  {name:<18} {what} ({kind})")
    return "\n".join(lines)


@dataclass(frozen=True)
class Place:
    """`port` 0 is any that is free; `artifacts` is a gs:// folder with a manifest of that hash."""

    port: int
    health: str
    predict: str
    artifacts: Address
    sha256: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Place":
        """Raises InputError that names the first variable which is not there or not of its form."""
        port, health, predict, artifacts, sha256 = (_value(environment, name) for name in VARIABLES)
        if int(port) > 65535:
            raise InputError(f"AIP_HTTP_PORT is '{port}'", "the largest port is 65535")
        if health == predict:
            raise InputError(f"AIP_HEALTH_ROUTE and AIP_PREDICT_ROUTE are both '{health}'", "set two")
        return cls(int(port), health, predict, Address.parse(artifacts, "gs"), sha256)


def _value(environment: Mapping[str, str], name: str) -> str:
    what, example, form = VARIABLES[name]
    found = environment.get(name) or DEFAULTS.get(name, "")
    if not re.fullmatch(form, found, re.ASCII):
        raise InputError(f"{name} is '{found}', expected {what}", f"it looks like {example}")
    return found
