"""The five components' YAML files, and whether they and a flow's module fit the code that runs them."""

import ast
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from delivery.settings import ROOT
from flows import config, interface
from flows.config import FlowConfig
from flows.contract import Flow
from flows.errors import InputError
from flows.interface import Interface
from flows.tables import Table, convert, hint

COMPONENTS = ROOT / "vertex-ai-pipelines" / "components"
STEPS = tuple(interface.STEPS)


class Put(Table):
    """One input or output of a component."""

    name: str
    type: str
    description: str = ""


class Container(Table):
    """What a component starts; the pipeline sets the image."""

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...] = ()


class Implementation(Table):
    """A component of ours is a container."""

    container: Container


class Component(Table):
    """A component's YAML file: inputs, outputs and command, and nothing else."""

    name: str
    description: str
    implementation: Implementation
    inputs: tuple[Put, ...] = ()
    outputs: tuple[Put, ...] = ()


def load(flow: str, assignments: str = "") -> FlowConfig:
    """The flow's configuration, with `assignments` where there are any; its module has what the steps
    call. Raises InputError.
    """
    found = config.load(flow, assignments=assignments)
    check_module(config.FLOWS / flow / "flow.py")
    return found


def check(folder: Path = COMPONENTS) -> None:
    """That the components in `folder` fit the steps. Raises InputError: file, field, expectation."""
    for step, expected in interface.STEPS.items():
        _check_component(step, expected, folder / f"{step}.yaml")
    for path in folder.iterdir():
        if path.stem not in STEPS:
            raise InputError(f"{path}: there is no such step", f"the steps are {', '.join(STEPS)}")


def check_module(path: Path) -> None:
    """That a flow's module has the functions of flows.contract.Flow. Read, not imported: it is heavy.

    Raises InputError: file, function, expectation.
    """
    tree = _python(path)
    there = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
    taken = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in taken for alias in node.names}
    for name, function in inspect.getmembers(Flow, inspect.isfunction):
        if not name.startswith("_") and name not in imported:
            expected = list(inspect.signature(function).parameters)[1:]
            _check_function(f"{path}: {name}", there.get(name), expected)


def _check_component(step: str, expected: Interface, path: Path) -> None:
    found = convert(_yaml(path), Component, str(path))
    if found.name != step:
        raise InputError(f"{path}: name is '{found.name}'", f"the file's step is '{step}'")
    _check_puts(f"{path}: inputs", found.inputs, expected.inputs)
    _check_puts(f"{path}: outputs", found.outputs, expected.outputs)
    container = found.implementation.container
    _check_words(f"{path}: implementation.container.command", container.command, interface.command(step))
    _check_words(f"{path}: implementation.container.args", container.args, interface.ARGUMENTS)


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file", "restore it: every step has one") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}", "mend that line") from None


def _check_puts(where: str, found: Iterable[Put], expected: Mapping[str, str]) -> None:
    kinds: dict[str, str] = {}
    for put in found:
        if put.name in kinds:
            raise InputError(f"{where}: '{put.name}' stands there twice", "take one out")
        kinds[put.name] = put.type
    for name in kinds:
        if name not in expected:
            raise InputError(f"{where}: '{name}' is not known to the step", hint(name, expected, "name"))
    for name, kind in expected.items():
        if name not in kinds:
            raise InputError(
                f"{where}: '{name}' is missing, which the step needs",
                f"add {{name: {name}, type: {kind}}}",
            )
        if kinds[name] != kind:
            raise InputError(
                f"{where}: '{name}' has the type {kinds[name]}, the step expects {kind}",
                f"write type: {kind}",
            )


def _check_words(where: str, found: tuple[str, ...], expected: tuple[str, ...]) -> None:
    if found != expected:
        raise InputError(
            f"{where} is [{', '.join(found)}], the image understands [{', '.join(expected)}]",
            f"write [{', '.join(expected)}]",
        )


def _python(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(), str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file", "a flow's functions stand there") from None
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno}: {error.msg}", "mend that line") from None


def _check_function(where: str, found: ast.arguments | None, expected: list[str]) -> None:
    wanted = f"def {where.rpartition(' ')[2]}({', '.join(expected)})"
    if found is None:
        raise InputError(f"{where} is missing", f"write {wanted}: see flows/contract.py")
    names = [argument.arg for argument in (*found.posonlyargs, *found.args)]
    needed = len(names) - len(found.defaults)
    fits = needed <= len(expected) and (len(names) >= len(expected) or found.vararg)
    if not fits or any(default is None for default in found.kw_defaults):
        raise InputError(
            f"{where} takes ({', '.join(names)}), it is called with ({', '.join(expected)})",
            f"write {wanted}: see flows/contract.py",
        )
