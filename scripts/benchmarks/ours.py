"""Our local pipeline job of the five functions: each step a process of its own, in its image."""

import contextlib
import io
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Run
from benchmarks.peers import HERE
from benchmarks.programs.five import STEPS, expected
from delivery import follow, image
from delivery.jobs import Jobs
from delivery.registry import Registry
from delivery.settings import ROOT, Environment

NAME, PROCESS_A_STEP = "Retrain's local job", True
IMAGE = "bench"
# Of the files alone: a local step has its base and its packages from this machine.
DOCKERFILE = """FROM scratch
WORKDIR /app
ENV PYTHONPATH=/app
COPY five.py /app/five.py
USER 10001
CMD ["python"]
"""
COMPONENT = """name: {name}
inputs:
- {{name: given, type: String}}
outputs:
- {{name: made, type: String}}
implementation:
  container:
    image: {image}
    command: [python, -m, five]
    args: [{name}, {{outputPath: made}}, {{inputValue: given}}]
"""


class Ours:
    """The five functions' pipeline in a local cloud, whose client this process is."""

    def __init__(self, environment: Environment) -> None:
        self._jobs = Jobs(environment)
        self._folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._spec = self._compile(self._image(environment))
        self._number = 0

    def close(self) -> None:
        """Remove what it wrote."""
        shutil.rmtree(self._folder)

    def run(self, seed: str, cached: bool = False) -> Run:
        """From submit to the job's end, followed as `submit --wait` does.

        Raises RuntimeError for a wrong answer, and where the cache did not do as it is said here.
        """
        self._number += 1
        job_id = f"five-{time.time_ns()}-{self._number}"
        name = f"{self._jobs.parent}/pipelineJobs/{job_id}"
        said = io.StringIO()
        start = time.perf_counter()
        self._jobs.create(job_id, self._spec, {"seed": seed}, {})
        with contextlib.redirect_stderr(said):
            ended = follow.follow(self._jobs, name)
        seconds = time.perf_counter() - start
        found = self._jobs.find(name)
        assert found is not None
        [last] = [task for task in found.job_detail.task_details if task.task_name == "upload-model"]
        if ended.state != "SUCCEEDED" or follow.outputs(last).get("made") != expected(seed):
            raise RuntimeError(f"{job_id}: {ended.state} {ended.error}")
        if {step.cached for step in ended.steps} != {cached}:
            raise RuntimeError(f"{job_id}: expected steps that are {'' if cached else 'not '}cached")
        return Run(seconds, len(said.getvalue().splitlines()))

    def _image(self, environment: Environment) -> str:
        """five.py in an image with our locked packages; its reference by digest."""
        tree = self._folder / "tree"
        tree.mkdir()
        shutil.copy(HERE / "five.py", tree)
        for name in ("poetry.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, tree)
        (tree / "Dockerfile").write_text(DOCKERFILE)
        (tree / ".dockerignore").write_text("*\n!five.py\n")
        registry = Registry(f"{environment.artifact_registry}/{IMAGE}")
        digest, _ = image.publish(registry, tree, "base", IMAGE)
        return f"{registry.name}@{digest}"

    def _compile(self, reference: str) -> dict[str, Any]:
        import yaml
        from kfp import compiler, components, dsl

        texts = [COMPONENT.format(name=step.__name__, image=reference) for step in STEPS]
        steps = [components.load_component_from_text(text) for text in texts]

        def five(seed: str) -> None:
            value: Any = seed
            for step in steps:
                value = step(given=value).outputs["made"]

        path = self._folder / "five.yaml"
        compiler.Compiler().compile(dsl.pipeline(name="five")(five), str(path))
        return dict(yaml.safe_load(path.read_text()))
