"""docs/notebook.ipynb runs as a reader runs it: in a clone, by the kernel that its first cell names."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clone import ROOT, Clone, clone, own_files

pytestmark = pytest.mark.slow
NOTEBOOK = "docs/notebook.ipynb"
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)
KERNELS = "JUPYTER_PATH=.local/jupyter/share/jupyter"  # where a Jupyter that lies there looks
EXECUTE = ("env", KERNELS, ".venv/bin/jupyter-execute", "--startup_timeout=300", NOTEBOOK)


def cells(text: str) -> list[dict[str, Any]]:
    """A notebook's cells."""
    return list(json.loads(text)["cells"])


def said(cell: dict[str, Any]) -> str:
    """What a cell has printed, and its last value."""
    shown = [output.get("data") or {"text/plain": output["text"]} for output in cell["outputs"]]
    texts = [one.get("text/markdown") or one["text/plain"] for one in shown]
    return "".join(line for text in texts for line in text)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone whose owner has read the first cell, and nothing else."""
    with clone(tmp_path_factory.mktemp("reader")) as made:
        yield made


@pytest.fixture(scope="module")
def executed(reader: Clone) -> list[str]:
    """What each cell of code says, in their order, after the commands that the first cell asks for."""
    (commands,) = COMMANDS.findall("".join(cells((ROOT / NOTEBOOK).read_text())[0]["source"]))
    before = own_files(reader.folder)
    for command in commands.splitlines():
        assert (ended := reader.command("bash", "-c", command, inside=False)).code == 0, ended
    written = reader.folder.parent / "executed.ipynb"
    ended = reader.command(*EXECUTE, f"--output={written}", inside=False)
    assert ended.code == 0, ended
    assert own_files(reader.folder) == before, "no file of the clone is changed"
    return [said(cell) for cell in cells(written.read_text()) if cell["cell_type"] == "code"]


def test_the_committed_one_has_no_outputs() -> None:
    code = [cell for cell in cells((ROOT / NOTEBOOK).read_text()) if cell["cell_type"] == "code"]
    assert code
    assert not [cell["source"] for cell in code if cell["outputs"] or cell["execution_count"]]


def test_it_reads_the_local_data_and_asks_the_model(executed: list[str]) -> None:
    assert any("'purchases': 1469307, 'households': 2469" in text for text in executed)
    assert any(re.search(r"purchases · 2017-11-02 … 2017-12-31", text) for text in executed)
    assert any(re.match(r"\[\{'items': \[\d+,.*'scores': \[\d", text, re.S) for text in executed)


def test_the_gate_compares_what_was_changed(executed: list[str]) -> None:
    told = "\n".join(executed)
    for name, word in (("popularity", "refused"), ("no-repeats", "refused")):
        assert re.search(rf"^{name} +NDCG@10 0\.\d+ .* · difference -.* · {word}$", told, re.M)
    for name in ("more-factors", "weighted"):
        assert re.search(rf"^{name} +NDCG@10 0\.\d+ .* · champion 0\.\d+ · difference .*", told, re.M)


def test_the_submitted_job_has_the_same_numbers_and_is_proposed(executed: list[str]) -> None:
    *_, submitted, numbers, pull = executed
    assert re.search(r"^release +pull request #1, open", submitted, re.M), submitted
    job, cell = re.fullmatch(r"\((0\.\d+), (0\.\d+)\)", numbers).groups()  # type: ignore[union-attr]
    assert float(job) == pytest.approx(float(cell), abs=1e-9)
    assert pull.startswith("# Release recommender v")
    assert "this run had `data.days=60 train.factors=64` instead" in pull
    assert f"| `ndcg@10` | {float(job):.4g} [" in pull


def test_it_leaves_no_kernel(reader: Clone, executed: list[str]) -> None:
    assert executed
    assert not [name for name in reader.home() if re.search(r"kernel-.*\.json$", name)]
