"""The one thread that loads the model and asks it: predictions never hold up the event loop."""

import asyncio
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import NamedTuple, TypeAlias

import msgspec

from flows.contract import Model
from flows.serving.question import Question

Future: TypeAlias = "asyncio.Future[bytes]"
MOST_WAITING = 1000  # questions
MOST_BYTES = 16 << 20  # of their bodies
TOGETHER = 64  # instances of several questions that the model is asked at once
LONGEST = 120.0  # seconds that the model may take; twice what Vertex AI waits for its answer
EACH = 2.0  # seconds more, for each instance that it is asked at once
PATIENCE = 0.001  # seconds that an answer may wait for others, so that they go back together


class BusyError(Exception):
    """More questions wait than would be answered in time."""


class Asked(NamedTuple):
    """A question, and who waits for the answer."""

    question: Question
    future: Future


Answered: TypeAlias = tuple[Asked, bytes | Exception]


class Worker:
    """Loads, then answers the questions in their order.

    Questions go to the thread, and answers back, once for each turn of the event loop: each time both
    sides would stop for the interpreter's lock. `deadline` is by when the model has to have answered.
    """

    deadline = math.inf

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._queue: SimpleQueue[list[Asked]] = SimpleQueue()
        self._new: list[Asked] = []
        self._waiting = self._bytes = 0

    def start(self, load: Callable[[], Model], done: Callable[[Model | BaseException], None]) -> None:
        """Load in the thread; `done` is called in the event loop, with the model or what went wrong."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, args=(load, done), name="predict", daemon=True).start()

    def ask(self, question: Question) -> Future:
        """The encoded answer, once it is there. Raises BusyError."""
        if self._waiting >= MOST_WAITING or self._bytes + question.size > MOST_BYTES:
            raise BusyError
        self._waiting += 1
        self._bytes += question.size
        if not self._new:
            self._loop.call_soon(self._hand_over)
        asked = Asked(question, self._loop.create_future())
        self._new.append(asked)
        return asked.future

    def _hand_over(self) -> None:
        self._queue.put(self._new)
        self._new = []

    def _run(self, load: Callable[[], Model], done: Callable[[Model | BaseException], None]) -> None:
        try:
            model = load()
        except BaseException as error:  # whatever it was, the process has to end
            self._loop.call_soon_threadsafe(done, error)
            return
        self._loop.call_soon_threadsafe(done, model)
        while True:
            self._answer(model, self._queue.get())

    def _answer(self, model: Model, asked: list[Asked]) -> None:
        """Answer all of `asked`; what has taken PATIENCE goes back without waiting for the rest."""
        answers, begun = list[Answered](), time.monotonic()
        for group in _groups(asked):
            found = self._predict(model, [one.question for one in group])
            self.deadline = math.inf
            answers += zip(group, found, strict=True)
            if time.monotonic() - begun > PATIENCE:
                self._loop.call_soon_threadsafe(self._settle, answers)
                answers, begun = [], time.monotonic()
        if answers:
            self._loop.call_soon_threadsafe(self._settle, answers)

    def _predict(self, model: Model, questions: list[Question]) -> list[bytes | Exception]:
        """The encoded answers; where the model fails, its error for those that it fails at alone."""
        instances = [instance for question in questions for instance in question.instances]
        self.deadline = time.monotonic() + LONGEST + EACH * len(instances)
        try:
            found = iter(model.predict(instances, questions[0].parameters))
            own = [list(itertools.islice(found, len(question.instances))) for question in questions]
            return [msgspec.json.encode({"predictions": predictions}) for predictions in own]
        except Exception as error:
            if len(questions) == 1:
                return [error]
            return [answer for question in questions for answer in self._predict(model, [question])]

    def _settle(self, answers: list[Answered]) -> None:
        for (question, future), answer in answers:
            self._waiting -= 1
            self._bytes -= question.size
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _groups(asked: list[Asked]) -> Iterator[list[Asked]]:
    """Neighbours with the same parameters: the model is asked them together, which costs it less."""
    group, size = [asked[0]], len(asked[0].question.instances)
    for one in asked[1:]:
        size += len(one.question.instances)
        if size > TOGETHER or one.question.parameters != group[0].question.parameters:
            yield group
            group, size = [], len(one.question.instances)
        group.append(one)
    yield group
