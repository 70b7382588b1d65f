"""The image classifier: what it learns, what its one file answers, and that it goes on where it was."""

import contextlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kfp import dsl
from safetensors.numpy import save_file

from flows import storage
from flows.config import Gate, Train, load
from flows.contract import Saved
from flows.errors import InputError, RetrainError
from flows.images import classifier, labelled, measured, png
from flows.images.classifier import Image
from flows.images.labelled import Labelled
from flows.vit import export, flow, sample
from flows.vit.config import METRICS, Preprocess, Vit
from laptop import packages
from localcloud.client import Client
from tests.conftest import PRODUCT, ROOT
from tests.localcloud.jobs import Jobs, tasks

SMALL = Vit(width=16, depth=2, heads=2, epochs=6, warmup=1, patience=6, batch=16, rate=0.01)
GATE = Gate(metric="accuracy", goal="max", floor=0.3)


def digits(count: int) -> Labelled:
    """The first digits of the sample."""
    found = list(islice(sample.digits(), count))
    names = [f"gs://b/{number:04}.png" for number in range(count)]
    return Labelled(names, [label for label, _ in found], [content for _, content in found])


@pytest.fixture(scope="module")
def libraries() -> Iterator[str]:
    """The folder of what the image that trains has besides main, installed once, as for a run."""
    packages.ensure("torch")
    place = str(next(one.parent for one in (ROOT / packages.FOLDER / "torch").glob("*/torch")))
    sys.path.append(place)
    yield place
    sys.path.remove(place)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Training set and holdout, of 300 digits."""
    root = tmp_path_factory.mktemp("split")
    folders = [root / name for name in ("data", "training", "holdout")]
    for folder in folders:
        folder.mkdir()
    labelled.write(digits(300), folders[0] / "images.parquet")
    flow.preprocess(Preprocess(), folders[0], {}, folders[1], folders[2])
    return folders[1], folders[2]


@pytest.fixture(scope="module")
def trained(libraries: str, split: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What train says, and the model's folder."""
    folder = tmp_path_factory.mktemp("model")
    return flow.train(Train(algorithm="vit"), SMALL, split[0], folder), folder


