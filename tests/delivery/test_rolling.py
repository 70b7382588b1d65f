"""The moments of a roll-out: since when a model waits, and how long its last requests may last."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from delivery.rolling import Rolling
from delivery.rollout import Split, Undeploy
from tests.delivery import evidence
from tests.delivery.test_rollout import NOTHING, deployed

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
