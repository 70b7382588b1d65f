"""The manifest of a model that no pipeline has made, for a server that is measured or tested alone."""

import hashlib
from pathlib import Path

from flows import manifest, storage
from flows.manifest import MANIFEST, Manifest, Verdict

VERSION = "v20261121-084500-abc1234"


def described(flow: str, algorithm: str, format: str, folder: Path) -> Manifest:  # noqa: A002
    """The manifest of the files in `folder`."""
    return Manifest(
        flow=flow,
        version=VERSION,
        algorithm=algorithm,
        format=format,
        files={path.name: storage.hash_file(path) for path in folder.iterdir()},
        metrics={},
        verdict=Verdict(passed=True, reasons=()),
        data={},
        config={},
        commit="a" * 40,
        image=f"i@sha256:{'b' * 64}",
        pipeline_job="projects/p/locations/l/pipelineJobs/j",
        environment="local",
        created="2026-11-21T08:45:00Z",
    )


def written(found: Manifest, folder: Path) -> str:
    """Put it beside the files; its hash."""
    content = manifest.write(found)
    (folder / MANIFEST).write_bytes(content)
    return hashlib.sha256(content).hexdigest()
