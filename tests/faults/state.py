"""What must be true when a run has ended well, whatever happened before it: seen by public APIs."""

import base64
import hashlib
import json
import time
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config
from google.auth import jwt

from delivery.candidate import candidate_of
from tests.faults.worlds import FLOW, World

AIPLATFORM = "https://europe-west1-aiplatform.googleapis.com"
JOBS = f"{AIPLATFORM}/v1/projects/retrain-local/locations/europe-west1/pipelineJobs"
GITHUB = "https://api.github.com/repos/acme/models"
BUCKET = "retrain-local-models"
PATIENCE, PERIOD = 120.0, 0.3  # seconds
ENDED = {"PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED"}


class Seen:
    """A world's local cloud as its owner sees it."""

    def __init__(self, world: World) -> None:
        self._variables = world.environment().set
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.proxies = {"https": self._variables["HTTPS_PROXY"]}
        self._http.verify = self._variables["SSL_CERT_FILE"]

    def jobs(self) -> dict[str, str]:
        """The state of each pipeline job, by id."""
        key = self._variables["GOOGLE_APPLICATION_CREDENTIALS"]
        credentials = jwt.Credentials.from_service_account_file(key, audience=f"{AIPLATFORM}/")
        credentials.refresh(None)
        found = self._get(JOBS, credentials.token.decode())
        listed = found.get("pipelineJobs", [])
        return {job["name"].rsplit("/", 1)[1]: job["state"] for job in listed}

    def github(self, path: str) -> Any:
        """An answer of the repository's API."""
        return self._get(f"{GITHUB}{path}", self._variables["GITHUB_TOKEN"])

    def released(self) -> dict[str, Any]:
        """The releases file on the release branch."""
        file = self.github(f"/contents/releases/local/{FLOW}.toml?ref=release/local/{FLOW}")
        return tomllib.loads(base64.b64decode(file["content"]).decode())

    @cached_property
    def objects(self) -> dict[str, bytes]:
        """All models' objects."""
        names = self._variables
        s3 = boto3.session.Session(
            names["AWS_ACCESS_KEY_ID"], names["AWS_SECRET_ACCESS_KEY"], region_name="eu-west-1"
        ).client(
            "s3",
            verify=names["AWS_CA_BUNDLE"],
            config=Config(proxies={"https": names["HTTPS_PROXY"]}),
        )
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="models/").get("Contents", [])
        keys = [one["Key"] for one in listed]
        return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def _get(self, url: str, token: str) -> Any:
        answer = self._http.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        answer.raise_for_status()
        return answer.json()


def wrong(world: World, answer: dict[str, Any]) -> list[str]:
    """What is not as after an undisturbed run that gave `answer`.

    A job whose run was killed goes on by itself, as on Vertex AI, and brings a candidate that is too
    old: first all must be quiet.
    """
    seen = Seen(world)
    settle(seen)
    return [
        *_jobs(seen, answer),
        *_models(seen),
        *_release(seen, answer),
        *_runs(seen),
        *_locks(world.folder / ".local"),
    ]


def settle(seen: Seen) -> None:
    """Wait, within reason, until no job and no workflow runs."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not (set(seen.jobs().values()) <= ENDED and not _runs(seen)):
        time.sleep(PERIOD)


def _jobs(seen: Seen, answer: dict[str, Any]) -> list[str]:
    jobs = seen.jobs()
    own = answer["pipeline_job"].rsplit("/", 1)[1]
    running = [f"job {name} is {state}" for name, state in jobs.items() if state not in ENDED]
    own_state = jobs.get(own)
    bad = [] if own_state == "PIPELINE_STATE_SUCCEEDED" else [f"job {own} is {own_state}"]
    versions = {key.split("/")[2] for key in seen.objects}
    strays = versions - {name.removeprefix(f"{FLOW}-") for name in jobs}
    return running + bad + [f"model version {name} has no job of its own" for name in strays]


def _models(seen: Seen) -> list[str]:
    """Manifests and objects name each other; a version without a manifest is one that was broken off."""
    found, wrongs = seen.objects, list[str]()
    succeeded = {n for n, state in seen.jobs().items() if state == "PIPELINE_STATE_SUCCEEDED"}
    for version in {key.split("/")[2] for key in found}:
        folder = f"models/{FLOW}/{version}/"
        own = {k.removeprefix(folder): data for k, data in found.items() if k.startswith(folder)}
        if "manifest.json" not in own:
            done = f"{FLOW}-{version}" in succeeded
            wrongs += [f"{folder} has no manifest, and its job succeeded"] if done else []
            continue
        named = json.loads(own.pop("manifest.json"))["files"]
        there = {n: {"sha256": hashlib.sha256(d).hexdigest(), "bytes": len(d)} for n, d in own.items()}
        wrongs += [] if there == named else [f"{folder}: {there}, its manifest names {named}"]
    return wrongs


def _release(seen: Seen, answer: dict[str, Any]) -> list[str]:
    pulls, model = seen.github("/pulls?state=all"), answer["model"]
    if answer["state"] != "proposed" or [pull["state"] for pull in pulls] != ["open"]:
        return [f"state {answer['state']}, pull requests {[(p['number'], p['state']) for p in pulls]}"]
    candidate, released = candidate_of(pulls[0]["body"]), seen.released()
    entry = released.get("challenger") or released["champion"]
    manifest = seen.objects.get(model["uri"].split("/", 3)[3], b"")
    facts = {
        "the pull request": candidate and (candidate.version, candidate.manifest, candidate.sha256),
        "the releases file": (entry["version"], entry["manifest"], entry["sha256"]),
        "the manifest": (model["version"], model["uri"], hashlib.sha256(manifest).hexdigest()),
    }
    expected = (model["version"], model["uri"], model["sha256"])
    labels = {label["name"] for label in pulls[0]["labels"]}
    return [
        *(
            f"{where} says {found}, expected {expected}"
            for where, found in facts.items()
            if found != expected
        ),
        *([] if labels == {"release", FLOW} else [f"labels {labels}"]),
    ]


def _runs(seen: Seen) -> list[str]:
    runs = seen.github("/actions/runs")["workflow_runs"]
    return [
        f"workflow run {run['id']} is {run['status']}" for run in runs if run["status"] != "completed"
    ]


def _locks(local: Path) -> list[str]:
    """Locks of git; the others are held by processes, and end with them."""
    places = (*local.glob("tree.git/**/*.lock"), *local.glob("checkouts/*/.git/**/*.lock"))
    return [f"{path} is left" for path in places]
