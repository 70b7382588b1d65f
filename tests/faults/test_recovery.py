"""A part of the sweep: fault upon fault in one clone; then a plain run.

The whole one is ./scripts/test --faults.
"""

from collections.abc import Iterator

import pytest

from tests.faults.cases import Call, Case
from tests.faults.story import tell
from tests.faults.worlds import World, template

pytestmark = pytest.mark.slow
# In the order in which a run comes to them: each run gets a little further than the one before.
STORY = [
    ("", "git.receive-pack", 1, "lost"),
    ("run-*", "registry.manifests.put", 2, "kill-cloud"),
    ("run-*", "sts.token", 1, "error"),
    ("run-*", "aiplatform.CreatePipelineJob", 1, "kill-caller"),
    ("job-*", "s3.PutObject", 2, "kill-cloud"),
    ("run-*", "github.git/create-ref", 1, "kill-caller"),
    ("run-*", "github.pulls/create", 1, "lost"),
    ("job-*", "github.actions/create-workflow-dispatch", 1, "lost"),
    ("run-*", "github.git/create-commit", 1, "twice"),
    ("owner", "github.actions/list-workflow-runs", 2, "error"),
]


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A clone in which nothing has run yet."""
    made = template().copy(tmp_path_factory.mktemp("recovery") / "world")
    yield made
    made.remove()


def test_a_plain_run_mends_whatever_happened_before_it(world: World) -> None:
    story = [Case(Call("", method, caller, nth), kind) for caller, method, nth, kind in STORY]
    assert tell(world, story) == ([], [])
    assert world.processes() == {}
