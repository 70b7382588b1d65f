"""The thread that predicts: what waits, what is asked together, and what a failure reaches."""

import asyncio
import math
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from flows.contract import Form
from flows.serving.question import Question
from flows.serving.worker import EACH, LONGEST, MOST_BYTES, MOST_WAITING, TOGETHER, BusyError, Worker


class Doubling:
    """Answers numbers; fails at 13; notes what it was asked at once, once it may go on."""

    form = Form(int, 1)

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.go = threading.Event()

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:
        self.go.wait(60)
        self.asked.append(instances)
        if 13 in instances:
            raise ValueError(parameters)
        return [2 * instance for instance in instances]


def in_loop(test: Callable[[Worker, Doubling], Any]) -> None:
    """Runs `test` in an event loop, with a worker that has loaded its model."""

    async def run() -> None:
        model, worker, loaded = Doubling(), Worker(), asyncio.Event()
        worker.start(lambda: model, lambda _: loaded.set())
        await loaded.wait()
        try:
            await test(worker, model)
        finally:
            model.go.set()

    asyncio.run(run())


def question(*instances: int, parameters: Any = None, size: int = 10) -> Question:
    return Question(list(instances), parameters, size)


def test_what_comes_together_is_asked_together_and_answered_apart() -> None:
    async def test(worker: Worker, model: Doubling) -> None:
        model.go.set()
        other = question(5, parameters={"a": 1})
        answers = [worker.ask(one) for one in (question(1), question(2, 3), other, question(4))]
        assert await asyncio.gather(*answers) == [
            b'{"predictions":[2]}',
            b'{"predictions":[4,6]}',
            b'{"predictions":[10]}',
            b'{"predictions":[8]}',
        ]
        assert model.asked == [[1, 2, 3], [5], [4]]

    in_loop(test)


def test_each_time_it_is_asked_the_model_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has more of it for more instances, and none runs while it is not asked."""
    now = 1000.0
    monkeypatch.setattr("flows.serving.worker.time", SimpleNamespace(monotonic=lambda: now))

    async def test(worker: Worker, model: Doubling) -> None:
        left: list[float] = []

        def predict(instances: list[Any], parameters: Any = None) -> list[Any]:
            nonlocal now
            left.append(worker.deadline - now)
            now += LONGEST
            return Doubling.predict(model, instances, parameters)

        monkeypatch.setattr(model, "predict", predict)
        model.go.set()
        assert worker.deadline == math.inf
        answers = [worker.ask(one) for one in (question(1), question(12, 13), question(2))]
        await asyncio.gather(*answers, return_exceptions=True)
        assert left == [LONGEST + EACH * number for number in (4, 1, 2, 1)]
        assert worker.deadline == math.inf

    in_loop(test)


def test_so_many_are_asked_together_and_no_request_is_taken_apart() -> None:
    async def test(worker: Worker, model: Doubling) -> None:
        model.go.set()
        await asyncio.gather(*(worker.ask(question(*range(100, 130))) for _ in range(5)))
        large = question(*range(100, 101 + TOGETHER))
        await asyncio.gather(worker.ask(large), worker.ask(question(1)))
        assert [len(asked) for asked in model.asked] == [60, 60, 30, TOGETHER + 1, 1]

    in_loop(test)


def test_a_failure_reaches_those_alone_that_the_model_fails_at() -> None:
    async def test(worker: Worker, model: Doubling) -> None:
        model.go.set()
        answers = [worker.ask(one) for one in (question(1), question(12, 13), question(2))]
        found = await asyncio.gather(*answers, return_exceptions=True)
        assert (found[0], found[2]) == (b'{"predictions":[2]}', b'{"predictions":[4]}')
        assert isinstance(found[1], ValueError)

    in_loop(test)


@pytest.mark.parametrize(
    ("number", "size"), [(MOST_WAITING, 10), (MOST_BYTES // (1 << 20), 1 << 20)], ids=["many", "large"]
)
def test_more_than_is_answered_in_time_is_refused(number: int, size: int) -> None:
    """While the model is busy the event loop goes on."""

    async def test(worker: Worker, model: Doubling) -> None:
        answers = [worker.ask(question(1, size=size)) for _ in range(number)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            worker.ask(question(1, size=size))
        model.go.set()
        assert set(await asyncio.gather(*answers)) == {b'{"predictions":[2]}'}
        assert await worker.ask(question(3)) == b'{"predictions":[6]}'

    in_loop(test)
