"""`compile` refuses components and modules that do not fit the code: file, field, expectation."""

import shutil
from pathlib import Path

import pytest

from delivery import components, pipeline
from flows import config
from flows.errors import InputError

BROKEN = {
    "an input that no step knows": (
        "get_data",
        "{name: window_from,",
        "{name: window_form,",
        "get_data.yaml: inputs: 'window_form' is not known to the step",
        "nearest known name: window_from",
    ),
    "an input that is missing": (
        "train",
        "- {name: training, type: Dataset, description: The training set}\n",
        "",
        "train.yaml: inputs: 'training' is missing",
        "add {name: training, type: Dataset}",
    ),
    "an output of another type": (
        "evaluate",
        "{name: passed, type: Boolean,",
        "{name: passed, type: String,",
        "evaluate.yaml: outputs: 'passed' has the type String, the step expects Boolean",
        "type: Boolean",
    ),
    "an output twice": (
        "preprocess",
        "- {name: holdout,",
        "- {name: training,",
        "preprocess.yaml: outputs: 'training' stands there twice",
        "take one out",
    ),
    "another command": (
        "train",
        "[python, -m, flows, train]",
        "[python, -m, flows, fit]",
        "train.yaml: implementation.container.command is [python, -m, flows, fit]",
        "write [python, -m, flows, train]",
    ),
    "another step's name": (
        "train",
        "name: train\n",
        "name: fit\n",
        "train.yaml: name is 'fit'",
        "the file's step is 'train'",
    ),
    "a key that no component has": (
        "train",
        "    image: set-at-compile",
        "    imagine: set-at-compile",
        "train.yaml: unknown key 'imagine'",
        "nearest known key: image",
    ),
    "no YAML at all": ("train", "name: train\n", "name: [train\n", "train.yaml: not valid YAML", "mend"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the components, to be broken."""
    return Path(shutil.copytree(components.COMPONENTS, tmp_path / "components"))


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        components.check(folder)
    return str(caught.value)


@pytest.mark.parametrize("case", BROKEN)
def test_a_component_that_does_not_fit_is_refused(case: str, folder: Path) -> None:
    step, before, after, what, mend = BROKEN[case]
    path = folder / f"{step}.yaml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    message = refusal(folder)
    assert what in message
    assert mend in message


def test_a_component_too_few_or_too_many_is_refused(folder: Path) -> None:
    (folder / "deploy.yaml").write_text("name: deploy\n")
    assert "deploy.yaml: there is no such step" in refusal(folder)
    (folder / "train.yaml").unlink()
    assert "train.yaml: there is no such file" in refusal(folder)


def test_compiling_checks_them(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "train.yaml").write_text("name: train\n")
    monkeypatch.setattr(components.check, "__defaults__", (folder,))
    name = config.names()[0]
    with pytest.raises(InputError, match=r"train\.yaml"):
        pipeline.compile_pipeline(config.load(name), pipeline.PLACEHOLDER, tmp_path / "compiled.yaml")


MODULE = """
def get_data(table, options, query, window, project, destination): ...
def preprocess(options, data, facts, training, holdout): ...
def train(config, options, training, model): ...
def evaluate(gate, model, holdout, champion, scores): ...
from somewhere import load
"""


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("def train(", "def fit(", "flow.py: train is missing"),
        ("from somewhere import load", "", "flow.py: load is missing"),
        (
            "holdout, champion, scores",
            "holdout",
            "evaluate takes (gate, model, holdout), it is called with",
        ),
        ("config, options, training, model)", "a, b, c, d, e)", "train takes (a, b, c, d, e)"),
        ("def train(config", "def train(config, *, more", "train takes (config)"),
        ("def train(", "def train)", "line 4"),
    ],
)
def test_a_module_that_does_not_fit_is_refused(
    before: str, after: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "flow.py"
    path.write_text(MODULE)
    components.check_module(path)
    path.write_text(MODULE.replace(before, after))
    with pytest.raises(InputError) as caught:
        components.check_module(path)
    assert expected in str(caught.value)


def test_every_flow_s_module_fits() -> None:
    for name in config.names():
        components.load(name)
