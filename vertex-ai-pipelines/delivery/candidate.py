"""A candidate for release: what upload_model claims, and the pull request's line for programs."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from delivery.settings import Environment
from flows.errors import InputError
from flows.manifest import MANIFEST, Sha256, Version
from flows.tables import Table, decode_json

LIMIT = 512  # characters: an address is short; a longer one is not one
ADDRESS = re.compile(
    r"s3://(?P<bucket>[^/]+)/models/(?P<flow>[^/]+)/(?P<version>[^/]+)/" + re.escape(MANIFEST)
)
LINE = re.compile(r"<!-- retrain (\{.*\}) -->")


class Candidate(Table):
    """A model version that wants to be released, by its manifest's address and hash."""

    schema: Literal[1] = 1
    flow: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*\Z")]
    environment: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,30}\Z")]
    version: Version
    manifest: Annotated[str, Meta(max_length=LIMIT)]
    sha256: Sha256

    @property
    def branch(self) -> str:
        """The branch of this flow's and environment's one release pull request."""
        return f"release/{self.environment}/{self.flow}"

    @property
    def key(self) -> str:
        """The manifest's key inside the bucket."""
        return f"models/{self.flow}/{self.version}/{MANIFEST}"

    @property
    def folder(self) -> str:
        """What every key of this model version begins with."""
        return f"models/{self.flow}/{self.version}/"


def claimed(environment: Environment, address: str, sha256: str, flows: list[str]) -> Candidate:
    """The candidate at `address`, by form alone: nothing is fetched.

    Raises InputError where the address is not a manifest's in the environment's model store, or
    is of none of `flows`, or where the hash is not one.
    """
    found = ADDRESS.fullmatch(address) if len(address) <= LIMIT else None
    if not found:
        raise InputError(
            f"--manifest {address[:LIMIT]!r} is not a manifest's address",
            f"it looks like {environment.model_store}/models/FLOW/VERSION/{MANIFEST}",
        )
    if found["bucket"] != environment.bucket:
        raise InputError(
            f"--manifest {address} is outside of {environment.model_store}",
            f"that is the model store of '{environment.name}' in settings.toml",
        )
    if found["flow"] not in flows:
        raise InputError(
            f"--manifest {address} is of flow '{found['flow']}', which is not here",
            f"flows on this commit: {', '.join(flows)}",
        )
    fields = {"flow": found["flow"], "version": found["version"], "manifest": address, "sha256": sha256}
    return _strict({**fields, "environment": environment.name})


def line(candidate: Candidate) -> str:
    """The last line of the pull request's body."""
    return f"<!-- retrain {msgspec.json.encode(candidate).decode()} -->"


def candidate_of(body: str | None) -> Candidate | None:
    """The candidate that a pull request's body ends with; None where it has no such line.

    Raises InputError where the line is there and not right.
    """
    last = (body or "").rstrip().rsplit("\n", 1)[-1].strip()
    if not last.startswith("<!-- retrain "):
        return None
    found = LINE.fullmatch(last)
    if not found:
        raise InputError(
            "the pull request's last line is broken", "start release-pr.yml again to mend it"
        )
    return decode_json(found[1], Candidate, "the pull request's last line")


def _strict(fields: dict[str, str]) -> Candidate:
    return decode_json(msgspec.json.encode({"schema": 1, **fields}), Candidate, "the candidate")
