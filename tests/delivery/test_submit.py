"""Submitting: names of versions and jobs, what a run is told, and one job a trigger."""

import json
import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from google.cloud import aiplatform_v1 as vertex

from delivery import compiled, image, pipeline, provenance, referrers, releases, settings, submit
from delivery.builder import Builder
from delivery.jobs import overrides
from delivery.layout import MANIFEST_TYPE, digest_of
from delivery.provenance import UnvouchedError
from delivery.settings import Environment
from delivery.submit import Trigger
from delivery.window import moment, window
from flows import config
from flows.config import Data
from flows.contract import Window
from flows.errors import InputError, RetrainError
from flows.manifest import Version
from tests.conftest import ROOT, Program
from tests.delivery.evidence import CHAMPION, IMAGE, environment, manifest, model
from tests.delivery.signers import Shelf

COMMIT, OLDER = "abc1234" + "0" * 33, "0" * 40
TIME = datetime(2026, 11, 21, 8, 45, tzinfo=UTC)
TRIGGER = Trigger(TIME, COMMIT)
CHANGED = datetime(2026, 11, 20, 3, 0, 0, 123000, tzinfo=UTC)
ROWS = Window(
    start=datetime(2017, 1, 1, tzinfo=UTC), end=datetime(2018, 1, 1, tzinfo=UTC), snapshot=CHANGED
)


def test_a_version_is_the_trigger_s_time_and_commit() -> None:
    assert TRIGGER.version == "v20261121-084500-abc1234"
    assert Trigger(TIME, COMMIT, 3).version == "v20261121-084500-abc1234-3"
    assert TRIGGER.job_id("recommender") == "recommender-v20261121-084500-abc1234"


@pytest.mark.parametrize("attempt", [1, 2, 99])
def test_a_version_is_one_to_everybody_who_reads_it(attempt: int) -> None:
    version = Trigger(TIME, COMMIT, attempt).version
    assert msgspec.convert(version, Version) == version
    assert releases.age(version) == ("20261121-084500", attempt)


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is not UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_away")
def test_the_trigger_s_time_counts_in_utc() -> None:
    assert TRIGGER.version == "v20261121-084500-abc1234"
    tokyo = TIME.astimezone(timezone(timedelta(hours=9)))
    assert Trigger(tokyo, COMMIT).version == TRIGGER.version


def test_a_job_s_id_and_labels_keep_vertex_ai_s_limits() -> None:
    longest = "a_" + "b" * 61
    job_id = Trigger(TIME, COMMIT, 99).job_id(longest)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,126}", job_id)
    for label in (longest, COMMIT, Trigger(TIME, COMMIT, 99).version):
        assert re.fullmatch(r"[a-z0-9_-]{1,63}", label)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-21T08:45:00Z", TIME),
        ("2026-11-21T17:45:00+09:00", TIME),
        ("2026-11-21T08:45:00", TIME),
    ],
)
def test_a_trigger_is_given_as_a_time(text: str, time: datetime) -> None:
    assert submit.parser().parse_args(["recommender", "--trigger", text]).trigger == time


def test_a_trigger_that_is_no_time_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        submit.parser().parse_args(["recommender", "--trigger", "yesterday"])
    assert ended.value.code == 2
    assert "yesterday" in capsys.readouterr().err


class Jobs:
    """The jobs that are there already."""

    parent = "projects/p/locations/r"

    def __init__(self, *versions: str) -> None:
        self.there = {f"{self.parent}/pipelineJobs/recommender-{version}" for version in versions}

    def find(self, name: str) -> Any | None:
        return name if name in self.there else None


@pytest.mark.parametrize(
    ("there", "attempt"), [([], 2), (["", "-2"], 3), (["", "-2", "-3"], 4), (["", "-3"], 2)]
)
def test_again_takes_the_first_attempt_that_is_free(there: list[str], attempt: int) -> None:
    jobs: Any = Jobs(*(TRIGGER.version + tail for tail in there))
    found = submit._next_attempt(jobs, config.load("recommender"), TRIGGER)
    assert found == Trigger(TIME, COMMIT, attempt)


def test_again_ends_some_time() -> None:
    jobs: Any = Jobs(*(Trigger(TIME, COMMIT, n).version for n in range(1, 100)))
    with pytest.raises(RetrainError, match="use a new --trigger"):
        submit._next_attempt(jobs, config.load("recommender"), TRIGGER)


