"""manifest.json: what a model version is made of, beside it in S3. Written last, never changed."""

import hashlib
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from flows.errors import InputError
from flows.tables import Table, decode_json

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Version = Annotated[str, Meta(pattern=r"^v\d{8}-\d{6}-[0-9a-f]{7}(-[1-9]\d*)?\Z")]
MANIFEST = "manifest.json"
CHAMPION = "champion_"  # before the name of a metric that is the champion's on the same holdout
LIMIT = 1 << 20  # bytes: a manifest is small; a larger one is not one


class ForeignError(InputError):
    """The manifest is the one that was released, in a form that today's code does not know."""


class File(Table):
    """One file of a model: its content's hash and its size in bytes."""

    sha256: Sha256
    bytes: Annotated[int, Meta(ge=0)]


class Comparison(Table):
    """Candidate and champion on the candidate's holdout, by means of the gate's metric.

    `low` and `high` bound `difference`, candidate − champion, at `confidence`; there are none for a
    single unit. `margin` is in the metric's unit; none where a relative one says nothing.
    """

    metric: str
    candidate: float
    champion: float
    difference: float
    low: float | None
    high: float | None
    margin: float | None
    confidence: float
    units: int
    decision: Literal["passed", "refused", "undecided"]


class Verdict(Table):
    """What the gate said, why, and against which champion (its version, or none).

    There is no `comparison` without a champion, and none with one that could not be opened.
    """

    passed: bool
    reasons: tuple[str, ...]
    champion: str | None = None
    comparison: Comparison | None = None


class Manifest(Table):
    """A model version: files, evidence and origin. `data` and `config` are the flow's own tables.

    `image` ran the steps; `serving_image` serves the model ("", where an earlier version wrote this: the
    same), without what only training needs. `series` has how training's metrics
    went, one value a turn.
    """

    schema: Literal[1] = 1
    flow: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*\Z")]
    version: Version
    algorithm: str
    format: str
    files: dict[Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z")], File]
    metrics: dict[str, float | None]
    verdict: Verdict
    data: dict[str, Any]
    config: dict[str, Any]
    commit: Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")]
    image: Annotated[str, Meta(pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}\Z")]
    serving_image: Annotated[str, Meta(pattern=r"^([^@\s]+@sha256:[0-9a-f]{64})?\Z")] = ""
    pipeline_job: Annotated[str, Meta(pattern=r"^projects/[^/]+/locations/[^/]+/pipelineJobs/[^/]+\Z")]
    environment: str
    created: str
    series: dict[str, tuple[float, ...]] = {}

    @property
    def serves(self) -> str:
        """The image that serves the model."""
        return self.serving_image or self.image


def write(manifest: Manifest) -> bytes:
    """The manifest's bytes: the same for the same content."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"


def read(data: bytes, sha256: str, where: str) -> Manifest:
    """The manifest in `data`. Raises InputError where its hash is not `sha256`, else ForeignError."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise InputError(
            f"{where}: its hash is {found}, expected {sha256}",
            "the object was changed after the release: train again, or restore it",
        )
    try:
        return decode_json(data, Manifest, where)
    except InputError as error:
        raise ForeignError(error.what, "it was written by code of another version") from None


def same_files(one: Manifest, files: dict[str, File]) -> bool:
    """Whether `files` are, byte for byte, the files of `one`."""
    return one.files == files
