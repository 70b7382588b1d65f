"""The compiled pipeline: as reviewed, with nothing of a run in it, and fitting the steps."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import yaml

from delivery import compile as verb
from delivery import pipeline
from flows import config, interface, released, step, upload
from flows.config import Data, FlowConfig, Gate, Machine, Train
from flows.contract import Evaluated, Trained
from flows.manifest import Verdict
from flows.tables import convert, load_toml

IMAGE = f"europe-west1-docker.pkg.dev/p/r/base@sha256:{'4' * 64}"
PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
CACHED = ("get-data", "preprocess", "train", "evaluate")


def flow(algorithm: str | None = None) -> FlowConfig:
    """The recommender as it stands in the repository, or with another algorithm."""
    raw = load_toml(config.FLOWS / "recommender" / "flow.toml")
    raw["train"]["algorithm"] = algorithm or raw["train"]["algorithm"]
    from flows.recommender.config import Config

    return config.parse("recommender", raw, Config, config.FLOWS / "recommender" / "flow.toml")


# A flow that needs all that a flow may have; its values are easily told from everything else.
STRANGE = FlowConfig(
    name="two_words",
    description="Everything at once",
    query="SELECT 'said \"so\"' FROM strange_rows",
    data=Data(query="query.sql", table="strange.table", days=7),
    data_options={"shops": ["strange-north", "strange-south"]},
    preprocess={"fraction": 0.76543, "shuffle": True},
    train=Train(algorithm="strange-fit", seed=918273, options={"layers": [5, 6], "rate": 2.0}),
    gate=Gate(metric="strange@metric", margin=0.13579),
    resources={
        "default": Machine(cpu="500m", memory="3Gi"),
        "train": Machine(
            cpu="8", memory="32G", accelerator="NVIDIA_TESLA_T4", accelerator_count=2, retries=3
        ),
    },
)


def compiled(of: FlowConfig, folder: Path) -> dict[str, Any]:
    path = folder / "deeper" / f"{of.name}.yaml"
    pipeline.compile_pipeline(of, IMAGE, path)
    return dict(yaml.safe_load(path.read_text()))


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return compiled(STRANGE, tmp_path_factory.mktemp("strange"))


@pytest.fixture(scope="module")
def recommender(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return compiled(flow(), tmp_path_factory.mktemp("recommender"))


def tasks(spec: dict[str, Any]) -> dict[str, Any]:
    """All tasks by name; upload-model stands behind the gate."""
    return {**spec["root"]["dag"]["tasks"], **spec["components"]["comp-condition-1"]["dag"]["tasks"]}


def containers(spec: dict[str, Any]) -> dict[str, Any]:
    found = spec["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): executor["container"] for name, executor in found.items()}


def filled(spec: dict[str, Any], task: str, of: FlowConfig) -> dict[str, Any]:
    """What a step gets: constants with their placeholders filled in, as Vertex AI does it."""
    values = {**dict.fromkeys(pipeline.RUN, "run"), **pipeline.options(of)}
    given = tasks(spec)[task]["inputs"]["parameters"]

    def fill(found: re.Match[str]) -> str:
        assert found[1] in given, f"{task} names {found[1]}, which it is not given"
        value = values[found[1].removeprefix("pipelinechannel--")]
        return value if isinstance(value, str) else json.dumps(value)

    constants = {name: source["runtimeValue"]["constant"] for name, source in given.items()
                 if "runtimeValue" in source}  # fmt: skip
    return {name: PLACEHOLDER.sub(fill, text) for name, text in constants.items()}


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of a spec with the keys that lead to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


@pytest.mark.parametrize("name", config.names())
def test_the_compiled_pipeline_is_as_reviewed(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    pipeline.compile_pipeline(config.load(name), pipeline.PLACEHOLDER, path)
    golden = verb.GOLDEN / f"{name}.yaml"
    assert golden.exists(), f"{golden.name} is missing: run ./scripts/fix, and commit the file"
    same = golden.read_bytes() == path.read_bytes()
    assert same, (
        f"{golden.name} is not what today's code compiles: run ./scripts/fix, read the difference"
    )


def test_no_golden_file_is_left_over() -> None:
    assert sorted(path.stem for path in verb.GOLDEN.glob("*.yaml")) == config.names()


def test_compiling_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yaml"):
        pipeline.compile_pipeline(STRANGE, IMAGE, tmp_path / name)
    assert (tmp_path / "one.yaml").read_bytes() == (tmp_path / "two.yaml").read_bytes()


def test_the_verb_compiles_what_it_is_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb.main(["recommender", "--image", IMAGE, "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"compiled      {tmp_path}/recommender.yaml\n"
    assert IMAGE in (tmp_path / "recommender.yaml").read_text()


def test_no_option_s_value_is_in_it(strange: dict[str, Any]) -> None:
    text = yaml.safe_dump(strange)
    for value in ("strange", "0.76543", "918273", "0.13579", "SELECT", "window_days"):
        assert value not in text.replace("Everything at once", ""), value
    parameters = strange["root"]["inputDefinitions"]["parameters"].values()
    assert not [one for one in parameters if "defaultValue" in one]


def test_no_setting_of_an_environment_is_in_it(recommender: dict[str, Any]) -> None:
    text = yaml.safe_dump(recommender)
    assert not re.search(r"s3://|gs://|gserviceaccount|-writer|-reader|-app\b|acme|retrain-local", text)


def test_every_option_is_a_parameter_of_its_own_with_its_type(strange: dict[str, Any]) -> None:
    kinds = {k: v["parameterType"] for k, v in strange["root"]["inputDefinitions"]["parameters"].items()}
    assert {name: kinds.pop(name) for name in pipeline.RUN} == dict.fromkeys(pipeline.RUN, "STRING")
    assert kinds == {
        "data_table": "STRING",
        "data_shops": "LIST",
        "preprocess_fraction": "NUMBER_DOUBLE",
        "preprocess_shuffle": "BOOLEAN",
        "train_algorithm": "STRING",
        "train_seed": "NUMBER_INTEGER",
        "train_layers": "LIST",
        "train_rate": "NUMBER_DOUBLE",
        "gate_metric": "STRING",
        "gate_goal": "STRING",
        "gate_margin": "NUMBER_DOUBLE",
        "gate_margin_kind": "STRING",
        "gate_confidence": "NUMBER_DOUBLE",
        "gate_on_undecided": "STRING",
        "gate_on_incomparable": "STRING",
    }


def test_the_pipeline_has_the_flow_s_name(strange: dict[str, Any]) -> None:
    assert strange["pipelineInfo"] == {"name": "two-words", "description": "Everything at once"}
    names = {task: filled(strange, task, STRANGE)["flow"] for task in (*CACHED, "upload-model")}
    assert set(names.values()) == {"two_words"}


def test_upload_model_runs_only_where_the_gate_says_yes(recommender: dict[str, Any]) -> None:
    root = recommender["root"]["dag"]["tasks"]
    assert sorted(root) == sorted([*CACHED, "condition-1"])
    gate = root["condition-1"]
    passed = "pipelinechannel--evaluate-passed"
    assert gate["triggerPolicy"]["condition"] == f"inputs.parameter_values['{passed}'] == true"
    producer = {"producerTask": "evaluate", "outputParameterKey": "passed"}
    assert gate["inputs"]["parameters"][passed] == {"taskOutputParameter": producer}
    assert list(recommender["components"]["comp-condition-1"]["dag"]["tasks"]) == ["upload-model"]


def test_all_but_upload_model_is_cached(recommender: dict[str, Any]) -> None:
    caching = {name: task.get("cachingOptions") for name, task in tasks(recommender).items()}
    assert caching.pop("condition-1") is None
    assert caching == {**{name: {"enableCache": True} for name in CACHED}, "upload-model": {}}


def test_upload_model_is_tried_again_and_what_flow_toml_says(
    recommender: dict[str, Any], strange: dict[str, Any]
) -> None:
    def retried(spec: dict[str, Any]) -> dict[str, int]:
        policies = {name: task.get("retryPolicy") for name, task in tasks(spec).items()}
        return {name: int(one["maxRetryCount"]) for name, one in policies.items() if one}

    assert retried(recommender) == {"upload-model": 2}
    assert retried(strange) == {"train": 3, "upload-model": 2}


@pytest.mark.parametrize("task", CACHED)
def test_nothing_of_one_run_alone_reaches_a_cached_step(recommender: dict[str, Any], task: str) -> None:
    names = {
        name.removeprefix("pipelinechannel--")
        for name in tasks(recommender)[task]["inputs"]["parameters"]
    }
    assert not names & {
        "version",
        "commit",
        "image",
        "serving_image",
        "pipeline_job",
        "environment",
        "github",
        "model_store",
    }


def test_a_step_s_result_depends_on_its_own_table_alone(recommender: dict[str, Any]) -> None:
    own = {
        task: {
            name.removeprefix("pipelinechannel--").partition("_")[0]
            for name in tasks(recommender)[task]["inputs"]["parameters"]
            if name.startswith("pipelinechannel--")
        }
        for task in CACHED
    }
    tables = {
        "get-data": {"data"},
        "preprocess": {"preprocess"},
        "train": {"train"},
        "evaluate": {"gate"},
    }
    assert own == tables


def test_every_step_runs_in_the_image_by_its_digest(strange: dict[str, Any]) -> None:
    images = {name: container["image"] for name, container in containers(strange).items()}
    assert images == dict.fromkeys((*CACHED, "upload-model"), IMAGE)


def test_every_step_is_called_as_the_image_understands(strange: dict[str, Any]) -> None:
    for name, container in containers(strange).items():
        assert container["command"] == ["python", "-m", "flows", name.replace("-", "_")]
        assert container["args"] == ["--executor-input", "{{$}}"]
        assert not container.get("env")


def test_every_step_has_the_machine_of_flow_toml(strange: dict[str, Any]) -> None:
    machines = {name: container["resources"] for name, container in containers(strange).items()}
    train = machines.pop("train")
    assert (train["resourceCpuLimit"], train["resourceMemoryLimit"]) == ("8", "32G")
    assert train["accelerator"]["resourceType"] == "NVIDIA_TESLA_T4"
    assert train["accelerator"]["resourceCount"] == "2"
    for other in machines.values():
        assert (other["resourceCpuLimit"], other["resourceMemoryLimit"]) == ("500m", "3Gi")
        assert "accelerator" not in other


def check_tables(spec: dict[str, Any], of: FlowConfig) -> None:
    """Every step's JSON, once filled in, is its table of flow.toml."""
    options = of.train.options
    train = {"algorithm": of.train.algorithm, "seed": of.train.seed, **options}
    data = {"table": of.data.table, **of.data_options}
    assert json.loads(filled(spec, "get-data", of)["data"]) == data
    assert json.loads(filled(spec, "preprocess", of)["preprocess"]) == of.preprocess
    assert json.loads(filled(spec, "train", of)["train"]) == train
    gate = json.loads(filled(spec, "evaluate", of)["gate"])
    assert convert(gate, Gate, "gate") == of.gate
    whole = json.loads(filled(spec, "upload-model", of)["config"])
    assert whole == {"data": data, "preprocess": of.preprocess, "train": train, "gate": gate}


