"""Which changed files make another model of a flow. Nothing else in the repository trains."""

import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from delivery import git, lock, requirements
from delivery.components import COMPONENTS
from delivery.context import IGNORE
from delivery.dockerfile import DOCKERFILE
from delivery.settings import ROOT
from flows import config
from flows.config import FlowConfig
from flows.errors import InputError

FLOWS = PurePosixPath(config.FLOWS.relative_to(ROOT).as_posix())
STEPS = PurePosixPath(COMPONENTS.relative_to(ROOT).as_posix())
SAMPLE = "sample.py"  # only fills an empty local table
DOCS = ".md"


def of_flow(root: Path, flow: FlowConfig, old: str, new: str) -> Iterator[str]:
    """The files that changed between two commits and that the flow's `retrain_on` names.

    "own": its folder's. "all": also what the image holds of shared code and packages, and the
    components.
    """
    for name in git.changed(root, old, new):
        path = PurePosixPath(name)
        if _is_own(path, flow.name) or (
            flow.retrain_on == "all" and _is_shared(root, path, flow.image, old)
        ):
            yield name


def _is_own(path: PurePosixPath, flow: str) -> bool:
    folder = FLOWS / flow
    return folder in path.parents and path != folder / SAMPLE and path.suffix != DOCS


def _is_shared(root: Path, path: PurePosixPath, group: str, old: str) -> bool:
    if path.suffix == DOCS:
        return False
    if FLOWS in path.parents:
        # A folder that is no flow's is shared code.
        return path.relative_to(FLOWS).parts[0] not in config.names()
    if str(path) in (lock.LOCK, requirements.name(group)):
        return not _same_packages(root, group, old)
    return STEPS in path.parents or str(path) in (DOCKERFILE, IGNORE)


def _same_packages(root: Path, group: str, old: str) -> bool:
    """Whether the image's packages are those of the old lock: those of tests and tools may differ."""
    was = {name: git.text(root, old, name) for name in (lock.LOCK, requirements.name(group))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / lock.LOCK).write_text(was.pop(lock.LOCK) or "package = []")
        for place, text in was.items():
            if text is not None:
                (folder / place).parent.mkdir(parents=True)
                (folder / place).write_text(text)
        try:
            return lock.packages(folder, group) == lock.packages(root, group)
        except InputError:
            return False
