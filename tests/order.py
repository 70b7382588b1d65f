"""In which order the files' tests begin, and which files are one worker's."""

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# What lasts longest begins first: no worker is alone with it at the end. Parts of places, in that order.
FIRST = (
    "tests/image/",
    "tests/test_run.py",
    "tests/test_secrets.py",
    "tests/test_bad_input.py",
    "tests/test_docs_notebook.py",
    "tests/test_run_",
    "tests/test_environments.py",
    "tests/faults/",
    "tests/delivery/test_workflow",
    "tests/localcloud/",
    "tests/workflows/",
)
# What shares a session's fixture that costs a minute: a whole run, a container.
WITH = {
    "tests/image/test_layers.py": "tests/image/test_container.py",
    "tests/test_secrets.py": "tests/test_run.py",
}


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """A file is one worker's: what its tests share is made once. Some files are one."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return WITH.get(file, file)


def rank(nodeid: str) -> int:
    """Its place among `FIRST`; all that is not there comes after."""
    return next((n for n, start in enumerate(FIRST) if nodeid.startswith(start)), len(FIRST))