def test_the_steps_get_their_tables_as_json(
    recommender: dict[str, Any], strange: dict[str, Any]
) -> None:
    check_tables(recommender, flow())
    check_tables(strange, STRANGE)


@pytest.mark.parametrize("name", config.names())
def test_the_steps_of_every_flow_get_their_tables(name: str, tmp_path: Path) -> None:
    check_tables(compiled(config.load(name), tmp_path), config.load(name))


def test_a_gate_with_a_floor_is_passed_on_whole(tmp_path: Path) -> None:
    whole = msgspec.structs.replace(STRANGE, gate=Gate(metric="m", goal="min", floor=-1.5, margin=0.0))
    check_tables(compiled(whole, tmp_path), whole)


def test_swapping_the_algorithm_changes_only_what_train_gets(
    recommender: dict[str, Any], tmp_path: Path
) -> None:
    other = flow("popularity")
    swapped = compiled(other, tmp_path)
    check_tables(swapped, other)
    before, after = dict(leaves(recommender)), dict(leaves(swapped))
    changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    assert changed
    tables = [("train", "runtimeValue", "constant"), ("config", "runtimeValue", "constant")]
    for path in changed:
        assert path[-3:] in tables or any("train_" in key for key in path), path


# What an interface declares and what the step of that name asks for.


