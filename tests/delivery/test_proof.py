"""Challenger against champion: what Cloud Monitoring says is read, judged and shown."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from github import InputGitAuthor

from delivery import google_session, monitoring, promoting, proof, pull, releases, settings
from delivery.edit_verb import Asked
from delivery.monitoring import Answers, Window
from delivery.rollout import Target
from delivery.serving_names import deployed_id
from flows.serving_config import Serving
from tests.delivery import evidence
from tests.delivery.evidence import CHAMPION, VERSION
from tests.delivery.hub import PATH, Hub, hub

BOTH = evidence.evidence().proposed  # champion at 90 %, challenger at 10 %
TARGET = Target("recommender", "local", BOTH, Serving())
IDS = {version: deployed_id(version, TARGET.machine) for version in (CHAMPION, VERSION)}
END = datetime(2026, 11, 21, 12, tzinfo=UTC)
FORM = "%Y-%m-%dT%H:%M:%SZ"
EXPONENTIAL = {"exponentialBuckets": {"numFiniteBuckets": 3, "growthFactor": 2, "scale": 1000}}
EXPLICIT = {"explicitBuckets": {"bounds": [1, 10, 100]}}
LINEAR = {"linearBuckets": {"numFiniteBuckets": 2, "width": 5, "offset": 10}}


def count(version: str, name: str, number: int, **labels: str) -> dict[str, Any]:
    """A series of two points, of the hours before the last one."""
    halves = [
        {"interval": {"startTime": f"{END - timedelta(hours=ago):{FORM}}"}, "value": {"int64Value": one}}
        for ago, one in ((3, str(number // 2)), (2, str(number - number // 2)))
    ]
    named = {"deployed_model_id": IDS[version], **labels}
    return {
        "metric": {"type": f"{monitoring.METRIC}/{name}", "labels": named},
        "points": halves,
        "unit": "1",
    }


def latencies(version: str, options: Any, counts: list[int], unit: str = "ms") -> dict[str, Any]:
    value = {"bucketOptions": options, "bucketCounts": [str(one) for one in counts]}
    one = count(version, "prediction_latencies", 0, latency_type="total")
    return one | {"points": [{"value": {"distributionValue": value}}], "unit": unit}


class Monitoring(ThreadingHTTPServer):
    """Cloud Monitoring's one call, one series a page."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.series: list[dict[str, Any]] = []
        self.asked: list[dict[str, str]] = []
        self.status = 200


class Handler(BaseHTTPRequestHandler):
    server: Monitoring

    def do_GET(self) -> None:
        query = {key: one[0] for key, one in parse_qs(urlsplit(self.path).query).items()}
        self.server.asked.append(query)
        wanted = [one for one in self.server.series if f'"{one["metric"]["type"]}"' in query["filter"]]
        page = int(query.get("pageToken", "0"))
        more = {"nextPageToken": str(page + 1)} if page + 1 < len(wanted) else {}
        body = json.dumps({"timeSeries": wanted[page : page + 1], **more}).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitoring]:
    """Cloud Monitoring, where both have answered well."""
    with Monitoring() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(monitoring, "API", f"http://127.0.0.1:{server.server_port}/v3")
        monkeypatch.setattr(google_session, "session", lambda adapter: requests.Session())
        for version, number in ((CHAMPION, 9000), (VERSION, 1000)):
            server.series += [
                count(version, "response_count", number, response_code="200"),
                count(version, "response_count", 1, response_code="500"),
                count(version, "prediction_count", 2 * number),
                latencies(version, EXPONENTIAL, [0, number, 0, 0, 0], "us"),
            ]
        yield server
        server.shutdown()
        thread.join()


def gathered() -> proof.Proof:
    return proof.gather(evidence.environment(), TARGET, END - timedelta(hours=3), END)


