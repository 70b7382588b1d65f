import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from delivery import compiled, components, pipeline
from flows import config
from flows.config import FlowConfig, Machine

IMAGE = f"europe-west1-docker.pkg.dev/p/r/base@sha256:{'4' * 64}"


@pytest.fixture
def flow() -> FlowConfig:
    return config.load("linnerud")


def test_what_is_kept_is_what_would_be_compiled(flow: FlowConfig, tmp_path: Path) -> None:
    pipeline.compile_pipeline(flow, IMAGE, tmp_path / "flow.yaml")
    expected = yaml.safe_load((tmp_path / "flow.yaml").read_text())
    assert [compiled.spec(flow, IMAGE, tmp_path / "kept") for _ in range(2)] == [expected] * 2
    assert [file.name for file in (tmp_path / "kept").iterdir()] == [f"{compiled.key(flow)}.json"]


def test_a_known_pipeline_needs_no_kfp(
    flow: FlowConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compiled.spec(flow, IMAGE, tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "kfp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kfp", None)
    assert compiled.spec(flow, IMAGE.replace("4", "5"), tmp_path) != first


def test_what_is_damaged_is_made_again(flow: FlowConfig, tmp_path: Path) -> None:
    first = compiled.spec(flow, IMAGE, tmp_path)
    (tmp_path / f"{compiled.key(flow)}.json").write_text("{half")
    assert compiled.spec(flow, IMAGE, tmp_path) == first


def test_where_nothing_can_be_kept_it_is_compiled(flow: FlowConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert compiled.spec(flow, IMAGE, tmp_path / "file")["pipelineInfo"]["name"] == "linnerud"


def test_the_key_is_of_all_that_a_compiled_pipeline_shows(
    flow: FlowConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = msgspec.structs.replace(flow, schedule=None, query="select 1")
    assert compiled.key(same) == compiled.key(flow)
    others = [
        msgspec.structs.replace(flow, name="other"),
        msgspec.structs.replace(flow, description="other"),
        msgspec.structs.replace(flow, preprocess={**flow.preprocess, "more": 1}),
        msgspec.structs.replace(flow, preprocess={**flow.preprocess, "seed": 0.5}),
        msgspec.structs.replace(flow, resources={"train": Machine(cpu="8")}),
    ]
    keys = {compiled.key(one) for one in (flow, *others)}
    (tmp_path / "train.yaml").write_text("name: train")
    monkeypatch.setattr(components, "COMPONENTS", tmp_path)
    assert len(keys | {compiled.key(flow)}) == 7


def test_an_experiment_is_another_pipeline_that_ends_at_evaluate(
    flow: FlowConfig, tmp_path: Path
) -> None:
    whole = compiled.spec(flow, IMAGE, tmp_path)
    found = compiled.spec(flow, IMAGE, tmp_path, ends_at="evaluate")
    assert found == compiled.spec(flow, IMAGE, tmp_path, ends_at="evaluate")
    assert list(found["root"]["dag"]["tasks"]) == ["evaluate", "get-data", "preprocess", "train"]
    assert found["pipelineInfo"]["name"] == f"{whole['pipelineInfo']['name']}-experiment"
    assert found["root"]["inputDefinitions"] == whole["root"]["inputDefinitions"]
    for name, task in found["root"]["dag"]["tasks"].items():
        assert task == whole["root"]["dag"]["tasks"][name]
    assert "upload" not in str(found["deploymentSpec"])
