"""The server's two routes as an ASGI application: health and predict."""

import sys
import time
from collections import Counter
from pathlib import Path
from traceback import extract_tb

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flows.contract import Model
from flows.errors import InputError
from flows.serving.place import Place
from flows.serving.question import Reader
from flows.serving.worker import BusyError, Worker

LIMIT = 3 << 19  # bytes of a request: Vertex AI's own, 1.5 MB
MOST_READ = 10 * LIMIT  # of a longer one, so that its sender gets to read the answer
MOST_HELD = 40 * LIMIT  # of all requests that are being read or wait: more are not read at all
JSON = "application/json"


class App:
    """Answers 503 until `open`; then health says so alone, once `stopping`.

    `counts` has the predict route's answers by status, `asked` when its last request came.
    """

    def __init__(self, place: Place, worker: Worker) -> None:
        self._routes = {
            place.health: (("GET", "HEAD"), self._health),
            place.predict: (("POST",), self._predict),
        }
        self._worker = worker
        self._reader: Reader | None = None
        self.stopping = False
        self.in_flight, self.asked = 0, 0.0
        self._held = 0
        self.counts: Counter[int] = Counter()

    @property
    def ready(self) -> bool:
        """Whether there is a model to ask."""
        return self._reader is not None

    def open(self, model: Model) -> None:
        """Answer from now on: `model` is warm."""
        self._reader = Reader(model.form)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        methods, answer = self._routes.get(scope["path"], ((), _no_route))
        if methods and scope["method"] not in methods:
            answer = _not_allowed
        try:
            response = await answer(Request(scope, receive))
            if self.stopping:
                response.headers["connection"] = "close"
            await response(scope, receive, send)
        except ClientDisconnect:
            pass

    async def _health(self, _: Request) -> Response:
        if self.stopping:
            return _refused(503, "the server is stopping")
        return Response(b'{"status":"ready"}', media_type=JSON) if self.ready else _loading()

    async def _predict(self, request: Request) -> Response:
        size = min(int(request.headers.get("content-length", LIMIT)), LIMIT)
        self.in_flight += 1
        self._held += size
        self.asked = time.monotonic()
        try:
            response = _busy() if self._held > MOST_HELD else await self._answer(request)
        finally:
            self.in_flight -= 1
            self._held -= size
        self.counts[response.status_code] += 1
        return response

    async def _answer(self, request: Request) -> Response:
        if self._reader is None:
            return _loading()
        body = await _body(request)
        if body is None:
            return _refused(413, f"the request is larger than {LIMIT:,} bytes: split its instances")
        try:
            answer = await self._worker.ask(self._reader.read(body))
        except InputError as error:
            return _refused(400, f"{error.what}; {error.mend}" if error.mend else error.what)
        except BusyError:
            return _busy()
        except Exception as error:
            _tell(error)
            return _refused(500, "the model failed at this request")
        return Response(answer, media_type=JSON)


async def _body(request: Request) -> bytes | None:
    """The request's body; none where it is longer than LIMIT, and most of it is thrown away."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= LIMIT:
            parts.append(part)
        elif size > MOST_READ:
            break
        else:
            parts.clear()
    return b"".join(parts) if size <= LIMIT else None


async def _no_route(_: Request) -> Response:
    return _refused(404, "there is no such route")


async def _not_allowed(_: Request) -> Response:
    return _refused(405, "health is asked by GET, predict by POST")


def _loading() -> Response:
    return _refused(503, "the model is being loaded")


def _busy() -> Response:
    return _refused(503, "too many requests are waiting: ask again")


def _refused(status: int, words: str) -> Response:
    response = Response(msgspec.json.encode({"error": words}), status, media_type=JSON)
    if status == 413:
        response.headers["connection"] = "close"
    return response


def _tell(error: Exception) -> None:
    """One line for people, without what was asked: that may be personal."""
    at = extract_tb(error.__traceback__)[-1]
    place = f"{Path(at.filename).name}:{at.lineno}"
    print(f"failed: {type(error).__name__} at {place}", file=sys.stderr, flush=True)