def test_what_was_counted_is_shown(counted: Monitoring) -> None:
    found = gathered()
    assert found.of(BOTH.champion) == Answers(9001, 1, 18000, Counter({(1.0, 2.0): 9000}))
    shown = proof.shown(found, BOTH, Serving())
    assert shown.startswith("From 2026-11-21 09:00 to 2026-11-21 12:00 UTC, by Cloud Monitoring:\n")
    assert f"| champion `{CHAMPION}` | 9,001 | 0.0111 % (1) | 1.5 ms | 1.99 ms | 18,000 |" in shown
    assert f"| challenger `{VERSION}` | 1,001 | 0.0999 % (1) | 1.5 ms | 1.99 ms | 2,000 |" in shown
    assert shown.endswith("the challenger may have more.")
    first = counted.asked[0]
    assert 'resource.labels.endpoint_id="recommender-local"' in first["filter"]
    assert first["interval.startTime"] == "2026-11-21T09:00:00Z"


def test_a_window_is_no_longer_than_a_week(counted: Monitoring) -> None:
    proof.gather(evidence.environment(), TARGET, END - timedelta(days=30), END)
    assert counted.asked[0]["interval.startTime"] == "2026-11-14T12:00:00Z"


def test_both_are_judged_from_the_challengers_first_answer_on(counted: Monitoring) -> None:
    found = proof.gather(evidence.environment(), TARGET, END - timedelta(hours=9), END)
    assert found.window.start == END - timedelta(hours=3)
    assert f'deployed_model_id="{IDS[VERSION]}"' in counted.asked[0]["filter"]
    wide, *later = [one["interval.startTime"] for one in counted.asked if "pageToken" not in one]
    assert (wide, set(later)) == ("2026-11-21T03:00:00Z", {"2026-11-21T09:00:00Z"})
    counted.series = []
    found = proof.gather(evidence.environment(), TARGET, END - timedelta(hours=9), END)
    assert found.window.start == END - timedelta(hours=9)


@pytest.mark.parametrize(
    ("options", "counts", "share", "expected"),
    [
        (EXPLICIT, [0, 10, 0, 0], 0.5, 5.5),
        (EXPLICIT, [10], 0.5, 0.5),
        (EXPLICIT, [0, 0, 0, 10], 0.99, 100.0),
        (LINEAR, [0, 10, 10], 0.75, 17.5),
        ({}, [0, 4], 0.5, 0.0),
        (EXPLICIT, [], 0.5, None),
    ],
)
def test_a_quantile_is_found_in_any_buckets(
    counted: Monitoring, options: Any, counts: list[int], share: float, expected: float | None
) -> None:
    counted.series = [latencies(VERSION, options, counts)]
    window = Window(END - timedelta(hours=1), END)
    found = monitoring.answers("retrain-local", "recommender-local", window)[IDS[VERSION]]
    assert found.latency(share) == expected


def test_what_cannot_be_known_is_said(
    counted: Monitoring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counted.status = 403
    assert proof.shown(gathered(), BOTH, Serving()) == "None: Cloud Monitoring answers 403."
    assert proof.lacks(gathered(), BOTH, Serving()) == ["Cloud Monitoring answers 403"]
    monkeypatch.undo()
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing"))
    assert "cannot be asked: DefaultCredentialsError" in gathered().obstacle
    store = TARGET._replace(serving=Serving(kind="store"))
    assert "no endpoint" in proof.gather(evidence.environment(), store, END, END).obstacle


def answers(responses: int, errors: int = 0, p99: float = 10.0) -> Answers:
    return Answers(responses, errors, responses, Counter({(p99, p99): responses}))


@pytest.mark.parametrize(
    ("champion", "challenger", "reason"),
    [
        (answers(9000), answers(1000), ""),
        (answers(90_000, 900), answers(10_000, 100), ""),
        (answers(9000), answers(1000, p99=12.5), ""),
        (answers(9000), answers(999), "the challenger has answered 999 requests, fewer than 1,000"),
        (answers(0), answers(1000), "the champion has answered 0 requests"),
        (answers(9000), answers(1), "the challenger has answered 1 request, fewer than 1,000"),
        (answers(9000), answers(1000, 4), "error rate may be higher by 0."),
        (answers(9000), answers(1000, p99=12.6), "p99 is 12.6 ms, the champion's 10 ms: more than 25 %"),
        (answers(9000), Answers(1000, 0, 1000), "the latencies are not known"),
    ],
)
def test_the_rule(champion: Answers, challenger: Answers, reason: str) -> None:
    window = Window(END - timedelta(hours=1), END)
    found = proof.Proof(window, {CHAMPION: champion, VERSION: challenger})
    reasons = proof.lacks(found, BOTH, Serving())
    assert ([] if not reason else [one for one in reasons if reason in one]) == reasons
    assert bool(reasons) == bool(reason)


def test_a_champion_alone_needs_no_judgement() -> None:
    alone = releases.alone(BOTH.champion)
    found = proof.Proof(Window(END, END), {CHAMPION: answers(10)})
    assert proof.lacks(found, alone, Serving()) == ["there is no challenger"]
    assert "may" not in proof.shown(found, alone, Serving())
    assert "may" not in proof.shown(found, BOTH, Serving(), is_judged=False)


Propose = Callable[[], str]


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Hub]:
    with hub(tmp_path / "github") as found:
        found.main(releases.write(BOTH))
        yield found