class Interrupted(Jobs):
    """Jobs whose user is impatient: a Ctrl-C comes in the middle of each cancel."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = list[str]()

    def cancel(self, name: str) -> None:
        signal.raise_signal(signal.SIGINT)
        self.cancelled.append(name)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Ctrl-C as Python has it, whatever a test makes of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_second_ctrl_c_does_not_end_the_cancel_of_the_first() -> None:
    jobs: Any = Interrupted()
    with pytest.raises(KeyboardInterrupt), submit.cancelling(jobs, ["projects/p/…/1"]):
        signal.raise_signal(signal.SIGINT)
    assert jobs.cancelled == ["projects/p/…/1"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with nothing released, whose table changed at a known time."""
    own = settings.load(settings.ROOT / "settings.toml")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "load", lambda: own)
    monkeypatch.setattr(submit, "window", lambda data, project: ROWS)
    return tmp_path


def told(of: Environment | None = None) -> dict[str, Any]:
    flow = config.load("recommender")
    plan = {
        "version": TRIGGER.version,
        "commit": COMMIT,
        "image": IMAGE,
        "serving_image": IMAGE,
        "pipeline_job": "projects/p/…/1",
    }
    return submit.parameters(flow, of or environment(), plan)


def test_a_run_is_told_all_that_the_pipeline_asks_for(root: Path) -> None:
    flow = config.load("recommender")
    values = told()
    assert set(values) == {*pipeline.RUN, *pipeline.options(flow)}
    assert values["query"] == flow.query
    assert values["project"] == "retrain-local"
    assert values["environment"] == "local"
    assert (values["version"], values["commit"]) == ("v20261121-084500-abc1234", COMMIT)
    assert (values["image"], values["pipeline_job"]) == (IMAGE, "projects/p/…/1")
    assert (values["train_algorithm"], values["train_factors"]) == ("svd", 32)
    assert values["model_store"] == "s3://retrain-local-models"


def test_the_window_is_three_literal_moments(root: Path) -> None:
    values = told()
    assert values["window_from"] == "2017-01-01T00:00:00Z"
    assert values["window_until"] == "2018-01-01T00:00:00Z"
    assert values["snapshot"] == "2026-11-20T03:00:00.123000Z"


def test_the_champion_is_the_released_one(root: Path) -> None:
    assert [told()[name] for name in ("champion", "champion_sha256")] == ["", ""]
    champion = model(manifest(CHAMPION))
    both = releases.propose(releases.propose(None, champion, 10), model(), 10)
    path = root / "releases" / "local" / "recommender.toml"
    path.parent.mkdir(parents=True)
    path.write_text(releases.write(both))
    assert [told()[name] for name in ("champion", "champion_sha256")] == [
        champion.manifest,
        champion.sha256,
    ]


def test_secrets_are_named_to_the_steps_that_use_them(root: Path) -> None:
    values = told()
    common = {"region": "eu-west-1", "auth": "secret"}
    assert json.loads(values["s3_reader"]) == {**common, "secret": "s3-reader"}
    assert json.loads(values["s3_writer"]) == {**common, "secret": "s3-writer"}
    notify = {"repository": "acme/models", "secret": "github-notify-app"}
    assert json.loads(values["github"]) == notify
    assert "github-release-app" not in json.dumps(values)


def test_without_keys_a_step_is_told_its_role(root: Path) -> None:
    role = {"s3_auth": "web-identity", "s3_role": "arn:aws:iam::1:role/x", "s3_audience": "us"}
    values = told(msgspec.structs.replace(environment(), **role))
    expected = {"region": "eu-west-1", "auth": "web-identity", "role": role["s3_role"], "audience": "us"}
    assert json.loads(values["s3_reader"]) == json.loads(values["s3_writer"]) == expected


def test_an_experiment_is_compared_with_what_another_environment_released(root: Path) -> None:
    champion = model(manifest(CHAMPION))
    path = root / "releases" / "local" / "recommender.toml"
    path.parent.mkdir(parents=True)
    path.write_text(releases.write(releases.propose(None, champion, 10)))
    values = told(settings.load().environment("experiment"))
    assert (values["environment"], values["champion"]) == ("experiment", champion.manifest)
    assert json.loads(values["s3_writer"])["secret"] == json.loads(values["github"])["secret"] == ""
    assert json.loads(values["s3_reader"])["secret"] == "s3-reader"


