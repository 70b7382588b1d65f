"""The prediction server in the image: as its user, with its packages, from Cloud Storage."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from localcloud.client import Client
from tests.flows import serving
from tests.flows.serving import Server
from tests.image.container import Container

BUNDLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def variables(cloud: Client, root: Path, released: serving.Released) -> dict[str, str]:
    """The server's environment; the files that it names are there for any user to read."""
    outer = cloud.environment().set
    readable = {"ca.pem": outer["SSL_CERT_FILE"], "who.json": outer["GOOGLE_APPLICATION_CREDENTIALS"]}
    for name, path in readable.items():
        (root / name).write_bytes(Path(path).read_bytes())
        (root / name).chmod(0o644)
    given = {name: value for name, value in outer.items() if name.lower().endswith("_proxy")}
    given |= dict.fromkeys(BUNDLES, str(root / "ca.pem"))
    given |= {"GOOGLE_APPLICATION_CREDENTIALS": str(root / "who.json"), "AIP_HTTP_PORT": "0"}
    return given | {"AIP_STORAGE_URI": released.uri, "MANIFEST_SHA256": released.sha256}


class Contained(Server):
    """A server whose process is a container's."""

    def __init__(self, container: Container, root: Path, given: dict[str, str]) -> None:
        self._log = root / "log"
        files = tuple(str(root / name) for name in ("ca.pem", "who.json"))
        own = [f"{name}={value}" for name, value in given.items()]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                container.command("env", *own, "python", "-m", "flows", "serve", mounts=files),
                env={"PATH": os.environ["PATH"], "HOME": "/root", **container.engine.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def inside(self) -> int:
        """The server's own process, below those that made the container: any thread of theirs did."""
        process = self.process.pid
        while children := self._children(process):
            process = int(children[0])
        return process

    @staticmethod
    def _children(process: int) -> list[str]:
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        return [child for task in tasks for child in task.read_text().split()]


def test_it_serves_as_the_image_s_user_until_sigterm(
    container: Container, cloud: Client, program: Any, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    algorithm, form = serving.linnerud(tmp_path / "files")
    found = serving.described("linnerud", algorithm, form, tmp_path / "files")
    released = serving.release(program, tmp_path / "files", found, "image")
    server = Contained(container, tmp_path, variables(cloud, tmp_path, released))
    try:
        answer = server.ready().predict([[86.6, 91.4, 50]])
        assert (answer.status, len(answer.body["predictions"][0])) == (200, 3)
        status = Path(f"/proc/{server.inside}/status").read_text()
        assert "\nUid:\t10001\t10001\t10001\t10001\n" in status
        os.kill(server.inside, signal.SIGTERM)
        assert server.ended() == 0
        assert server.log[-1] == "stopped: 1 requests answered · 0 refused · 0 failed"
    finally:
        server.process.kill()
        server.process.wait()
