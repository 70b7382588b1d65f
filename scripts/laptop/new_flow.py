"""`./scripts/new-flow`: a flow that works at once, made of the skeleton of its kind."""

import argparse
import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import flows
from delivery import pipeline
from delivery.command import run
from delivery.components import check_module
from delivery.settings import ROOT
from flows import config
from flows.errors import InputError
from laptop import flow_names

SKELETONS = Path(__file__).parent / "skeletons"
TESTS = ROOT / "tests" / "laptop" / "skeletons"
FIRST_PARTY = 'lint.isort.known-first-party = ["flows", "tests"]'
STAGE = ROOT / ".local" / "new-flow"
KINDS = {
    "regression": "a number for each row of a table",
    "classification": "a label for each row of a table",
    "ranking": "an order of candidates, by the features of each",
    "image": "a label for each image that a table names",
}
# What its author changes, in this order.
OWN = {
    "query.sql": "the columns of your table",
    "flow.toml": "[data] your table, [gate] what a release must show",
    "algorithms.py": "your model; config.py has its options",
    "sample.py": "rows to try it with on a laptop",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/new-flow", description=__doc__)
    main.add_argument("name", nargs="?", metavar="NAME", type=flow_names.free, help="its name")
    main.add_argument("--kind", choices=KINDS, help="what it predicts")
    return main


def main(argv: list[str]) -> int:
    """Write the flow, and say what to do with it."""
    arguments = parser().parse_args(argv)
    name = arguments.name or asked("name", "NAME", flow_names.free)
    kind = arguments.kind or asked(f"kind ({', '.join(KINDS)})", "--kind KIND", known)
    with staged() as stage:
        made = write(stage, name, kind)
        place(stage, made)
    for path in made:
        print(f"new           {path}")
    print(f"next          ./scripts/run {name}")
    for number, (file, what) in enumerate(OWN.items()):
        start = "" if number else "then edit"
        print(f"{start:<14}{config.FLOWS.relative_to(ROOT) / name / file} · {what}")
    return 0


def known(kind: str) -> str:
    """`kind`, where there is one. Raises InputError."""
    if kind not in KINDS:
        raise InputError(f"there is no kind '{kind}'", f"name one of: {', '.join(KINDS)}")
    return kind


def asked(what: str, argument: str, checked: Callable[[str], str]) -> str:
    """What a person at a terminal answers, asked again until it is `checked`.

    Raises InputError where nobody is there, or their input ends.
    """
    while sys.stdin.isatty():
        print(f"{what}: ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            print(file=sys.stderr)
            break
        try:
            return checked(answer.strip())
        except InputError as error:
            print(f"  {error}", file=sys.stderr)
    raise InputError(f"{argument} is missing", "see ./scripts/new-flow --help")


@contextmanager
def staged() -> Iterator[Path]:
    """An empty folder beside the tree, one process at a time; what an earlier one left there is gone."""
    STAGE.mkdir(parents=True, exist_ok=True)
    with (STAGE / "alone").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stage = STAGE / "tree"
        shutil.rmtree(stage, ignore_errors=True)
        yield stage
        shutil.rmtree(stage)


def write(stage: Path, name: str, kind: str) -> list[Path]:
    """The whole flow in `stage`, checked; its paths in the repository, the test last."""
    folder = config.FLOWS.relative_to(ROOT) / name
    test = Path("tests", "flows", f"test_{name}.py")
    golden = Path("tests", "delivery", "golden", f"{name}.yaml")
    files = {folder / path.name: path for path in sorted((SKELETONS / kind).iterdir()) if path.is_file()}
    for path, skeleton in {**files, test: TESTS / f"test_{kind}.py"}.items():
        (stage / path).parent.mkdir(parents=True, exist_ok=True)
        (stage / path).write_text(named(skeleton.read_text(), kind, name))
    tidy([stage / path for path in (*files, test) if path.suffix == ".py"])
    flows.__path__.append(str(stage / folder.parent))
    check_module(stage / folder / "flow.py")
    flow = config.load(name, stage / folder.parent)
    pipeline.compile_pipeline(flow, pipeline.PLACEHOLDER, stage / golden)
    shutil.rmtree(stage / folder / "__pycache__", ignore_errors=True)
    return [golden, folder, test]


def named(text: str, kind: str, name: str) -> str:
    """A skeleton's text as the flow `name` has it."""
    own = {f"laptop.skeletons.{kind}": f"flows.{name}", f"{kind}.rows": f"{name}.rows"}
    for skeleton, flow in own.items():
        text = text.replace(skeleton, flow)
    return text


def tidy(files: list[Path]) -> None:
    """Sort imports and wrap lines, which another name may change, as ./scripts/check expects them."""
    # The new flow is not where ruff would look for it.
    options = ["--quiet", "--config", "pyproject.toml", "--config", FIRST_PARTY, *map(str, files)]
    for command in (["check", "--select", "I", "--fix"], ["format"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, *options], cwd=ROOT, check=True)


def place(stage: Path, made: list[Path]) -> None:
    """Move what was `made` to where it belongs, in that order: a test is never there without its flow.

    Raises InputError where something else is there already; then nothing is moved. What an interrupted
    call has left is the same, and is no hindrance.
    """
    for path in made:
        if not is_free(ROOT / path, stage / path):
            what = f"{path} is there already, and was not written by this call"
            raise InputError(what, "move it away, or choose another name: nothing was changed")
    for path in made:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (stage / path).rename(ROOT / path)


def is_free(path: Path, own: Path) -> bool:
    """Whether nothing is lost where `own` takes the place of `path`."""
    if path.is_file():
        return own.is_file() and path.read_bytes() == own.read_bytes()
    if path.is_dir() and {one.name for one in path.iterdir()} <= {"__pycache__"}:
        shutil.rmtree(path / "__pycache__", ignore_errors=True)  # of a flow that is gone
        return own.is_dir()
    return not path.exists()


if __name__ == "__main__":
    sys.exit(run(main))
