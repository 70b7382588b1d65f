"""KFP's stock local runner: lightweight components as subprocesses, with a venv each or without."""

import sys

import five
from kfp import dsl, local

local.init(local.SubprocessRunner(use_venv=sys.argv[2] == "venv"), pipeline_root=sys.argv[3])
COMPONENTS = [dsl.component(step) for step in five.STEPS]


@dsl.pipeline
def run(seed: str) -> str:
    value = seed
    for component in COMPONENTS:
        (name,) = component.component_spec.inputs
        value = component(**{name: value}).output
    return value


print(run(seed=sys.argv[1]).output)