def test_whatever_trains_base_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "Registry", lambda name: type("R", (), {"name": name}))
    monkeypatch.setattr(image, "resolve", lambda registry, commit: f"sha256:{len(registry.name)}")
    asked = list[str]()
    monkeypatch.setattr(provenance, "check", lambda one, registry, digest: asked.append(registry.name))
    flow, place = config.load("recommender"), environment().artifact_registry
    jobs: Any = Jobs()
    for group in ("base", "torch"):
        of = msgspec.structs.replace(flow, image=group)
        plan = submit.planned(jobs, of, environment(), TRIGGER, again=False)
        ran, served = f"{place}/{group}", f"{place}/base"
        assert plan["image"] == f"{ran}@sha256:{len(ran)}"
        assert plan["serving_image"] == f"{served}@sha256:{len(served)}"
    assert f"{place}/torch" in asked


def test_an_experiment_s_job_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "Registry", lambda name: type("R", (), {"name": name}))
    monkeypatch.setattr(image, "resolve", lambda registry, commit: "sha256:1")
    jobs: Any = Jobs()
    found = [
        submit.planned(jobs, config.load("recommender"), one, TRIGGER, again=False)["pipeline_job"]
        for one in (environment(), settings.load().environment("experiment"))
    ]
    assert [name.split("/")[-1] for name in found] == [
        "recommender-v20261121-084500-abc1234",
        "experiment-recommender-v20261121-084500-abc1234",
    ]


class Created(Jobs):
    """Jobs that keep what they are asked to start."""

    def create(self, job_id: str, spec: dict[str, Any], values: Any, labels: dict[str, str]) -> None:
        self.asked = vertex.PipelineJob(pipeline_spec=spec, labels=labels)


@pytest.mark.parametrize("given", [" ", " train.factors=16  data.days=30"])
def test_a_job_with_overrides_says_which(
    root: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setattr(compiled, "spec", lambda *_, **__: {"pipelineInfo": {"description": "Own"}})
    jobs, names = Created(), ("version", "commit", "image", "serving_image", "pipeline_job")
    flow = config.load("recommender", assignments=given)
    submit.submit(
        cast(Any, jobs), flow, environment(), {**dict.fromkeys(names, "a/x"), "commit": COMMIT}
    )
    assert ("overridden" in jobs.asked.labels) == bool(given.strip())
    assert overrides(jobs.asked) == " ".join(given.split())


@pytest.mark.parametrize("given", ["gate.floor=0.01", "train.factors=16 gate.on_undecided=pass"])
def test_a_gate_is_changed_by_an_experiment_alone(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setattr(submit, "Registry", lambda name: type("R", (), {"name": name}))
    monkeypatch.setattr(image, "resolve", lambda registry, commit: "sha256:1")
    flow, jobs = config.load("recommender", assignments=given), cast(Any, Jobs())
    with pytest.raises(InputError, match="'local' releases what passes its gate"):
        submit.planned(jobs, flow, environment(), TRIGGER, again=False)
    branches = settings.load().environment("experiment")
    assert submit.planned(jobs, flow, branches, TRIGGER, again=False)["commit"] == COMMIT


def test_an_image_that_nobody_vouches_for_is_not_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "Registry", lambda name: type("R", (), {"name": name}))
    monkeypatch.setattr(image, "resolve", lambda registry, commit: "sha256:1")
    monkeypatch.setattr(referrers, "attached", lambda *_: iter([]))
    attested = msgspec.structs.replace(environment(), attest="kms")
    jobs: Any = Jobs()
    with pytest.raises(
        UnvouchedError, match=r"base@sha256:1: nobody trusted says that train\.yml built it"
    ):
        submit.planned(jobs, config.load("recommender"), attested, TRIGGER, again=False)


def holding(key: str) -> Shelf:
    """A registry whose image of COMMIT and of OLDER says that it holds the content `key`."""
    shelf, config = Shelf(), json.dumps({"config": {"Labels": {image.LABEL: key}}}).encode()
    shelf.push_blob(config, digest_of(config))
    manifest = json.dumps({"config": {"digest": digest_of(config)}, "layers": []}).encode()
    for name in (digest_of(manifest), COMMIT, OLDER):
        shelf.push_manifest(name, manifest, MANIFEST_TYPE)
    return shelf


def test_a_vouched_image_of_other_content_is_not_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody put the commit's tag on an older one; what is not checked out cannot be compared."""
    attested = msgspec.structs.replace(environment(), attest="kms")
    monkeypatch.setattr(provenance, "check", lambda *_: None)
    monkeypatch.setattr(submit, "head", lambda root: COMMIT)

    def planned(key: str, commit: str) -> str:
        monkeypatch.setattr(submit, "Registry", lambda name: holding(key))
        trigger, jobs = Trigger(TIME, commit), cast(Any, Jobs())
        return str(submit.planned(jobs, config.load("recommender"), attested, trigger, False)["commit"])

    assert planned(image.content_key(ROOT, "base", Builder(attested.builder)), COMMIT) == COMMIT
    assert planned("0" * 64, OLDER) == OLDER
    with pytest.raises(InputError, match=r"holds content 0{12}, but this commit's is"):
        planned("0" * 64, COMMIT)


def test_an_environment_that_does_not_train_is_refused() -> None:
    closed = msgspec.structs.replace(environment(), train=False)
    jobs: Any = Jobs()
    with pytest.raises(InputError, match="'local' does not train"):
        submit.planned(jobs, config.load("recommender"), closed, TRIGGER, again=False)


# The window, with a table that last changed at CHANGED.


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.window._last_change", lambda table, project: CHANGED)


def data(**changed: Any) -> Data:
    return msgspec.structs.replace(Data(query="query.sql", table="retail.rows", days=365), **changed)


@pytest.mark.usefixtures("table")
def test_latest_ends_with_the_table_s_last_change() -> None:
    assert window(data(), "p") == Window(CHANGED - timedelta(days=365), CHANGED, CHANGED)


@pytest.mark.usefixtures("table")
def test_a_date_ends_at_its_midnight_in_utc() -> None:
    end = datetime(2018, 1, 1, tzinfo=UTC)
    assert window(data(until="2018-01-01", days=31), "p") == Window(
        datetime(2017, 12, 1, tzinfo=UTC), end, CHANGED
    )


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("until", ["last week", "2018-02-30", "2018-01-01T12:00:00Z", "", "Latest"])
def test_what_is_neither_a_date_nor_latest_is_named(until: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"[data] until = '{until}'")):
        window(data(until=until), "p")


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("days", [800_000, 10**10])
def test_a_window_longer_than_time_is_named(days: int) -> None:
    with pytest.raises(InputError, match=rf"\[data\] days = {days}"):
        window(data(days=days), "p")


