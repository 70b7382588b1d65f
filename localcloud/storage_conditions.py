"""What must hold of a bucket or an object for a call of Cloud Storage to go on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.errors import ApiError

NAMES = ("GenerationMatch", "GenerationNotMatch", "MetagenerationMatch", "MetagenerationNotMatch")

Resource = dict[str, Any]


@dataclass(frozen=True)
class Conditions:
    """What must hold of an object's generation and metageneration for a call to go on."""

    tests: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, query: Mapping[str, str], source: bool = False) -> "Conditions":
        """The conditions in a query; with `source`, those on a copy's source."""
        prefix = "ifSource" if source else "if"
        return cls({name: int(query[prefix + name]) for name in NAMES if prefix + name in query})

    def check(self, found: Resource | None) -> None:
        """Raises conditionNotMet."""
        for name, wanted in self.tests.items():
            field_name = "metageneration" if name.startswith("Meta") else "generation"
            actual = int(found[field_name]) if found else 0
            if (actual == wanted) == ("Not" in name):
                message = "At least one of the pre-conditions you specified did not hold."
                raise ApiError("FAILED_PRECONDITION", message, status=412, reason="conditionNotMet")
