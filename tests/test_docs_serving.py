"""docs/serving.md tells of each variable and each filter, and of nothing else."""

import re

import pytest

from flows.recommender.asked import Filters
from flows.serving.app import LIMIT
from flows.serving.place import VARIABLES
from flows.serving.server import DRAIN, QUIET
from flows.serving.worker import EACH, LONGEST, MOST_BYTES, MOST_WAITING
from tests.clone import ROOT

TEXT = (ROOT / "docs" / "serving.md").read_text()


def test_its_tables_have_what_the_code_has() -> None:
    found = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.M))
    assert found == {*VARIABLES, *Filters.__struct_fields__}


@pytest.mark.parametrize(
    "words",
    [
        f"more than {LIMIT:,} bytes",
        f"{MOST_WAITING:,} requests, or {MOST_BYTES >> 20} MB",
        f"for {QUIET:g} s",
        f"within {LONGEST:g} s and {EACH:g} s for each instance",
        f"`--drain` seconds ({DRAIN:g})",
    ],
)
def test_its_numbers_are_the_code_s(words: str) -> None:
    assert words in TEXT
