"""What is ours on Vertex AI, by its name: a flow's model, its endpoint and what is deployed there."""

import hashlib
from typing import NamedTuple

LONGEST = 63  # characters of an id


class Machine(NamedTuple):
    """What one replica runs on; no accelerator: ""."""

    type: str
    accelerator: str = ""
    accelerators: int = 0

    def __str__(self) -> str:
        return (
            f"{self.type} + {self.accelerators} × {self.accelerator}" if self.accelerator else self.type
        )


def model_id(flow: str, environment: str) -> str:
    """The registered model of a flow. A flow's name holds no '-', so no two pairs share one."""
    return _short(f"{flow}-{environment}")


def endpoint_id(flow: str, environment: str) -> str:
    """The endpoint of a flow, where flow.toml adopts none: an id of letters, digits and '-'."""
    return _short(f"{flow}-{environment}".replace("_", "-"))


def deployed_id(version: str, machine: Machine) -> str:
    """The id of `version` deployed on `machine`: ten digits, the same each time.

    So a second DeployModel, after a lost answer, finds the first one's; and a deployed model that has
    another id was not made here.
    """
    what = "/".join((version, machine.type, machine.accelerator, str(machine.accelerators)))
    return str(10**9 + int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big") % (9 * 10**9))


def _short(name: str) -> str:
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
