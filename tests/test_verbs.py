"""The verbs and the files of the repository: help, docs and options agree, and nothing floats."""

import argparse
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from laptop import early
from tests.clone import ROOT, tracked

VERBS = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix)
PARSERS = {verb: module for verb in VERBS if (module := early.module_of(verb))}
STEPS = {"get_data", "preprocess", "train", "evaluate", "upload_model"}
COMPONENTS = ROOT / "vertex-ai-pipelines" / "components"
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
IMAGE = re.compile(r"[\w./-]*[\w}]:latest\b")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds scripts/ and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def helped(verb: str, folder: Path, flag: str = "--help") -> str:
    """What `verb --help` prints."""
    done = subprocess.run(
        [folder / "scripts" / verb, flag],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_help_needs_no_set_up(verb: str, alone: Path) -> None:
    text = helped(verb, alone)
    assert text.startswith(f"./scripts/{verb}"), text
    assert text == helped(verb, alone, "-h")
    assert [path.name for path in alone.iterdir()] == ["scripts"]


@pytest.mark.parametrize("verb", PARSERS)
def test_help_has_every_option_and_no_other(verb: str) -> None:
    text = helped(verb, ROOT)
    parser = import_module(PARSERS[verb]).parser()
    options = list(actions(parser))
    known = {name for action in options for name in action.option_strings}
    assert set(OPTION.findall(text)) - {"--help", "-h"} <= known
    missing = [
        action.option_strings
        for action in options
        if not any(re.search(rf"(?<![\w-]){name}\b", text) for name in action.option_strings)
    ]
    assert missing == []
    for name in subcommands(parser):
        assert re.search(rf"^ +{name}\b", text, re.M), f"{name} is not in the help"


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options that are to be known, those of subcommands among them."""
    own = [
        action
        for action in parser._actions
        if action.option_strings and action.help != argparse.SUPPRESS and action.dest != "help"
    ]
    return own + [action for inner in subcommands(parser).values() for action in actions(inner)]


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a parser's subcommands."""
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def test_every_python_verb_is_compared() -> None:
    texts = {verb: (ROOT / "scripts" / verb).read_text() for verb in VERBS}
    started = {
        verb for verb, text in texts.items() if re.search(r'exec "\$python" -m [\w. ]+ "\$@"', text)
    }
    assert started - {"test"} == set(PARSERS)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone where nothing is set up."""
    folder = tmp_path_factory.mktemp("bare")
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


WRONG = [f"{verb} --nonsense" for verb in sorted(PARSERS)]
REFUSED = ["run nobody", "new-flow torch"]


@pytest.mark.parametrize("line", WRONG + REFUSED)
def test_a_wrong_command_line_is_refused_before_the_set_up(line: str, bare: Path) -> None:
    refused(line, bare, os.environ["PATH"])


def test_where_python3_is_too_old_another_one_refuses(bare: Path, tmp_path: Path) -> None:
    for name, does in (("python3", "exit 1"), ("python3.11", f'exec "{sys.executable}" "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    refused("run --nonsense", bare, f"{tmp_path}:{os.environ['PATH']}")


def refused(line: str, bare: Path, path: str) -> None:
    """The command line is, before anything is set up."""
    verb, *arguments = line.split()
    done = subprocess.run(
        [bare / "scripts" / verb, *arguments],
        env={"PATH": path, "HOME": str(bare)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: " in done.stderr
    assert not (bare / ".local").exists()


def test_docs_list_every_verb() -> None:
    bullets = re.findall(r"^- `([\w-]+)` ", (ROOT / "scripts" / "README.md").read_text(), re.M)
    assert sorted(bullets) == VERBS
    assert "(scripts/README.md)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "scripts/README.md"])
def test_docs_name_no_verb_that_is_not_there(page: str) -> None:
    named = re.findall(r"\./scripts/([\w-]+)", (ROOT / page).read_text())
    assert set(named) <= set(VERBS)


def test_there_are_five_components_of_one_form() -> None:
    components = {path.stem: yaml.safe_load(path.read_text()) for path in COMPONENTS.iterdir()}
    assert set(components) == STEPS
    for step, component in components.items():
        assert component["name"] == step
        container: dict[str, Any] = component["implementation"]["container"]
        assert container["command"] == ["python", "-m", "flows", step]
        assert container["args"] == ["--executor-input", "{{$}}"]
        assert container["image"] == "set-at-compile"


def test_no_image_is_named_latest() -> None:
    own = Path(__file__).relative_to(ROOT).as_posix()
    wrong = [
        f"{name}:{number}: {line.strip()}"
        for name in tracked()
        if name not in (own, "poetry.lock") and not name.startswith("tests/delivery/test_")
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1)
        if IMAGE.search(line)
    ]
    assert wrong == []