def weights(options: Vit, classes: int = 3) -> dict[str, np.ndarray[Any, Any]]:
    """Weights at random, by the network's names."""
    drawn = np.random.default_rng(0)
    width, places = options.width, (options.size // options.patch) ** 2 + 1

    def some(*shape: int) -> np.ndarray[Any, Any]:
        return drawn.normal(0, 0.3, shape).astype(np.float32)

    found = {"cls_token": some(1, 1, width), "pos_embed": some(1, places, width)}
    found |= _pair("patch_embed.proj", some(width, 3, options.patch, options.patch), some(width))
    for number in range(options.depth):
        for name, out, into in (
            ("attn.qkv", 3, 1),
            ("attn.proj", 1, 1),
            ("mlp.fc1", 4, 1),
            ("mlp.fc2", 1, 4),
        ):
            own = some(out * width, into * width), some(out * width)
            found |= _pair(f"blocks.{number}.{name}", *own)
        for name in ("norm1", "norm2"):
            found |= _pair(f"blocks.{number}.{name}", some(width), some(width))
    return (
        found
        | _pair("norm", some(width), some(width))
        | _pair("head", some(classes, width), some(classes))
    )


def _pair(name: str, weight: Any, bias: Any) -> dict[str, Any]:
    return {f"{name}.weight": weight, f"{name}.bias": bias}


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with weights at random: it needs no torch."""
    folder = tmp_path_factory.mktemp("untrained")
    (folder / classifier.FILE).write_bytes(export.write(weights(SMALL), SMALL, ["a", "b", "c"]))
    return folder


def asked(content: bytes) -> Image:
    return Image(b64=classifier.encoded(content))


def test_from_images_to_labels(trained: Any, split: tuple[Path, Path], tmp_path: Path) -> None:
    made, folder = trained
    saved = Saved(folder, "vit", made.format, "v1")
    found = flow.evaluate(GATE, saved, split[1], saved, tmp_path)
    assert (found.metrics["accuracy"] or 0) > 0.5  # ten classes
    assert found.metrics["skew"] == found.metrics["champion_skew"] == 0
    assert (found.metrics["export_skew"] or 0) < 1e-5
    assert pq.read_table(tmp_path / "scores.parquet").column_names[:3] == ["unit", *METRICS]
    assert set(made.series) == {"loss", "validation_loss", "validation_accuracy"}
    assert [len(of) for of in made.series.values()] == [made.metrics["epochs"]] * 3
    assert made.series["loss"][-1] < made.series["loss"][0]
    assert re.match(r"vit on (cpu|cuda) · epoch \d of 6 · ", made.summary)
    (answer,) = flow.load(folder, "vit", "onnx").predict([Image(**sample.INSTANCES[0])])
    assert answer["label"] in set("0123456789")
    assert 0 < answer["confidence"] <= 1


def test_a_file_that_is_not_what_was_trained_is_no_candidate(
    trained: Any, split: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(trained[1], tmp_path / "model")
    images = labelled.read(split[0])
    other = np.full((len(images.contents), 10), 0.1)
    measured.keep(tmp_path / "model", images.contents, other, lambda seen: seen)
    with pytest.raises(RetrainError, match=r"model\.onnx: a probability is 0\.\d+ away from what"):
        flow.evaluate(GATE, Saved(tmp_path / "model", "vit", "onnx"), split[1], None, tmp_path)


def test_the_same_images_give_the_same_bytes(
    trained: Any, split: tuple[Path, Path], tmp_path: Path
) -> None:
    flow.train(Train(algorithm="vit"), SMALL, split[0], tmp_path)
    first = (trained[1] / classifier.FILE).read_bytes()
    assert (tmp_path / classifier.FILE).read_bytes() == first
    flow.train(Train(algorithm="vit", seed=1), SMALL, split[0], tmp_path)
    assert (tmp_path / classifier.FILE).read_bytes() != first


def test_onnx_has_the_network_s_scores(libraries: str, untrained: Path) -> None:
    import torch  # type: ignore[import-not-found, unused-ignore]

    from flows.vit.network import Network

    network = Network(SMALL, 3).eval()
    network.load_state_dict({name: torch.from_numpy(one) for name, one in weights(SMALL).items()})
    contents = digits(50).contents
    shares, seen = flow.load(untrained, "vit", "onnx").shares(contents)
    with torch.inference_mode():
        expected = network(torch.from_numpy(classifier.pixels(contents, SMALL.size))).softmax(1).numpy()
    assert np.abs(shares - expected).max() < 1e-5
    assert np.ptp(expected, axis=0).min() > 0.01
    assert (seen == classifier.pixels(contents, SMALL.size)).all()


KILLED = """
import os, runpy, signal
from flows.vit import fit
whole = fit.Training._save
def save(self):
    whole(self)
    if self.progress.epoch == 3:  # of the second try, too, if it began anew
        os.kill(os.getpid(), signal.SIGKILL)
fit.Training._save = save
runpy.run_module("flows", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def jobs(cloud: Client) -> Jobs:
    return Jobs(cloud)


def training(jobs: Jobs, libraries: str, folder: Path, options: Vit) -> Any:
    """A pipeline of one step, killed in its third epoch, after a checkpoint, and tried again."""
    files = Path(PRODUCT).rglob("flows/**/*.py")
    code = {f"app/{path.relative_to(PRODUCT)}": path.read_text() for path in files}
    image = jobs.push({**code, "app/killed.py": KILLED}, {}, f"PYTHONPATH={libraries}")
    url = "https://storage.googleapis.com/upload/storage/v1/b/runs/o?uploadType=media&name=own/images.parquet"
    assert jobs.session.post(url, data=(folder / labelled.FILE).read_bytes()).ok
    given = {"algorithm": "vit", **msgspec.to_builtins(options)}

    @dsl.container_component  # type: ignore[untyped-decorator]
    def train(
        flow: str,
        train: str,
        training: dsl.Input[dsl.Dataset],
        model: dsl.Output[dsl.Model],
        metrics: dsl.Output[dsl.Metrics],
    ) -> dsl.ContainerSpec:
        command = ["python", "killed.py", "train", "--executor-input", "{{$}}"]
        return dsl.ContainerSpec(image=image, command=command)

    @dsl.pipeline(name="killed")  # type: ignore[untyped-decorator]
    def pipeline() -> None:
        own = dsl.importer("gs://runs/own", dsl.Dataset).output
        train(flow="vit", train=json.dumps(given), training=own).set_retry(1)

    return pipeline


def test_a_killed_step_goes_on_and_ends_with_the_same_bytes(
    jobs: Jobs, libraries: str, trained: Any, split: tuple[Path, Path]
) -> None:
    options = msgspec.structs.replace(SMALL, checkpoint=1e-9)
    job = jobs.run(training(jobs, libraries, split[0], options))
    log = (jobs.folder(job["name"]) / "logs" / "train.log").read_text()
    assert job["state"] == "PIPELINE_STATE_SUCCEEDED", log
    assert re.findall(r"^epoch (\d) of|(on from epoch \d)", log, re.M) == [
        *((str(n), "") for n in (1, 2, 3)), ("", "on from epoch 3"), *((str(n), "") for n in (4, 5, 6))
    ]  # fmt: skip
    uri = tasks(job)["train"]["outputs"]["model"]["artifacts"][0]["uri"].removeprefix("gs://runs/")
    bucket = "https://storage.googleapis.com/storage/v1/b/runs/o"
    left = jobs.session.get(bucket, params={"prefix": uri}).json()["items"]
    assert [one["name"].removeprefix(uri) for one in left] == ["/aside/asked.parquet", "/model.onnx"]
    made = jobs.session.get(f"{bucket}/{quote(uri + '/model.onnx', safe='')}?alt=media").content
    assert made == (trained[1] / classifier.FILE).read_bytes()


RESUMED = """
import contextlib, io, sys
sys.path.append({libraries!r})
from pathlib import Path
from google.cloud import storage
from flows import checkpoints
from flows.config import Train
from flows.errors import InputError
from flows.vit import flow
from flows.vit.config import Vit
bucket, options, answer = storage.Client().create_bucket("resumed"), {options!r}, []
def attempt(**changed):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            with checkpoints.beside("gs://resumed/model"):
                own = Vit(**(options | changed))
                flow.train(Train(algorithm="vit"), own, Path({training!r}), Path({model!r}))
        except InputError as error:
            print(error.what)
    answer.append([line.partition(":")[0] for line in said.getvalue().splitlines()[1:]])
bucket.blob("model-checkpoint").upload_from_string(b"damaged")
attempt()
attempt(rate=1e38)
attempt(rate=1e38)
"""


def test_a_damaged_checkpoint_is_left_and_what_diverged_is_not_repeated(
    program: Any, libraries: str, split: tuple[Path, Path], tmp_path: Path
) -> None:
    options = msgspec.to_builtins(msgspec.structs.replace(SMALL, epochs=2))
    given = {"libraries": libraries, "training": str(split[0]), "model": str(tmp_path)}
    epochs, no = ["epoch 1 of 2", "epoch 2 of 2"], "no epoch had a finite validation loss"
    damaged, diverged, again = program(RESUMED.format(options=options, **given))
    assert damaged == ["warning", *epochs]
    assert diverged == ["no checkpoint at gs", *epochs, no]
    assert again == ["a checkpoint is there", no]


def test_training_ends_early(libraries: str, split: tuple[Path, Path], tmp_path: Path) -> None:
    options = msgspec.structs.replace(SMALL, epochs=50, patience=1, rate=5.0)
    made = flow.train(Train(algorithm="vit"), options, split[0], tmp_path)
    assert made.metrics["epochs"] == made.metrics["best_epoch"] + 1 < 50


def test_training_that_diverged_says_what_to_change(
    libraries: str, split: tuple[Path, Path], tmp_path: Path
) -> None:
    options = msgspec.structs.replace(SMALL, epochs=2, rate=1e38)
    with pytest.raises(InputError, match="no epoch had a finite validation loss") as refused:
        flow.train(Train(algorithm="vit"), options, split[0], tmp_path)
    assert refused.value.mend == "lower [train.vit] rate"


def test_the_series_leaves_out_an_epoch_that_diverged_later(
    libraries: str, split: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.vit import fit

    whole = fit.Training._measure

    def measure(self: fit.Training) -> tuple[float, float]:
        return (float("nan"), 0.1) if self.progress.epoch == 1 else whole(self)

    monkeypatch.setattr(fit.Training, "_measure", measure)
    options = msgspec.structs.replace(SMALL, epochs=3)
    made = flow.train(Train(algorithm="vit"), options, split[0], tmp_path)
    assert [len(of) for of in made.series.values()] == [2] * 3
    assert np.isfinite(list(made.series.values())).all()


HUGGING_FACE = (
    ("cls_token", "vit.embeddings.cls_token"),
    ("pos_embed", "vit.embeddings.position_embeddings"),
    ("patch_embed.proj", "vit.embeddings.patch_embeddings.projection"),
    ("blocks.", "vit.encoder.layer."),
    (".norm1", ".layernorm_before"),
    (".norm2", ".layernorm_after"),
    (".attn.proj", ".attention.output.dense"),
    (".mlp.fc1", ".intermediate.dense"),
    (".mlp.fc2", ".output.dense"),
    ("head", "classifier"),
)


def hugging_face(own: dict[str, Any]) -> dict[str, Any]:
    """The weights as transformers' ViTForImageClassification names them."""
    found = {}
    for name, value in own.items():
        other = "vit.layernorm." + name.removeprefix("norm.") if name.startswith("norm.") else name
        for ours, theirs in HUGGING_FACE:
            other = other.replace(ours, theirs)
        if ".attn.qkv." in other:
            for part, rows in zip(("query", "key", "value"), np.split(value, 3), strict=True):
                found[other.replace(".attn.qkv.", f".attention.attention.{part}.")] = rows
        else:
            found[other] = value
    return found


@pytest.mark.parametrize("names", [dict, hugging_face])
def test_pretrained_weights_are_taken_by_either_s_names(libraries: str, names: Any) -> None:
    import torch

    from flows.vit import pretrained

    own = weights(SMALL)
    given = {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in names(own).items()}
    found = pretrained.renamed(given)
    assert {name: one.numpy().tobytes() for name, one in found.items()} == {
        name: one.tobytes() for name, one in own.items()
    }


def test_other_classes_and_another_size_begin_from_the_rest(
    libraries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from flows.vit import pretrained
    from flows.vit.network import Network

    given = {name: torch.from_numpy(one) for name, one in weights(SMALL).items()}
    monkeypatch.setattr(pretrained, "_load", lambda *_: dict(given))
    network = Network(msgspec.structs.replace(SMALL, size=16), 5)
    head = network.state_dict()["head.weight"].clone()
    pretrained.begin(network, "gs://b/model.safetensors", "")
    begun = network.state_dict()
    assert (begun["blocks.1.mlp.fc1.weight"] == given["blocks.1.mlp.fc1.weight"]).all()
    assert (begun["head.weight"] == head).all()
    assert begun["pos_embed"].shape == (1, 17, 16)
    assert (begun["pos_embed"][:, 0] == given["pos_embed"][:, 0]).all()
    wider = Network(msgspec.structs.replace(SMALL, width=32), 3)
    with pytest.raises(
        InputError, match=r"'cls_token' is \(1, 1, 16\), but this network's \(1, 1, 32\)"
    ):
        pretrained.begin(wider, "gs://b/m.safetensors", "")
    del given["blocks.1.norm1.bias"]
    with pytest.raises(InputError, match=r"gs://b/m\.safetensors has no 'blocks\.1\.norm1\.bias'"):
        pretrained.begin(Network(SMALL, 3), "gs://b/m.safetensors", "")


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("blocks.2.norm1.weight", (16,), r"has 'blocks\.2\.norm1\.weight', which this network has not"),
        ("blocks.0.ls1.gamma", (16,), r"has 'blocks\.0\.ls1\.gamma', which .* \(1 such\)"),
        ("blocks.0.attn.q_norm.weight", (8,), r"has 'blocks\.0\.attn\.q_norm\.weight', which"),
        ("pos_embed", (1, 16, 16), r"'pos_embed' is \(1, 16, 16\), but this network's \(1, 5, 16\)"),
        ("pos_embed", (1, 1, 16), r"'pos_embed' is \(1, 1, 16\), but this network's \(1, 5, 16\)"),
        ("pos_embed", (17, 16), r"'pos_embed' is \(17, 16\), but this network's \(1, 5, 16\)"),
        ("vit.pooler.dense.weight", (16, 16), ""),
    ],
)
def test_weights_of_another_network_are_refused(
    libraries: str, monkeypatch: pytest.MonkeyPatch, name: str, shape: tuple[int, ...], words: str
) -> None:
    import torch

    from flows.vit import pretrained
    from flows.vit.network import Network

    given = {own: torch.from_numpy(one) for own, one in weights(SMALL).items()}
    monkeypatch.setattr(pretrained, "_load", lambda *_: {**given, name: torch.zeros(shape)})
    refused = pytest.raises(InputError, match=words) if words else contextlib.nullcontext()
    with refused:
        pretrained.begin(Network(SMALL, 3), "gs://b/model.safetensors", "")


PRETRAINED = """
import sys
sys.path.append({libraries!r})
from google.cloud import storage
from flows.errors import InputError
from flows.vit import flow
from flows.vit.config import Vit
from flows.vit.network import Network
bucket = storage.Client().create_bucket("pretrained")
bucket.blob("vits/model.safetensors").upload_from_filename({path!r})
def begun(sha256):
    weights = {{"weights": "gs://pretrained/vits/model.safetensors", "weights_sha256": sha256}}
    return flow._network(Network, Vit(**({options!r} | weights)), list("abc"), 0)
answer = {{"head": begun({sha256!r}).state_dict()["head.weight"].tolist()}}
try:
    begun("0" * 64)
except InputError as error:
    answer["refused"] = error.what
"""


def test_pretrained_weights_are_read_from_cloud_storage_if_they_are_the_ones(
    program: Any, libraries: str, tmp_path: Path
) -> None:
    own = weights(SMALL)
    path = tmp_path / "model.safetensors"
    save_file(hugging_face(own), path)
    sha256, options = storage.hash_file(path).sha256, msgspec.to_builtins(SMALL)
    found = program(
        PRETRAINED.format(libraries=libraries, path=str(path), options=options, sha256=sha256)
    )
    assert found["head"] == own["head.weight"].tolist()
    assert found["refused"] == (
        f"gs://pretrained/vits/model.safetensors: its SHA-256 is {sha256},"
        f" but [train.vit] weights_sha256 is {'0' * 64}"
    )


def test_one_answer_is_not_a_matter_of_its_neighbours(untrained: Path) -> None:
    model = flow.load(untrained, "vit", "onnx")
    instances = [asked(content) for content in digits(70).contents]
    together, alone = model.predict(instances), [model.predict([one])[0] for one in instances]
    assert [one["label"] for one in together] == [one["label"] for one in alone]
    assert together[3]["confidence"] == pytest.approx(alone[3]["confidence"], abs=1e-6)
    assert model.predict([]) == []


def test_an_image_that_cannot_be_decoded_is_named_among_others(untrained: Path) -> None:
    model = flow.load(untrained, "vit", "onnx")
    good = png.grey(8, bytes(64))
    bad = good.replace(b"IDAT\x78", b"IDAT\x79", 1)
    with pytest.raises(InputError, match=r"instances\[1\]: its header is good, but its pixels cannot"):
        model.predict([asked(good), asked(bad), asked(good)])
    with pytest.raises(InputError, match=r"instances\[2\]: it is neither PNG nor JPEG"):
        model.predict([asked(good), asked(good), asked(b"words")])


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        ("train.patch=3", r"\[train\]: size = 8 is not a multiple of patch = 3"),
        ("train.heads=3", "width = 64 is not a multiple of heads = 3"),
        ("train.weights=gs://b/m.safetensors", "weights and weights_sha256, .*, belong together"),
        (f"train.weights_sha256={'0' * 64}", "weights and weights_sha256, .*, belong together"),
        ("train.weights=gs://b/m train.weights_sha256=0a", "weights_sha256 = '0a' is not 64 hex digits"),
    ],
)
def test_options_that_contradict_each_other_are_refused_before_anything_has_run(
    assignments: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        load("vit", assignments=assignments)


def test_what_cannot_be_learnt_from_is_refused(libraries: str, tmp_path: Path) -> None:
    few = digits(4)
    labelled.write(few, tmp_path / "images.parquet")
    with pytest.raises(InputError, match="the training set has 4 images, too few for validation_share"):
        flow.train(Train(algorithm="vit"), SMALL, tmp_path, tmp_path)
    labelled.write(Labelled(few.names, ["7"] * 4, few.contents), tmp_path / "images.parquet")
    with pytest.raises(InputError, match="all images have one label"):
        flow.train(Train(algorithm="vit"), SMALL, tmp_path, tmp_path)


def test_more_than_2_gb_of_images_may_be_sorted(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    labelled.write(digits(3), path)
    written = pq.read_table(path)
    assert written.schema.field("content").type == pa.large_binary()  # the others' offsets end there
    pq.write_table(written.cast(pa.schema([*list(written.schema)[:2], ("content", pa.binary())])), path)
    assert labelled.read(tmp_path) == digits(3)


def test_what_this_code_cannot_open_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot open a model of mlp in onnx"):
        flow.load(tmp_path, "mlp", "onnx")
    (tmp_path / classifier.FILE).write_bytes(b"no model")
    with pytest.raises(InputError, match=r"model\.onnx: it cannot be opened"):
        flow.load(tmp_path, "vit", "onnx")


def test_flow_toml_is_valid_and_the_sample_has_its_images(tmp_path: Path) -> None:
    found = load("vit")
    assert (found.image, found.train.algorithm) == ("torch", "vit")
    name, path = sample.table(tmp_path)
    rows = pq.read_table(path)
    assert (name, len(rows)) == (found.data.table, 1797)
    names = {f"gs://{sample.BUCKET}/{name}" for name, _ in sample.objects()}
    assert names == set(rows["image"].to_pylist())
    assert sorted(set(rows["label"].to_pylist())) == list("0123456789")