@pytest.fixture
def propose(
    github: Hub, counted: Monitoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Propose:
    """The tick's step for a flow with promote = "auto", in a checkout of main."""
    checkout = tmp_path / "checkout" / "releases" / "local" / "recommender.toml"
    checkout.parent.mkdir(parents=True)
    checkout.write_text(releases.write(BOTH))
    asked = Asked(settings.load(), evidence.environment(), "recommender", Serving(promote="auto"))
    monkeypatch.setattr(settings, "ROOT", tmp_path / "checkout")
    present = datetime.now(UTC) + timedelta(minutes=1)
    return lambda: promoting.propose(asked, github.job, lambda: github.app, present)


def test_good_evidence_opens_the_next_rung_once(github: Hub, propose: Propose) -> None:
    assert "opened: Give recommender" in propose()
    [found] = github.pulls()
    assert found.user.login == "retrain-release[bot]"
    assert f"| challenger `{VERSION}` | 1,001 |" in found.body
    assert propose() == f"pull request #{found.number} is open"
    found.edit(state="closed")
    assert propose() == f"pull request #{found.number} proposed the next rung, and was closed"
    assert github.pulls() == []
    again = github.person.create_pull(base="main", head=found.head.ref, title="Another", body="")
    again.edit(state="closed")
    assert propose() == f"pull request #{found.number} proposed the next rung, and was closed"


@pytest.mark.parametrize("branch", ["rollout/local/recommender", "release/local/recommender"])
def test_main_says_it_since_the_merge(github: Hub, branch: str) -> None:
    monday = InputGitAuthor("a", "a@example.com", "2026-11-16T09:00:00Z")
    github.person.create_git_ref(f"refs/heads/{branch}", github.head("main"))
    edited = releases.write(releases.promote(BOTH, [10, 50, 100]))
    old = github.person.get_contents(PATH, ref=branch).sha
    github.person.update_file(PATH, "more", edited, old, branch, monday, monday)
    github.person.create_pull(base="main", head=branch, title="More", body="").merge()
    [merged] = github.pulls("closed")
    newest = github.person.get_commits(sha="main", path=PATH)[0].commit
    assert newest.committer.date == datetime(2026, 11, 16, 9, tzinfo=UTC)
    asked = Asked(settings.load(), evidence.environment(), "recommender", Serving())
    assert asked.since(github.job) == merged.merged_at


def test_bad_evidence_opens_none(github: Hub, propose: Propose, counted: Monitoring) -> None:
    counted.series.append(count(VERSION, "response_count", 50, response_code="503"))
    assert propose().startswith("no larger share yet: the challenger's error rate may be higher by")
    assert github.pulls() == []


def test_what_main_no_longer_says_is_not_promoted(github: Hub, propose: Propose) -> None:
    github.main(releases.write(releases.alone(BOTH.champion)))
    assert propose() == "main says so already"
    assert pull.find(github.person, "rollout/local/recommender").open is None


def test_what_main_has_deleted_is_not_brought_back(github: Hub, propose: Propose) -> None:
    github.person.delete_file(PATH, "out", github.person.get_contents(PATH).sha, branch="main")
    assert propose() == "main declares no release any more"
    assert github.pulls("all") == []
