"""What a run and its serving cost on Vertex AI, roughly, and from which assumptions."""

import re
from collections.abc import Iterable
from typing import Any

from delivery.components import STEPS
from delivery.follow import step
from delivery.releases import Release
from flows.config import FlowConfig, Machine
from flows.serving_config import Serving

# List prices in US dollars, November 2026: one pipeline run; n1-standard-4 at 0.22 an hour; one T4.
RUN, VCPU_HOUR, T4_HOUR, HOURS_A_MONTH = 0.03, 0.055, 0.42, 730
N1 = re.compile(r"n1-(?:standard|highmem|highcpu)-(\d+)")


def of_run(job: Any, config: FlowConfig) -> str:
    """The run's cost, from its steps' times and machines; cached steps cost no machine."""
    hours = _hours(job.job_detail.task_details)
    machines = {name: config.machine(name) for name in hours}
    total = RUN + sum(hours[name] * _hourly(machine) for name, machine in machines.items())
    open_points = ["start of machines", "BigQuery", "storage"]
    if any(m.accelerator and not _t4(m) for m in machines.values()):
        open_points.append("accelerators")
    return (
        f"about ${total:.2f}: ${RUN:.2f} for the run, the steps' machines at ${VCPU_HOUR} a vCPU-hour;"
        f" not counted: {', '.join(open_points)}"
    )


def hourly(machine_type: str, replicas: int) -> str | None:
    """What so many machines cost an hour, without accelerators; None where no price is known."""
    found = N1.fullmatch(machine_type)
    return f"about ${replicas * int(found[1]) * VCPU_HOUR:.2f} an hour" if found else None


def of_serving(serving: Serving, release: Release) -> str | None:
    """What `release` costs a month at the fewest replicas; None where no endpoint serves it."""
    found = N1.fullmatch(serving.machine_type)
    if serving.kind != "endpoint":
        return None
    replicas = serving.min_replicas * len(release.entries)
    machines = f"{replicas} × {serving.machine_type}"
    if not found:
        return f"{machines} around the clock; look its price up"
    monthly = replicas * int(found[1]) * VCPU_HOUR * HOURS_A_MONTH
    return f"about ${monthly:,.0f} a month: {machines} around the clock at ${VCPU_HOUR} a vCPU-hour"


def _hours(tasks: Iterable[Any]) -> dict[str, float]:
    """How long each step worked; those that were cached, or are groups of steps, are left out."""
    ends = [step(task) for task in tasks if task.start_time and task.end_time]
    return {end.name: end.seconds / 3600 for end in ends if end.name in STEPS and not end.cached}


def _hourly(machine: Machine) -> float:
    cpu = machine.cpu
    cores = float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)
    return cores * VCPU_HOUR + (T4_HOUR * machine.accelerator_count if _t4(machine) else 0)


def _t4(machine: Machine) -> bool:
    return "T4" in (machine.accelerator or "").upper()
