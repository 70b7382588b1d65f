"""`run --release`: the release pull request is merged, deploy.yml followed, and what serves is asked."""

import json
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice
from typing import Any

from delivery import google_session, releases
from delivery.branch import MAIN
from delivery.serving_names import endpoint_id
from delivery.settings import Environment
from delivery.work import Work
from flows import config
from flows.errors import InputError, RetrainError
from laptop.button import PERIOD, looks
from laptop.report import repository
from laptop.shown import MARK, detail, say, show_failed
from laptop.world import ENVIRONMENT, local_environment

DEPLOY = "deploy.yml"
BEGIN = 60.0  # seconds in which a push has started its workflows
NEWEST = 20  # of the workflow's runs
CALL = 60.0  # seconds that a prediction may take: Vertex AI's own limit
NONE: dict[str, Any] = {"endpoint": None, "traffic": {}, "prediction": None}


def roll_out(result: dict[str, Any]) -> Work[dict[str, Any]]:
    """A run's `result`, and what came of its release: merged where it was proposed, and asked.

    Raises RetrainError where GitHub refuses to merge, or the endpoint to answer.
    """
    if result["state"] not in ("proposed", "unchanged"):
        return result | NONE
    state = result["state"]
    if state == "proposed":
        number = result["pull_request"]["number"]
        detail("release", f"pull request #{number}, merged")
        if not (yield from _deployed(_merged(number))):
            return result | NONE | {"state": "failed"}
        state = "released"
    whole = result | {"state": state, **_serving(result["flow"])}
    if MARK.get():
        say("serving", _brief(whole))
    return whole


def _merged(number: int) -> str:
    """The commit of main that a pull request's merge made; the pull request is as it was looked at."""
    request = repository().get_pull(number)
    return str(request.merge(sha=request.head.sha).sha)


def _deployed(commit: str) -> Work[bool]:
    """Whether deploy.yml has ended well for a commit of main."""
    start, run = time.monotonic(), (yield from _run_for(commit))
    for ended in looks(run):
        for job in ended:
            if job.conclusion == "failure":
                show_failed(run, job)
        yield PERIOD
    if run.conclusion != "success":
        say("failed", f"{DEPLOY}: {run.conclusion} · ./scripts/localcloud logs run-{run.id}")
        return False
    detail("deploy", f"{time.monotonic() - start:.1f} s · ./scripts/localcloud logs run-{run.id}")
    return True


def _run_for(commit: str) -> Work[Any]:
    """The workflow's run that the push of `commit` started. Raises RetrainError."""
    workflow, deadline = repository().get_workflow(DEPLOY), time.monotonic() + BEGIN
    while time.monotonic() < deadline:
        for run in islice(workflow.get_runs(), NEWEST):
            if run.head_sha == commit:
                return run
        yield PERIOD
    raise RetrainError(f"{DEPLOY} has not started for {commit[:7]}", "look at ./scripts/localcloud runs")


def _serving(flow: str) -> dict[str, Any]:
    """What serves the flow now, and what it answers."""
    environment = local_environment()
    serving = config.load(flow).serving_in(environment.name)
    current = _released(flow, MAIN)
    if current is None:
        return NONE
    if serving.kind != "endpoint":
        _show(flow, current, current.shares, serving.ladder)
        return NONE | {"traffic": current.shares}
    name = f"{environment.location}/endpoints/{serving.endpoint or endpoint_id(flow, environment.name)}"
    traffic = _traffic(environment, name)
    prediction = _asked(environment, name, flow)
    _show(flow, current, traffic, serving.ladder)
    return {"endpoint": name, "traffic": traffic, "prediction": prediction}


def _released(flow: str, commit: str) -> releases.Release | None:
    """What a commit declares."""
    from github import UnknownObjectException

    path = releases.path(ENVIRONMENT, flow)
    try:
        text = repository().get_contents(path, ref=commit).decoded_content.decode()
    except UnknownObjectException:
        return None
    return releases.parse(text, f"{commit}:{path}")


def _show(flow: str, current: releases.Release, traffic: dict[str, int], ladder: Sequence[int]) -> None:
    """Who serves with which share, and how that is changed and undone."""
    roles = {entry.version: role for role, entry in current.roles()}
    for version, share in traffic.items():
        detail("traffic", f"{version} {share:>3} % · {roles.get(version, 'not declared')}")
    if current.challenger:
        detail("next", following(flow, current, ladder))
    if not MARK.get():
        say("undo", undoing(flow, current, _before(flow)))


