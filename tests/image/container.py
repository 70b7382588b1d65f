"""A container of an image: programs in its files, as its user, with its settings and nothing else."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine import Engine

LIMIT = 300  # seconds for one program


@dataclass(frozen=True)
class Ran:
    """How a program in the container ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Container:
    """A buildah container; its changes go with it."""

    engine: Engine
    name: str
    image: str

    @classmethod
    def start(cls, engine: Engine, layout: Path) -> "Container":
        """A new one, of the image in an OCI layout folder."""
        image = engine.pull(layout)
        return cls(engine, engine.run("buildah", "from", image), image)

    @property
    def settings(self) -> dict[str, Any]:
        """The image's own configuration."""
        inspected = json.loads(self.engine.run("buildah", "inspect", "--type", "image", self.image))
        return dict(inspected["OCIv1"]["config"])

    def command(self, *program: str, mounts: tuple[str, ...] = ()) -> list[str]:
        """The command that runs `program` in it; `mounts` are the machine's, at their own places."""
        volumes = [word for place in mounts for word in ("--volume", f"{place}:{place}")]
        return ["buildah", "run", "--isolation", "chroot", *volumes, self.name, "--", *program]

    def run(self, *program: str) -> Ran:
        """Run `program` to its end, without anything of this process's environment."""
        done = subprocess.run(
            self.command(*program),
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **self.engine.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        """Take it away, and the image that was made of the folder; the layers stay for the next one."""
        with self.engine.alone():
            self.engine.run("buildah", "rm", self.name)
            self.engine.run("buildah", "rmi", "--force", self.image)
