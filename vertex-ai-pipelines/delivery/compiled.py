"""Compiled pipelines, kept: kfp and its imports cost more than all else that a submit does."""

import contextlib
import hashlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from delivery import components, pipeline
from delivery.references import pinned
from delivery.settings import ROOT
from flows import config
from flows.config import FlowConfig

FOLDER = ROOT / ".local" / "pipelines"


def spec(
    flow: FlowConfig, image: str, folder: Path = FOLDER, ends_at: str | None = None
) -> dict[str, Any]:
    """The flow's compiled pipeline, whose steps run in `image` (by digest), up to `ends_at`.

    It is compiled where `folder` does not have it: by the code, the components, kfp's version and what
    of the flow is in a compiled pipeline. The image is put in afterwards. Raises InputError for one
    that is named by neither a digest nor a commit's tag.
    """
    pinned(image, f"pipeline {flow.name}")
    path = folder / f"{key(flow, ends_at)}.json"
    with contextlib.suppress(OSError, ValueError):
        return _with_image(path.read_text(), image)
    text = json.dumps(_compiled(flow, ends_at))
    _keep(path, text)
    return _with_image(text, image)


def key(flow: FlowConfig, ends_at: str | None = None) -> str:
    """The hash of all that decides how a pipeline is compiled: 64 hexadecimal digits."""
    types = {name: type(value).__name__ for name, value in pipeline.options(flow).items()}
    machines = [flow.machine(step) for step in components.STEPS]
    whole = hashlib.sha256(msgspec.json.encode([version("kfp"), flow.name, flow.description]))
    whole.update(msgspec.json.encode([types, machines, ends_at]))
    for file in sorted(_decisive()):
        whole.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _decisive() -> list[Path]:
    """The shared code, which also checks the components, and the components."""
    code = [*Path(__file__).parent.glob("*.py"), *config.FLOWS.glob("*.py")]
    return [*code, *components.COMPONENTS.glob("*.yaml")]


def _compiled(flow: FlowConfig, ends_at: str | None) -> Any:
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        pipeline.compile_pipeline(flow, pipeline.PLACEHOLDER, path, ends_at)
        return yaml.safe_load(path.read_text())


def _with_image(text: str, image: str) -> dict[str, Any]:
    """`text` with the image instead of the placeholder. Raises ValueError where it is not JSON."""
    found: dict[str, Any] = json.loads(text.replace(pipeline.PLACEHOLDER, image))
    return found


def _keep(path: Path, text: str) -> None:
    """Write at once or not at all; a disk that takes nothing costs the next submit its time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(path)
