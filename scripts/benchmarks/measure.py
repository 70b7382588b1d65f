"""What one run of a contender costs, and what many do."""

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Run:
    """One run: its seconds, and the lines that it printed."""

    seconds: float
    lines: int


@dataclass(frozen=True)
class Result:
    """A contender's runs: the first, those after it, and those with nothing changed where it caches."""

    name: str
    process_a_step: bool
    cold: Run
    warm: list[Run]
    unchanged: list[Run]

    def facts(self) -> dict[str, Any]:
        """For JSON: seconds are medians."""
        return {
            "name": self.name,
            "process_a_step": self.process_a_step,
            "cold": round(self.cold.seconds, 3),
            "warm": round(median(self.warm), 3),
            "unchanged": round(median(self.unchanged), 3) if self.unchanged else None,
            "lines": self.warm[-1].lines,
        }


def median(runs: list[Run]) -> float:
    """The median of the runs' seconds."""
    return statistics.median(run.seconds for run in runs)
