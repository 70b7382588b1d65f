"""A roll-out's moments: since when a model waits, how long its last requests last, what is looked at."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from delivery import provenance, rolling
from delivery.provenance import UnvouchedError
from delivery.rolling import Rolling
from delivery.rollout import Action, Split, State, Target, Undeploy
from tests.delivery import evidence
from tests.delivery.test_rollout import NOTHING, deployed, fresh, rolled_out, target

V1 = evidence.OLD
LONG_AGO = datetime.now(UTC) - timedelta(hours=1)
LONGEST = evidence.environment().request_seconds


class Alone(Rolling):
    """A roll-out whose endpoint only takes down what it is asked for."""

    def __init__(self) -> None:
        self._environment, self._drained = evidence.environment(), 0.0
        self.splits: list[dict[str, datetime]] = []
        self.endpoint: Any = SimpleNamespace(
            split=lambda _shares, standby: self.splits.append(standby), undeploy=lambda _: None
        )


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were slept: no other time passes."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + sum(seconds))
    return seconds


def test_a_stand_by_begins_when_the_traffic_moves() -> None:
    made = Alone()
    made._do(Split({"2": 100}, ("1",), {"1": 100}), NOTHING._replace(present=LONG_AGO))
    assert made.splits[0]["1"] > LONG_AGO + timedelta(minutes=59)


@pytest.mark.parametrize("has_split", [True, False])
def test_a_model_is_idle_since_the_last_split(slept: list[float], has_split: bool) -> None:
    made, one = Alone(), deployed(V1, 0, standby=LONG_AGO)
    if has_split:
        made._do(Split({"2": 100}, (), {"1": 100}), NOTHING)
    made._do(Undeploy(one, "its stand-by is over"), NOTHING._replace(present=datetime.now(UTC)))
    assert [round(seconds) for seconds in slept] == ([LONGEST] if has_split else [])


def test_what_is_idle_since_nobody_knows_is_waited_for_once(slept: list[float]) -> None:
    made = Alone()
    for version in (V1, evidence.CHAMPION):
        made._do(Undeploy(deployed(version, 0), "nothing declares it"), NOTHING)
    assert [round(seconds) for seconds in slept] == [LONGEST]


def test_an_image_that_nobody_vouches_for_comes_to_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("ModelRegistry", "Endpoint", "ServingFiles"):
        monkeypatch.setattr(rolling, service, lambda *_: None)
    attesting = msgspec.structs.replace(evidence.environment(), attest="github")
    asked, is_vouched = list[str](), False

    def check(_: object, image: str) -> None:
        asked.append(image)
        if not is_vouched:
            raise UnvouchedError(image)

    def missing(wanted: Target, state: State, times: int = 1) -> list[Action]:
        made = Rolling(attesting, wanted, object, lambda _: evidence.manifest())
        return [made.missing(state) for _ in range(times)][-1]

    monkeypatch.setattr(provenance, "check_served", check)
    wanted = target((V1, 90), (evidence.CHAMPION, 10))
    with pytest.raises(UnvouchedError, match=evidence.IMAGE):
        missing(wanted, fresh(wanted))
    # What serves already goes on: traffic, aliases and channel need no image.
    asked.clear()
    assert missing(target((V1, 80), (evidence.CHAMPION, 20)), rolled_out(wanted).state)
    assert asked == []
    is_vouched = True
    assert missing(wanted, fresh(wanted), times=2)
    assert asked == [evidence.IMAGE], "once an image"