def following(flow: str, current: releases.Release, ladder: Sequence[int]) -> str:
    """The challenger's next step."""
    rival = releases.promote(current, ladder).challenger
    step = f"gives the challenger {rival.traffic} %" if rival else "makes the challenger champion, alone"
    return f"./scripts/promote {flow} {step} · ./scripts/ab {flow} SHARE gives it any other share"


def undoing(flow: str, current: releases.Release, earlier: Iterable[releases.Release]) -> str:
    """How what is released is undone: a first release has no champion before it."""
    if current.challenger or releases.before(current, earlier):
        return f"./scripts/rollback {flow}, or revert the merge"
    return f"revert the merge, then {releases.prune(ENVIRONMENT, flow)}"


def _before(flow: str) -> Iterator[releases.Release]:
    """What main has declared of the flow, the newest first; what was not valid is left out."""
    commits = repository().get_commits(sha=MAIN, path=releases.path(ENVIRONMENT, flow))
    for commit in islice(commits, NEWEST):
        with suppress(InputError):
            if found := _released(flow, commit.sha):
                yield found


def _traffic(environment: Environment, name: str) -> dict[str, int]:
    """The endpoint's traffic in percent, by version."""
    from google.cloud.aiplatform_v1.services.endpoint_service import EndpointServiceClient

    client = EndpointServiceClient(client_options={"api_endpoint": _host(environment)})
    found = client.get_endpoint(name=name, timeout=CALL)
    versions = {one.id: one.display_name for one in found.deployed_models}
    return {versions[one]: share for one, share in sorted(found.traffic_split.items()) if share}


def _asked(environment: Environment, name: str, flow: str) -> Any:
    """The endpoint's first prediction for the flow's example, by the SDK and by plain HTTP."""
    instances = getattr(import_module(f"flows.{flow}.sample"), "INSTANCES", None)
    if not instances:
        say("prediction", f"not asked: flows/{flow}/sample.py has no INSTANCES")
        return None
    _ask_sdk(environment, name, instances)
    url = f"https://{_host(environment)}/v1/{name}:predict"
    answer = google_session.session().post(url, json={"instances": instances}, timeout=CALL)
    if answer.status_code != 200:
        raise RetrainError(f"{url}: {answer.status_code}: {answer.text}", "./scripts/localcloud logs")
    found = answer.json()
    prediction = found["predictions"][0]
    detail("prediction", f"{_short(instances[0])} → {_short(prediction)}")
    detail("ask it", f'(eval "$(./scripts/localcloud env)"; {_curl(url, instances)})')
    return prediction


def _ask_sdk(environment: Environment, name: str, instances: list[Any]) -> None:
    """Raises GoogleAPICallError where the endpoint does not answer."""
    from google.cloud.aiplatform_v1.services.prediction_service import PredictionServiceClient
    from google.protobuf import json_format, struct_pb2

    client = PredictionServiceClient(client_options={"api_endpoint": _host(environment)})
    values = [json_format.ParseDict(one, struct_pb2.Value()) for one in instances]
    client.predict(endpoint=name, instances=values, timeout=CALL)


def _curl(url: str, instances: list[Any]) -> str:
    """The command line that asks the same; on the real cloud, gcloud gives the token."""
    headers = '-H "Authorization: Bearer $(./scripts/localcloud token)" -H content-type:application/json'
    return f"curl -s {headers} -d {shlex.quote(json.dumps({'instances': instances}))} {url}"


def _brief(result: dict[str, Any]) -> str:
    """A flow's release on one line: who serves it, and what it answers."""
    shares = [f"{version} {share} %" for version, share in result["traffic"].items()]
    merged = [f"#{result['pull_request']['number']} merged"] if result["pull_request"] else []
    answers = [] if result["prediction"] is None else [f"answers {_short(result['prediction'], 40)}"]
    return " · ".join([*merged, *shares, *answers]) or "nothing"


def _short(value: Any, longest: int = 80) -> str:
    text = json.dumps(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _host(environment: Environment) -> str:
    return f"{environment.region}-aiplatform.googleapis.com"
