"""Released models: a manifest in S3, checked by the hash that releases/ has, and the files it names."""

from pathlib import Path
from typing import Any, Literal

from flows import manifest, s3, secrets, web_identity
from flows.contract import Saved
from flows.manifest import Manifest
from flows.storage import Address
from flows.tables import Table


class Access(Table):
    """How the model store is reached: the region, and the secret that holds the key."""

    region: str
    auth: Literal["secret", "web-identity"] = "secret"
    secret: str = ""
    role: str = ""
    audience: str = ""


def client(project: str, access: Access) -> Any:
    """An S3 client; its key is fetched now, from Secret Manager or from AWS for this account's token."""
    if access.auth == "web-identity":
        keys = web_identity.keys(access.region, access.role, access.audience)
        print(f"role {access.role}: assumed")
        return s3.s3_client(access.region, keys)
    secret, number = secrets.access(project, access.secret, secrets.S3Keys)
    print(f"secret {access.secret}: version {number}")
    return s3.s3_client(access.region, secret.as_mapping())


def manifest_at(store: Any, address: str, sha256: str) -> Manifest:
    """The manifest at `address`. Raises InputError where it is not the one with this hash.

    Raises ForeignError where it is, but in a form that today's code does not know.
    """
    return manifest.read(s3.get(store, Address.parse(address, "s3"), manifest.LIMIT), sha256, address)


def fetch(store: Any, address: str, sha256: str, folder: Path) -> Saved:
    """The model whose manifest is at `address`, its files in `folder`, each one checked.

    Nothing but its obstacle where the manifest is none that today's code knows.
    """
    parent = Address.parse(address.rpartition("/")[0], "s3")
    try:
        found = manifest_at(store, address, sha256)
    except manifest.ForeignError as error:
        return Saved(folder, "", "", parent.key.rpartition("/")[2], error.what)
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in found.files.items():
        s3.download(store, parent / name, folder / name, file)
    return Saved(folder, found.algorithm, found.format, found.version)