class Recorder:
    """An Execution that notes the names that a step reads and writes."""

    TEXTS = {"window_from": "2026-01-01T00:00:00Z", "window_until": "2026-02-01T00:00:00Z",
             "snapshot": "2026-02-01T00:00:00Z", "flow": "recommender"}  # fmt: skip
    TABLES: dict[str, dict[str, Any]] = {
        "gate": {"metric": "m"},
        "train": {"algorithm": "svd"},
        "verdict": {"passed": True, "reasons": [], "champion": ""},
        "s3": {"region": "eu-west-1", "auth": "secret", "secret": "s"},
        "github": {"repository": "a/b", "secret": "s"},
    }

    def __init__(self) -> None:
        self.read, self.written = set[str](), set[str]()

    def text(self, name: str) -> str:
        self.read.add(name)
        return self.TEXTS.get(name, name)

    def table(self, name: str, kind: Any) -> Any:
        self.read.add(name)
        return convert(dict(self.TABLES.get(name, {})), kind, name)

    def metadata(self, name: str) -> dict[str, Any]:
        self.read.add(name)
        return {"algorithm": "svd", "format": "safetensors", "files": {}}

    def fetch(self, name: str) -> Path:
        self.read.add(name)
        return Path(name)

    def folder(self, name: str) -> Path:
        return Path(name)

    def uri(self, name: str) -> str:
        return f"gs://bucket/{name}"

    def put(self, name: str, metadata: Any) -> dict[str, Any]:
        self.written.add(name)
        return {}

    def note(self, name: str, metadata: Any) -> None:
        self.written.add(name)

    def set(self, name: str, value: Any) -> None:
        self.written.add(name)


