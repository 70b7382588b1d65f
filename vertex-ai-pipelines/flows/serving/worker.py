"""The one thread that loads the model and asks it: predictions never hold up the event loop."""

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias

import msgspec

from flows.contract import Model
from flows.serving.question import Question

Future: TypeAlias = "asyncio.Future[bytes]"
MOST_WAITING = 1000  # questions
MOST_BYTES = 16 << 20  # of their bodies
PATIENCE = 0.001  # seconds that an answer may wait for others, so that they go back together


class BusyError(Exception):
    """More questions wait than would be answered in time."""


class Asked(NamedTuple):
    """A question, and who waits for the answer."""

    question: Question
    future: Future


class Worker:
    """Loads, then answers the questions in their order."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._queue: SimpleQueue[Asked] = SimpleQueue()
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
        asked = Asked(question, self._loop.create_future())
        self._queue.put(asked)
        return asked.future

    def _run(self, load: Callable[[], Model], done: Callable[[Model | BaseException], None]) -> None:
        try:
            model = load()
        except BaseException as error:  # whatever it was, the process has to end
            self._loop.call_soon_threadsafe(done, error)
            return
        self._loop.call_soon_threadsafe(done, model)
        while True:
            self._answer(model, self._queue.get())

    def _answer(self, model: Model, asked: Asked) -> None:
        """Answer `asked` and whatever waits behind it, in few turns of the event loop."""
        answers, begun = [(asked, _predict(model, asked.question))], time.monotonic()
        while not self._queue.empty() and time.monotonic() - begun < PATIENCE:
            asked = self._queue.get()
            answers.append((asked, _predict(model, asked.question)))
        self._loop.call_soon_threadsafe(self._settle, answers)

    def _settle(self, answers: list[tuple[Asked, bytes | Exception]]) -> None:
        for (question, future), answer in answers:
            self._waiting -= 1
            self._bytes -= question.size
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _predict(model: Model, question: Question) -> bytes | Exception:
    try:
        found: list[Any] = model.predict(question.instances, question.parameters)
        return msgspec.json.encode({"predictions": found})
    except Exception as error:
        return error
