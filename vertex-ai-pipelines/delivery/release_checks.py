"""What `doctor` says of the releases that an environment's files declare."""

from collections.abc import Iterator

from delivery import releases
from delivery.finding import Finding
from delivery.grants import DEPLOY, account
from delivery.releases import Entry
from delivery.settings import ROOT, Environment
from flows import config


def released(environment: Environment) -> Iterator[Finding]:
    """What releases/ declares for this environment."""
    for name in config.names():
        found = releases.read(ROOT / releases.path(environment.name, name))
        shown = (
            f"{found.champion.version} at {found.champion.traffic} %"
            if found
            else "no file in this checkout"
        )
        yield Finding("release", "ok", f"{name} · {shown}")
        for entry in found.entries if found else ():
            if not entry.image.startswith(f"{environment.artifact_registry}/"):
                yield _image_elsewhere(environment, entry)


def _image_elsewhere(environment: Environment, entry: Entry) -> Finding:
    """A promoted model is served by the image of where it was trained."""
    looks = f", and to {account(environment, DEPLOY)}" if environment.attest != "off" else ""
    return Finding(
        "release",
        "note",
        f"{entry.version}: its image is {entry.image.partition('@')[0]}",
        "an image that Vertex AI may pull",
        f"there, give roles/artifactregistry.reader to the AI Platform service agent of"
        f" {environment.project}{looks}; keep it from being cleaned away",
    )