@pytest.mark.usefixtures("far_away")
def test_a_moment_is_written_in_utc() -> None:
    tokyo = TIME.astimezone(timezone(timedelta(hours=9)))
    assert moment(tokyo) == "2026-11-21T08:45:00Z"
    assert datetime.fromisoformat(moment(CHANGED)) == CHANGED


# With a real local cloud.

SET_UP = f"""
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "vertex-ai-pipelines")!r}]
from datetime import UTC, datetime
import msgspec
from google.cloud import bigquery, storage
from delivery import image, pipeline, settings, submit, window
from delivery.jobs import Jobs
from delivery.registry import Registry
from delivery.submit import Trigger
from flows import config
from flows.errors import RetrainError

def refusal(call):
    try:
        return [None, str(call())]
    except RetrainError as error:
        return [type(error).__name__, str(error)]

environment = msgspec.structs.replace(
    settings.load().environment("local"), project="test-project", pipeline_root="gs://submit-test/root",
    artifact_registry="europe-west1-docker.pkg.dev/test-project/submit",
    pipeline_account="pipeline@test-project.iam.gserviceaccount.com")
flow = config.load("recommender")
google = bigquery.Client()
google.create_dataset("test-project.retail", exists_ok=True)
google.create_table(bigquery.Table("test-project.retail.transactions",
    [bigquery.SchemaField("id", "STRING")]), exists_ok=True)
"""

TWICE = """
bucket = storage.Client().lookup_bucket("submit-test") or storage.Client().create_bucket("submit-test")
registry = Registry(f"{environment.artifact_registry}/base")
digest, _ = image.publish(registry, settings.ROOT, "base", COMMIT)
trigger = Trigger(datetime(2026, 11, 21, 8, 45, tzinfo=UTC), COMMIT)
jobs = Jobs(environment)
answers = []
new = []
for again in (False, False, True):
    answers.append(submit.planned(jobs, flow, environment, trigger, again))
    new.append(submit.submit(jobs, flow, environment, answers[-1], {"schedule": "x"}))
    os.environ["GITHUB_RUN_ID"] = "42"
made = [jobs.find(name) for name in sorted({answer["pipeline_job"] for answer in answers})]
# Two that looked at once: the later one finds it there, and that is success.
jobs.create(made[0].name.rsplit("/", 1)[1], dict(made[0].pipeline_spec),
    dict(made[0].runtime_config.parameter_values), {})
jobs.create("elsewhere", dict(made[0].pipeline_spec), dict(made[0].runtime_config.parameter_values),
    {"flow": "recommender", "environment": "experiment"})
for job in (*made, jobs.find(f"{jobs.parent}/pipelineJobs/elsewhere")):
    jobs.cancel(job.name)
found = list(jobs._client.list_pipeline_jobs(parent=jobs.parent))
images = {e["container"]["image"] for e in made[0].pipeline_spec["deploymentSpec"]["executors"].values()}
answer = {"digest": digest, "answers": answers, "jobs": [job.name.split("/")[-1] for job in found],
    "newest": [[job.name.split("-")[-1] for job in jobs.newest("recommender", most)] for most in (9, 1)],
    "account": made[0].service_account, "labels": [dict(one.labels) for one in made], "new": new,
    "images": sorted(images),
    "name": made[0].pipeline_spec["pipelineInfo"]["name"], "display": made[0].display_name,
    "root": made[0].runtime_config.gcs_output_directory,
    "values": dict(made[0].runtime_config.parameter_values)}
"""


