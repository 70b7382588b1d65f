"""docs/your-model.md: its blocks run as they stand there, each in the image that its section names."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from delivery import lock
from laptop import new_flow, packages
from localcloud.packages import Base, Environments
from tests.clone import ROOT

pytestmark = pytest.mark.slow
TEXT = (ROOT / "docs" / "your-model.md").read_text()
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
IMAGE = re.compile(r'^```toml\nimage = "([a-z-]+)"', re.M)
DIFF = re.compile(r"^```diff\n(.*?)^```$", re.M | re.S)
SERVES = "base"
CLOSE = 1e-6
LIMIT = 300  # seconds; reached by no machine that is well
# What runs in an image: pairs of code and expression; the values come back.
PROGRAM = """
import json, sys
from pathlib import Path
answers = []
for code, expression in json.load(sys.stdin):
    exec(compile(code, "your-model.md", "exec"))
    answers.append(eval(expression))
print(json.dumps(answers))
"""
WRONG = {
    "[[5.1, 3.5, 1.4, 0.2], [5.1, 3.5, 1.4]]": "instances[1]: expected array of length 4",
    '[[5.1, 3.5, 1.4, "wide"]]': "instances[0][3]: expected float, got str",
    "[[5.1, 3.5, -1.4, 0.2]]": "instances[0][2]: expected float > 0.0",
    "[[5.1, 3.5, 1.4, NaN]]": "instances[0][3]: not JSON: NaN",
}
REFUSED = """
def refused(instances):
    try:
        Reader(Model.form).read(('{"instances": %s}' % instances).encode())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


class Section(NamedTuple):
    """A library: its title, the image that it is trained in, and its block."""

    title: str
    image: str
    code: str


def sections() -> list[Section]:
    """The page's sections that name an image."""
    parts = re.split(r"^## ", TEXT, flags=re.M)[1:]
    named = [(part, IMAGE.search(part)) for part in parts]
    return [Section(p.splitlines()[0], found[1], BLOCK.findall(p)[0]) for p, found in named if found]


COMMON = "\n".join(BLOCK.findall(re.split(r"^## (?=.*\n+```toml)", TEXT, flags=re.M)[0]))
LIBRARIES = sections()
Run = Callable[[str, list[tuple[str, str]]], list[Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs code with what an image holds, and nothing else."""
    environments = Environments(tmp_path_factory.mktemp("images"), ROOT / packages.FOLDER)

    def run(image: str, asked: list[tuple[str, str]]) -> list[Any]:
        packages.ensure(image)
        base = Base(tuple(lock.requirements(ROOT, image)), image, "")
        done = subprocess.run(
            [environments.python(base), "-c", PROGRAM],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "vertex-ai-pipelines")},
            input=json.dumps([(COMMON, "None"), *asked]),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))[1:]

    return run


@pytest.fixture(scope="module")
def own(run: Run, folders: dict[str, Path]) -> dict[str, Any]:
    """What each library says of the holdout, by its section's title; its model is written."""
    found = dict[str, Any]()
    for image in {one.image for one in LIBRARIES}:
        here = [one for one in LIBRARIES if one.image == image]
        asked = [(one.code, f"fit({place(folders[one.title])}).tolist()") for one in here]
        found |= zip((one.title for one in here), run(image, asked), strict=True)
    return found


@pytest.fixture(scope="module")
def served(run: Run, folders: dict[str, Path], own: dict[str, Any]) -> dict[str, Any]:
    """What the server answers, by the section's title; and of wrong requests."""
    assert set(own) == set(folders)
    asked = [("", f"answered({place(folder)}).tolist()") for folder in folders.values()]
    wrong = [(REFUSED, f"refused({instances!r})") for instances in WRONG]
    return dict(zip([*folders, *WRONG], run(SERVES, asked + wrong), strict=True))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each section's model goes."""
    return {one.title: tmp_path_factory.mktemp("model") for one in LIBRARIES}


def place(folder: Path) -> str:
    """The path as the program has it."""
    return f"Path({str(folder)!r})"


def test_it_has_each_library_and_an_image_for_it() -> None:
    assert [(one.title, one.image) for one in LIBRARIES] == [
        ("scikit-learn", "base"),
        ("scikit-learn, by skl2onnx", "lightgbm"),
        ("LightGBM", "lightgbm"),
        ("PyTorch", "torch"),
    ]


@pytest.mark.parametrize("title", [one.title for one in LIBRARIES])
def test_the_server_answers_what_the_library_says(
    title: str, own: dict[str, Any], served: dict[str, Any]
) -> None:
    assert len(own[title]) == 30
    for mine, theirs in zip(own[title], served[title], strict=True):
        assert mine == pytest.approx(theirs, abs=CLOSE)
    assert {row.index(max(row)) for row in own[title]} == {0, 1, 2}, "it tells the species apart"


@pytest.mark.parametrize("instances", WRONG)
def test_what_is_wrong_never_gets_to_the_model(instances: str, served: dict[str, Any]) -> None:
    assert str(served[instances]).startswith(f"InputError: {WRONG[instances]}")


def test_its_diff_is_of_what_new_flow_writes(tmp_path: Path) -> None:
    kind, name = "regression", "progress"
    (diff,) = DIFF.findall(TEXT)
    folder = tmp_path / "vertex-ai-pipelines" / "flows" / name
    folder.mkdir(parents=True)
    for path in (new_flow.SKELETONS / kind).glob("[a-z]*.*"):
        (folder / path.name).write_text(new_flow.named(path.read_text(), kind, name))
    new_flow.tidy(sorted(folder.glob("*.py")))
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "apply"], input=diff, text=True, check=True)
    compile((folder / "algorithms.py").read_text(), "algorithms.py", "exec")
    assert 'algorithm = "boosting"' in (folder / "flow.toml").read_text()
