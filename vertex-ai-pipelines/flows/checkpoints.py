"""What a step has reached so far, kept where a second try of the same step finds it.

A second try has the same output addresses, as we understand Vertex AI: what is kept lies beside the
step's artifact, and goes once that is whole. A step is tried again where flow.toml's [resources] has
`retries` for it, whatever it failed for. What a job leaves that failed for good stays there, until
somebody removes it. In a notebook there is no step, and nothing is kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from flows import storage
from flows.storage import Address

_PLACE: ContextVar["_Place | None"] = ContextVar("place", default=None)


class _Place:
    """One object in Cloud Storage; `used` once there is anything."""

    def __init__(self, uri: str) -> None:
        self.address = Address.parse(f"{uri}-checkpoint", "gs")
        self.used = False

    @property
    def blob(self) -> Any:
        return storage.gs_client().bucket(self.address.bucket).blob(self.address.key)


@contextmanager
def beside(uri: str) -> Iterator[None]:
    """While a step makes the artifact at `uri`, a gs:// folder; where it ends well, the checkpoint goes.

    What the step has made is whole by then: where the checkpoint cannot be removed, that is printed.
    """
    place = _Place(uri)
    token = _PLACE.set(place)
    try:
        yield
        if place.used:
            _remove(place)
    finally:
        _PLACE.reset(token)


def _remove(place: _Place) -> None:
    from google.api_core.exceptions import NotFound

    # NotFound: an answer was lost, and the client asked again.
    with _harmless(), suppress(NotFound), storage.named(f"end of {place.address}", passing=NotFound):
        place.blob.delete()


@contextmanager
def _harmless() -> Iterator[None]:
    """A checkpoint is no part of what the step makes: what fails with it is printed."""
    try:
        yield
    except Exception as error:  # also what is not the service's answer: a lost network
        print(f"warning: {error}", flush=True)


def find(path: Path) -> bool:
    """Whether an earlier try of this step has kept anything; it is in the file `path` then.

    Where there is none, or it cannot be read, that is printed: who trains begins anew.
    """
    from google.api_core.exceptions import NotFound

    if not (place := _PLACE.get()):
        return False
    with _harmless(), storage.named(f"look at {place.address}", passing=NotFound):
        try:
            place.blob.download_to_filename(str(path))
            place.used = True
        except NotFound:
            print(f"no checkpoint at {place.address}: from the beginning", flush=True)
    return place.used


def keep(path: Path) -> None:
    """Keep the file: the whole of it, in the place of what was kept before.

    Where that fails, it is printed: who trains goes on.
    """
    from google.cloud.storage.retry import DEFAULT_RETRY

    if place := _PLACE.get():
        place.used = True
        with _harmless(), storage.named(f"upload to {place.address}"):
            place.blob.upload_from_filename(str(path), retry=DEFAULT_RETRY)