@pytest.mark.slow
def test_the_same_trigger_is_one_job_and_again_makes_another(program: Program) -> None:
    answer = program(f"{SET_UP}\nCOMMIT = {COMMIT!r}\n{TWICE}")
    first, second, third = answer["answers"]
    assert first == second
    assert first["version"] == "v20261121-084500-abc1234"
    assert third == first | {
        "version": first["version"] + "-2",
        "pipeline_job": first["pipeline_job"] + "-2",
    }
    assert sorted(n for n in answer["jobs"] if "-abc1234" in n) == [
        "recommender-v20261121-084500-abc1234",
        "recommender-v20261121-084500-abc1234-2",
    ]
    image = f"europe-west1-docker.pkg.dev/test-project/submit/base@{answer['digest']}"
    assert (first["image"], answer["images"]) == (image, [image])
    assert answer["account"] == "pipeline@test-project.iam.gserviceaccount.com"
    labels = {"flow": "recommender", "environment": "local", "commit": COMMIT, "schedule": "x"}
    assert answer["labels"] == [labels, {**labels, "run": "42"}]
    assert answer["new"] == [True, False, True]
    assert answer["newest"] == [["2", "abc1234"], ["2"]]
    assert (answer["name"], answer["root"]) == ("recommender", "gs://submit-test/root")
    assert answer["display"] == "recommender-v20261121-084500-abc1234"
    assert answer["values"]["pipeline_job"] == first["pipeline_job"]
    assert answer["values"]["train_factors"] == 32
    assert date.fromisoformat(answer["values"]["snapshot"][:10]) >= date(2020, 1, 1)


REFUSED = """
google.query("create or replace view retail.seen as select id from retail.transactions").result()
unknown = Trigger(datetime(2026, 11, 21, tzinfo=UTC), "f" * 40)
nowhere = "projects/test-project/locations/europe-west1/pipelineJobs/never"
def rows(table):
    return lambda: window.window(msgspec.structs.replace(flow.data, table=table), "test-project")
answer = [
    refusal(lambda: submit.planned(Jobs(environment), flow, environment, unknown, False)),
    refusal(rows("retail.nothing")),
    refusal(rows("nothing.transactions")),
    refusal(rows("a.b.c.d")),
    refusal(lambda: Jobs(environment).find(nowhere)),
    refusal(lambda: Jobs(environment).create("Not An Id", spec, {}, {})),
    refusal(rows("retail.seen")),
    refusal(rows("retail.transactions")),
]
"""


@pytest.mark.slow
def test_what_cannot_be_submitted_is_named(program: Program, tmp_path: Path) -> None:
    spec = f"from delivery import compiled\nspec = compiled.spec(flow, {IMAGE!r})"
    image, table, dataset, name, job, refused, view, good = program(f"{SET_UP}\n{spec}\n{REFUSED}")
    assert image[0] == "InputError"
    assert f"no image europe-west1-docker.pkg.dev/test-project/submit/base:{'f' * 40}" in image[1]
    assert table[0] == dataset[0] == name[0] == "InputError"
    assert "BigQuery table test-project.retail.nothing" in table[1]
    assert "BigQuery table test-project.nothing.transactions" in dataset[1]
    assert "[data] table = 'a.b.c.d' is not a table's name" in name[1]
    assert job == [None, "None"]
    assert refused[0] == "RetrainError"
    assert "refused the pipeline job Not An Id" in refused[1]
    assert view[0] == "InputError"
    assert "test-project.retail.seen is of type VIEW" in view[1]
    assert "name the table behind it" in view[1]
    assert good[0] is None
