"""Clones with a local cloud in a certain state, copied for each fault."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from laptop.world import world
from localcloud.client import Client, free_port
from tests import shared
from tests.clone import Clone, Ended

FLOW, FLOWS = "linnerud", "vertex-ai-pipelines/flows"
LIMIT = 900.0  # seconds: no run may take longer, whatever happens to it
TIMED_OUT = 124


class World(Clone):
    """A clone whose local cloud is started and stopped by the test."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._client = super().cloud

    @property
    def cloud(self) -> Client:
        """Its local cloud; one that is killed is waited for when the next one starts."""
        return self._client

    def copy(self, to: Path) -> "World":
        """The same in another folder; its local cloud must not run."""
        to.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "--reflink=auto", str(self.folder.parent), str(to)], check=True)
        return World(to)

    def start(self) -> None:
        """Start the local cloud, without putting anything into it."""
        self.cloud.up(world(), None if (self.cloud.root / "port").exists() else free_port())

    def arm(self, method: str, action: str, nth: int = 1, caller: str = "*") -> None:
        """Arm a fault."""
        order = {"method": method, "action": action, "nth": nth, "caller": caller}
        self.cloud.ask("POST", "/faults", order)

    def go(self) -> Ended:
        """`./scripts/run FLOW --json`; one that hangs is ended, with everything that it started."""
        place = self.folder.parent
        with (place / "out").open("w") as out, (place / "err").open("w") as err:
            process = subprocess.Popen(
                ["./scripts/run", FLOW, "--json"],
                cwd=self.folder,
                env=self.base,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            try:
                code = process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = TIMED_OUT
        return Ended(code, (place / "out").read_text(), (place / "err").read_text())

    def calls(self) -> list[str]:
        """The lines of the request log."""
        path = self.cloud.root / "calls.log"
        return path.read_text().splitlines() if path.exists() else []

    def processes(self) -> dict[int, str]:
        """The processes that work in this world, or were started by one that does."""
        return {pid: line for pid, line in _lines() if str(self.folder) in line}

    def remove(self) -> None:
        """Stop what is left, and forget the world."""
        self.cloud.down()
        for process in self.processes():
            os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.folder.parent)


def _lines() -> list[tuple[int, str]]:
    """Every process's command line and folder."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            try:
                words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((int(place.name), f"{words} in {(place / 'cwd').readlink()}"))
            except OSError:
                continue
    return found


def templates(folder: Path) -> dict[str, World]:
    """Worlds at four moments of one run, each with a stopped local cloud.

    "empty": nothing there; "provisioned": what settings.toml names; "built": main and image, no job;
    "trained": a job that failed at its last step.
    """
    empty = World(folder / "empty")
    if not empty.folder.exists():
        only(empty.fill())

    made = {"empty": empty, "provisioned": World(folder / "provisioned")}
    made |= {"built": World(folder / "built"), "trained": World(folder / "trained")}
    _make(made["provisioned"], empty, [])
    _make(made["built"], made["provisioned"], ["aiplatform.CreatePipelineJob"])
    # The step is tried three times.
    _make(made["trained"], made["built"], ["s3.PutObject"] * 3)
    for early in ("empty", "provisioned", "built"):  # what steps import, need not be learned each time
        local = made[early].cloud.root
        local.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copytree(made["trained"].cloud.root / "modules", local / "modules", dirs_exist_ok=True)
    return made


def provisioned(folder: Path) -> World:
    """A world that has what settings.toml names, and nothing else; its local cloud is stopped."""
    world = World(folder / "provisioned")
    only(world.fill())
    ended = world.verb("localcloud", "up")
    world.cloud.down()
    assert ended.code == 0, ended
    (world.cloud.root / "port").unlink()
    return world


def template() -> World:
    """Such a world, for all tests of a session to copy."""
    return World(shared.made("provisioned", provisioned) / "provisioned")


def only(world: Clone) -> None:
    """Without the other flows, whose sample data would be loaded into every world, and without ci.yml,
    which looks at the pull request when the run is over.
    """
    (world.folder / ".github/workflows/ci.yml").unlink()
    for flow in sorted((world.folder / FLOWS).glob("*/flow.toml")):
        if flow.parent.name != FLOW:
            shutil.rmtree(flow.parent)
    settings = world.folder / "settings.toml"
    text = re.sub(r"(?m)^default_flow = .*$", f'default_flow = "{FLOW}"', settings.read_text())
    settings.write_text(text)


def _make(world: World, before: World, denied: list[str]) -> None:
    """A world that goes on from `before` until one of the calls is denied, for good."""
    done = world.folder.parent.with_suffix(".done")
    if done.exists():
        return
    shutil.rmtree(world.folder.parent, ignore_errors=True)
    before.copy(world.folder.parent)
    (world.cloud.root / "calls.log").unlink(missing_ok=True)
    (world.cloud.root / "port").unlink(missing_ok=True)
    world.start()
    for method in denied:
        world.arm(method, "error:PERMISSION_DENIED")
    ended = world.go() if denied else world.verb("localcloud", "up")
    armed = world.cloud.ask("GET", "/faults")["faults"]
    assert ended.code == bool(denied), ended
    assert all(fault["hit"] for fault in armed), ended
    world.cloud.down()
    (world.cloud.root / "port").unlink()
    done.touch()
