"""The prediction server as a real process: what it answers, refuses and says."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.manifests import described
from flows.contract import Form
from flows.errors import InputError
from flows.serving.app import LIMIT, MOST_HELD
from flows.serving.question import Reader
from localcloud.client import Client
from tests.eventually import eventually
from tests.flows import serving
from tests.flows.serving import ITEMS, Server


def start(cloud: Client, program: Any, root: Path, flow: str, make: Any) -> Any:
    files = root / "files"
    files.mkdir()
    algorithm, form = make(files)
    found = described(flow, algorithm, form, files)
    released = serving.release(program, files, found, flow)
    return serving.serving(cloud, root / "server", released)


@pytest.fixture(scope="module")
def linnerud(cloud: Client, program: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("linnerud")
    with start(cloud, program, root, "linnerud", serving.linnerud) as server:
        yield server.ready()


@pytest.fixture(scope="module")
def recommender(
    cloud: Client, program: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("recommender")
    with start(cloud, program, root, "recommender", serving.households) as server:
        yield server.ready()


def test_measures_of_a_body_are_answered_by_three_numbers(linnerud: Server) -> None:
    found = linnerud.predict([[86.6, 91.4, 50]])
    assert found.status == 200
    (numbers,) = found.body["predictions"]
    assert len(numbers) == 3
    assert all(isinstance(number, float) for number in numbers)
    more = linnerud.predict([[70, 80, 60], [86.6, 91.4, 50]]).body["predictions"]
    assert more[1] == pytest.approx(numbers)


def test_users_are_answered_by_items(recommender: Server) -> None:
    known, same, unknown, other = recommender.predict([3, 3.0, 99, -1]).body["predictions"]
    assert len(known["items"]) == len(set(known["items"])) == 10
    assert known["scores"] == sorted(known["scores"], reverse=True)
    assert known == same
    assert unknown == other
    assert unknown["items"] != known["items"]


def test_filters_say_which_items_and_how_many(recommender: Server) -> None:
    (usual,) = recommender.predict([3]).body["predictions"]
    asked = [
        {"user": 3, "count": 3.0},
        {"user": 3, "exclude": usual["items"][:2], "count": 3},
        {"user": 3, "only": ["p7", "p9", "nothing"]},
        {"user": 99, "only": ["p7", "p9"], "exclude": ["p9"]},
        {"user": 3, "only": []},
        {"user": 3, "new": True, "count": 1000},
    ]
    found = [one["items"] for one in recommender.predict(asked).body["predictions"]]
    assert found[:2] == [usual["items"][:3], usual["items"][2:5]]
    assert [sorted(items) for items in found[2:5]] == [["p7", "p9"], ["p7"], []]
    assert 0 < len(found[5]) < len(ITEMS)
    assert len(recommender.predict([{"user": 3, "count": 1000}]).body["predictions"][0]["items"]) == 50


def test_parameters_are_for_all_users_and_a_user_s_own_come_first(recommender: Server) -> None:
    asked = [3, 99, {"user": 3, "count": 1, "exclude": []}]
    excluded = recommender.predict([3]).body["predictions"][0]["items"][0]
    found = recommender.predict(asked, {"count": 2, "exclude": [excluded]}).body["predictions"]
    assert [len(one["items"]) for one in found] == [2, 2, 1]
    assert excluded not in found[0]["items"]
    assert found[2]["items"] == [excluded]


def test_an_answer_is_bounded(recommender: Server) -> None:
    assert recommender.predict([3] * 20, {"count": 1000}).status == 200
    found = recommender.predict([3] * 21, {"count": 1000})
    assert found.status == 400
    assert "instances: 21,000 items are asked for, 20,000 at most" in found.body["error"]


def test_what_is_beyond_its_memory_is_refused_unread(linnerud: Server) -> None:
    waiting = [linnerud.connection() for _ in range(MOST_HELD // LIMIT)]
    for one in waiting:  # says how much is to come, and sends none of it
        one.putrequest("POST", "/predict")
        one.putheader("content-length", str(LIMIT))
        one.endheaders()
    eventually(lambda: linnerud.predict([[1, 2, 3]]).status == 503)
    assert linnerud.ask("GET", "/health").status == 200
    for one in waiting:
        one.close()
    eventually(lambda: linnerud.predict([[1, 2, 3]]).status == 200)


WRONG = {
    "nothing": (b"", "the request is not valid JSON: "),
    "no JSON": (b"instances", "the request is not valid JSON: "),
    "two of it": (b'{"instances": [[1, 2, 3]]} {}', "the request is not valid JSON: trailing "),
    "NaN": (b'{"instances": [[1, 2, NaN]]}', "instances[0][2]: not JSON: NaN"),
    "infinity": (b'{"instances": [[1, 2, 3], [-Infinity]]}', "instances[1][0]: not JSON: Infinity"),
    "NaN alone": (b"NaN", "the request: not JSON: NaN"),
    "two NaN": (b'{"instances": [[1, 2, 3], [1, NaN, NaN]]}', "instances[1][1]: not JSON: NaN"),
    "NaN before another": (
        b'{"parameters": NaN, "instances": [["a"]]}',
        "parameters: not JSON: NaN; known parameters: none",
    ),
    "no number": (b'{"instances": [[1, 2, NAN]]}', "not valid JSON: invalid character (byte 22)"),
    "no UTF-8": (b'{"\xff": 1}', "the request"),
    "a list": (b"[[1, 2, 3]]", "the request: expected object, got array"),
    "null": (b"null", "the request: expected object, got null"),
    "no instances": (b"{}", "the request: missing required field instances"),
    "empty instances": (b'{"instances": []}', "instances: expected array of length >= 1"),
    "an object": (b'{"instances": {"a": 1}}', "instances: expected array, got object"),
    "another key": (b'{"instances": [[1, 2, 3]], "a": 1}', "contains unknown field a"),
    "a text": (b'{"instances": [[1, 2, "3"]]}', "instances[0][2]: expected float, got str"),
    "true": (b'{"instances": [[1, 2, 3], [1, true, 3]]}', "instances[1][1]: expected float, got bool"),
    "null in it": (b'{"instances": [[1, 2, null]]}', "instances[0][2]: expected float, got null"),
    "too few": (b'{"instances": [[1, 2, 3], [1, 2]]}', "instances[1]: expected array of length 3"),
    "too many": (b'{"instances": [[1, 2, 3, 4]]}', "instances[0]: expected array of length 3"),
    "a number": (b'{"instances": [1]}', "instances[0]: expected array, got int"),
    "negative": (b'{"instances": [[1, 2, -3]]}', "instances[0][2]: expected float > 0.0"),
    "too large": (b'{"instances": [[1, 2, 1e7]]}', "instances[0][2]: expected float < 1000000.0"),
    "no float": (b'{"instances": [[1, 2, 1e999]]}', "instances[0][2]: number out of range"),
    "long number": (b'{"instances": [[1, 2, %s]]}' % (b"9" * 500), "instances[0][2]: number out of"),
    "parameters": (b'{"instances": [[1, 2, 3]], "parameters": {"a": 1}}', "known parameters: none"),
    "no table": (b'{"instances": [[1, 2, 3]], "parameters": 3}', "parameters: expected object | null"),
    "deep": (b"[" * 10**6, "the request: expected object, got array"),
    "deep inside": (b'{"instances": ' + b"[" * 10**6, "instances[0][0]: expected float, got array"),
    "deep unknown": (b'{"instances": [[1, 2, 3]], "a": ' + b'{"a":' * 10**5, "unknown field a"),
    "many": (b'{"instances": [%s]}' % b",".join([b"[1,2,3]"] * 10_001), "instances: expected array of"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused_by_place_and_kind(linnerud: Server, name: str) -> None:
    body, words = WRONG[name]
    found = linnerud.ask("POST", "/predict", body)
    assert found.status == 400
    assert words in found.body["error"]
    assert "looks like" in found.body["error"] or "known parameters" in found.body["error"]
    assert len(found.body["error"]) < 300


def test_where_numbers_are_not_read_nan_has_no_place_but_its_byte() -> None:
    with pytest.raises(InputError, match=r"not valid JSON: invalid character \(byte 15\)"):
        Reader(Form(msgspec.Raw, 1)).read(b'{"instances": [NaN], "parameters": 3}')


def held(server: Server) -> int:
    """The bytes of the server's own memory."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def test_what_is_refused_leaves_nothing(linnerud: Server) -> None:
    bodies = [body.ljust(LIMIT) for body, _ in WRONG.values() if body]
    assert {linnerud.ask("POST", "/predict", body).status for body in bodies} == {400}
    before, rounds = held(linnerud), 3
    for body in bodies * rounds:
        linnerud.ask("POST", "/predict", body)
    # Were one body in ten kept, it would be more.
    assert held(linnerud) - before < rounds * len(bodies) * LIMIT / 10


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        (None, "instances[1]: expected int | float | object, got null"),
        (1.5, "instances[1]: expected float that's a multiple of 1.0"),
        ("3", "instances[1]: expected int | float | object, got str"),
        ({"count": 3}, "instances[1]: missing required field user"),
        ({"user": 1, "count": 0}, "instances[1].count: expected int >= 1"),
        ({"user": 1, "count": 1001}, "instances[1].count: expected int <= 1000"),
        ({"user": 1, "only": [3]}, "instances[1].only[0]: expected str, got int"),
        ({"user": 1, "k": 3}, "instances[1]: contains unknown field k"),
    ],
)
def test_a_wrong_user_is_refused(recommender: Server, instance: object, words: str) -> None:
    found = recommender.predict([1, instance])
    assert (found.status, found.body["error"].partition(";")[0]) == (400, words)
    assert 'an instance looks like {"user":0,"count":10}' in found.body["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("DELETE", "/health", 405),
        ("GET", "/", 404),
        ("POST", "/predict/", 404),
        ("GET", "/%2e%2e/etc/passwd", 404),
        ("GET", "/health", 200),
        ("GET", "/health?from=probe", 200),
    ],
)
def test_each_route_has_its_method(linnerud: Server, method: str, path: str, status: int) -> None:
    assert linnerud.ask(method, path, b"{}" if method == "POST" else None).status == status


def test_what_is_no_request_writes_no_line(linnerud: Server) -> None:
    lines = linnerud.log
    with socket.create_connection(("127.0.0.1", linnerud.port), timeout=60) as one:
        one.sendall(b"\x16\x03\x01\r\n\r\n")
        assert one.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert linnerud.log == lines


def body(size: int) -> bytes:
    """A right request of so many bytes."""
    start = b'{"instances": [[86.6, 91.4, 50]]'
    return start + b" " * (size - len(start) - 1) + b"}"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (9 * LIMIT, 413)])
def test_a_request_has_a_limit(linnerud: Server, size: int, status: int, chunked: bool) -> None:
    connection = linnerud.connection()
    whole = body(size)
    parts = (whole[at : at + 50_000] for at in range(0, size, 50_000))
    connection.request("POST", "/predict", parts if chunked else whole, encode_chunked=chunked)
    response = connection.getresponse()
    assert (response.status, b"1,572,864 bytes" in response.read()) == (status, status == 413)
    connection.close()
    assert linnerud.predict([[86.6, 91.4, 50]]).status == 200
