"""buildah on this machine, with a store of its own, and a Debian with Python as the images' base.

For tests and measurements where no registry is reachable: on a real one the Dockerfile names its base.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delivery import layout
from delivery.layout import PLATFORM, Blob, Image, descriptor, digest_of, manifest_of

SUITE = "bookworm"
EPOCH = "315532800"  # 1980-01-01: the base's bytes do not depend on the day
# What a slim Python image has, where it has it: python and pip in /usr/local, no compiler.
BASE = (
    *("mmdebstrap", "--quiet", "--variant=apt", "--include=python3-venv,ca-certificates"),
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")),
    '--customize-hook=chroot "$1" python3 -m venv /usr/local',
    '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*',
)
# The machine's own way to a package index: its authorities, and pip's settings.
OF_THE_MACHINE = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")
LINK = Path(tempfile.gettempdir()) / f"retrain-{os.getpid()}"
CONFIG = {
    **PLATFORM,
    "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
    # buildah refuses to build on a layer that the history lacks.
    "history": [{"created": "1980-01-01T00:00:00Z", "created_by": "mmdebstrap"}],
}


class Engine:
    """buildah whose images and layers lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "storage.conf"
        folder.mkdir(parents=True, exist_ok=True)
        with self.alone():
            if not self._file.exists():
                self._configure()

    @property
    def variables(self) -> dict[str, str]:
        """By these, any buildah uses this store."""
        return {"CONTAINERS_STORAGE_CONF": str(self._file)}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One at a time, whatever process it is in."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def run(self, *command: str) -> str:
        """A command's standard output. Raises RuntimeError with what it said where it fails."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.variables, "SOURCE_DATE_EPOCH": EPOCH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(command[:3])}: exit code {done.returncode}\n{done.stderr[-3000:]}"
            )
        return done.stdout.strip()

    def base(self) -> str:
        """The base's reference, by digest; made once."""
        added = [path for path in OF_THE_MACHINE if Path(path).exists()]
        command = [*BASE, *(f"--customize-hook=upload {path} {path}" for path in added), SUITE]
        whole = [*command, str(CONFIG), *(Path(path).read_text() for path in added)]
        name = f"retrain-base-{hashlib.sha256(''.join(whole).encode()).hexdigest()[:12]}"
        with self.alone():
            folder = self.folder / name
            if not folder.exists():
                self._make_base(command, folder)
            return self._pulled(folder, f"localhost/{name}")

    def layout(self, base: str) -> Path:
        """The OCI layout folder of a base that `base` has named."""
        return self.folder / base.partition("/")[2].partition("@")[0]

    def pull(self, folder: Path) -> str:
        """The id of the image in an OCI layout folder, now in this store.

        buildah makes a name of the path, and not every path is one.
        """
        LINK.unlink(missing_ok=True)  # of a process that was killed
        LINK.symlink_to(folder.resolve())
        try:
            return self.run("buildah", "pull", "--quiet", f"oci:{LINK}")
        finally:
            LINK.unlink()

    def copy_base(self, other: "Engine", base: str) -> None:
        """Take the base of another engine, instead of making it again."""
        (self.folder / other.layout(base).name).symlink_to(other.layout(base))
        self._pulled(other.layout(base), base.partition("@")[0])

    def _make_base(self, command: list[str], folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as part:
            archive = Path(part) / "base.tar"
            self.run(*command, str(archive))
            layer = descriptor("application/vnd.oci.image.layer.v1.tar", archive.read_bytes())
            rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
            manifest, config = manifest_of({**CONFIG, "rootfs": rootfs}, [layer])
            blobs: dict[str, Blob] = {layer["digest"]: archive, digest_of(config): config}
            layout.write(Image(manifest, blobs), Path(part) / "image")
            (Path(part) / "image").rename(folder)

    def _pulled(self, folder: Path, name: str) -> str:
        """The layout's image in this store; as a layout its digest is the same in every store."""
        reference = f"{name}@{layout.read(folder).digest}"
        listed = self.run("buildah", "images", "--format", "{{.Name}}@{{.Digest}}").split()
        if reference not in listed:
            self.run("buildah", "tag", self.pull(folder), name)
            self.run("buildah", "rmi", f"localhost{LINK}")  # an image's history has its base's name
        return reference

    def _configure(self) -> None:
        """Layers as overlays, or as copies where this file system does not let them."""
        for driver in ("overlay", "vfs"):
            places = {"graphroot": self.folder / "graph", "runroot": self.folder / "run"}
            lines = ["[storage]", f'driver = "{driver}"', *(f'{k} = "{v}"' for k, v in places.items())]
            self._file.write_text("\n".join(lines) + "\n")
            if self._works():
                return
            shutil.rmtree(self.folder / "graph", ignore_errors=True)
        self._file.unlink()
        raise RuntimeError(f"buildah can keep no images in {self.folder}")

    def _works(self) -> bool:
        try:
            self.run("buildah", "rm", self.run("buildah", "from", "scratch"))
        except RuntimeError:
            return False
        return True