FUNCTIONS = SimpleNamespace(
    get_data=lambda *_: {"summary": ""},
    preprocess=lambda *_: ({"summary": ""}, {}),
    train=lambda *_: Trained("safetensors", {}, ""),
    evaluate=lambda *_: Evaluated({}, Verdict(passed=True, reasons=())),
)


def functions(execution: Any) -> Any:
    """A flow's functions that do nothing; which flow it is, is asked for."""
    execution.text("flow")
    return FUNCTIONS


@pytest.mark.parametrize("name", interface.STEPS)
def test_an_interface_names_what_its_step_reads_and_writes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "_flow", functions)
    monkeypatch.setattr(step, "_options", lambda *_: None)
    monkeypatch.setattr(released, "client", lambda *_: None)
    monkeypatch.setattr(released, "fetch", lambda *_: None)
    monkeypatch.setattr(upload, "build", lambda *_: None)
    done = SimpleNamespace(manifest="s3://b/m/manifest.json", sha256="", state="")
    monkeypatch.setattr(upload, "upload", lambda *_: done)
    execution: Any = Recorder()
    step.STEPS[name](execution)
    assert execution.read == set(interface.STEPS[name].inputs)
    assert execution.written == set(interface.STEPS[name].outputs)


def test_there_is_an_interface_for_each_step() -> None:
    assert set(step.STEPS) == set(interface.STEPS)
