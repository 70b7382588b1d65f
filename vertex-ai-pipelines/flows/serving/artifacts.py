"""A released model from Cloud Storage: files checked by the manifest, the manifest by its hash."""

from pathlib import Path

from flows import contract, manifest, storage
from flows.contract import Flow, Model
from flows.manifest import MANIFEST, Manifest
from flows.storage import Address

MEND = "the bucket does not hold what was released: run ./scripts/deploy again, or train again"


def fetch(artifacts: Address, sha256: str, folder: Path) -> Manifest:
    """The manifest of this hash below `artifacts`, and the files that it names, in `folder`.

    Raises RetrainError or InputError where one is missing or another.
    """
    storage.download(str(artifacts), folder, [MANIFEST])
    found = manifest.read((folder / MANIFEST).read_bytes(), sha256, str(artifacts / MANIFEST))
    files = storage.download(str(artifacts), folder, found.files)
    storage.verify(files, found.files, str(artifacts), ("manifest", MEND))
    return found


def load(found: Manifest, folder: Path) -> Model:
    """The model in `folder`, warm: it has answered its own example."""
    flow: Flow = contract.part(found.flow, "flow")
    model = flow.load(folder, found.algorithm, found.format)
    model.predict([model.form.example], model.form.parameters())
    return model
