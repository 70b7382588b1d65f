"""flow.toml's table of how a released model is served."""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from flows.errors import InputError
from flows.tables import Table, convert, load_toml

FLOWS = Path(__file__).parent


class Serving(Table):
    """How a released model is served; `ladder` is in percent of the traffic.

    `endpoint` is the id of one that is there already, and is adopted.

    The challenger may have more once champion and challenger have answered `promote_requests` each, its
    error rate is not higher by more than `promote_errors` (a share; at 95 % confidence), and its p99 not
    longer by more than the share `promote_latency` of the champion's.
    """

    kind: Literal["endpoint", "store"] = "endpoint"
    endpoint: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] | None = None
    machine_type: str = "n1-standard-2"
    accelerator: Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    accelerator_count: Annotated[int, Meta(ge=1)] = 1
    min_replicas: Annotated[int, Meta(ge=1)] = 1
    max_replicas: Annotated[int, Meta(ge=1)] = 1
    ladder: tuple[Annotated[int, Meta(ge=1, le=100)], ...] = (10, 50, 100)
    standby: Annotated[str, Meta(pattern=r"^\d+[smhd]$")] = "24h"
    promote: Literal["manual", "auto"] = "manual"
    promote_requests: Annotated[int, Meta(ge=1)] = 1000
    promote_errors: Annotated[float, Meta(gt=0, le=1)] = 0.005
    promote_latency: Annotated[float, Meta(ge=0)] = 0.25

    def check(self, where: str) -> None:
        """What each key alone cannot show. Raises InputError."""
        if list(self.ladder) != sorted(set(self.ladder)):
            raise InputError(f"{where}: [serving] ladder = {list(self.ladder)} does not ascend")
        if self.min_replicas > self.max_replicas:
            raise InputError(
                f"{where}: [serving] min_replicas = {self.min_replicas} is more than"
                f" max_replicas = {self.max_replicas}"
            )


def load(name: str, environment: str, flows: Path = FLOWS) -> Serving:
    """The serving table alone, of the flow `name` in `environment`; no code of the flow's is imported.

    Raises InputError that names file, key and expectation.
    """
    path = flows / name / "flow.toml"
    base, changed = parse(load_toml(path).get("serving", {}), str(path))
    return changed.get(environment, base)


def parse(table: dict[str, Any], where: str) -> tuple[Serving, dict[str, Serving]]:
    """The `[serving]` of a flow.toml named `where`, and what it is in environments that override it.

    Raises InputError.
    """
    base = {key: value for key, value in table.items() if not isinstance(value, dict)}
    overrides = {key: value for key, value in table.items() if isinstance(value, dict)}
    serving = convert(base, Serving, f"{where} [serving]")
    return serving, {
        environment: convert({**base, **changed}, Serving, f"{where} [serving.{environment}]")
        for environment, changed in overrides.items()
    }
