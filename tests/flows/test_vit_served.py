"""Images at a real prediction server: each wrong one is a 400 that says which and why."""

import base64
import resource
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.manifests import described
from flows.images import classifier, png
from flows.vit import export
from localcloud.client import Client
from tests.flows import serving
from tests.flows.serving import Server
from tests.flows.test_vit import SMALL, weights

GOOD = png.grey(8, bytes(range(64)))
JPEGS = Path(__file__).parent / "images"


def images(folder: Path) -> tuple[str, str]:
    """A model of three classes, with weights at random."""
    content = export.write(weights(SMALL), SMALL, ["a", "b", "c"])
    (folder / classifier.FILE).write_bytes(content)
    return "vit", classifier.FORMAT


SIDE, ROUNDS = 2000, 16  # of an image; how often it is asked
PAGE = resource.getpagesize()


@pytest.fixture(scope="module")
def server(cloud: Client, program: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("vit")
    (root / "files").mkdir()
    algorithm, form = images(root / "files")
    found = described("vit", algorithm, form, root / "files")
    released = serving.release(program, root / "files", found, "vit")
    with serving.serving(cloud, root / "server", released) as made:
        yield made.ready()


def asked(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def headed(width: int, height: int, depth: int = 8, colour: int = png.GREY) -> bytes:
    """A PNG that says to be of this size and kind."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 65)), (b"IEND", b""))
    return png.SIGNATURE + b"".join(png.chunk(kind, content) for kind, content in chunks)


BOMB = png.chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20)))
WRONG = [
    (asked(b"words"), "instances[1]: it is neither PNG nor JPEG"),
    (asked(GOOD[:-5]), "instances[1]: it is cut off"),
    (asked((JPEGS / "colour.jpg").read_bytes()[:-2]), "instances[1]: it is cut off"),
    (asked(headed(100_000, 100_000)), "instances[1]: it is 100,000 × 100,000 pixels, more than"),
    (asked(headed(1, 1)), "instances[1]: it is 1 × 1 pixels"),
    (asked(headed(8, 8, 8, png.RGB_ALPHA)), "instances[1]: it has an alpha channel"),
    (asked(headed(8, 8, 8, png.PALETTE)), "instances[1]: it has a palette"),
    (asked(headed(8, 8, 16)), "instances[1]: it has 16 bits a channel"),
    (asked((JPEGS / "cmyk.jpg").read_bytes()), "instances[1]: it is CMYK"),
    (asked((JPEGS / "grey.jpg").read_bytes()), "instances[1]: it is a grey JPEG"),
    (asked(GOOD[:33] + BOMB + GOOD[33:]), "instances[1]: it has compressed text"),
    (asked(headed(9, 9)), "instances[1]: its header is good, but its pixels cannot be decoded"),
    ({"b64": "not base64"}, "instances[1]: it is not base64"),
    ({"b64": 7}, "instances[1].b64: expected str, got int"),
    ({"b65": ""}, "instances[1]: contains unknown field b65"),
    ("words", "instances[1]: expected object, got str"),
]


def test_images_of_any_size_are_answered(server: Server) -> None:
    contents = [GOOD, png.grey(200, bytes(200 * 50))]
    contents += [(JPEGS / f"{name}.jpg").read_bytes() for name in ("colour", "progressive")]
    found = server.predict([asked(content) for content in contents])
    assert found.status == 200
    answers = found.body["predictions"]
    assert [set(one) for one in answers] == [{"label", "confidence"}] * 4
    assert answers[2] == pytest.approx(answers[3])


@pytest.mark.parametrize(("instance", "words"), WRONG)
def test_a_wrong_image_is_a_400_with_its_index_and_the_reason(
    server: Server, instance: Any, words: str
) -> None:
    found = server.predict([asked(GOOD), instance])
    assert (found.status, found.body["error"][: len(words)]) == (400, words)
    assert server.predict([asked(GOOD)]).status == 200


@pytest.mark.parametrize("last", [7, {"b64": 7}, {"b64": "", "x": 1}, [], None])
def test_the_first_of_two_wrong_images_is_named_whatever_is_wrong_with_it(
    server: Server, last: Any
) -> None:
    found = server.predict([asked(GOOD), {"b64": "not base64"}, asked(GOOD), last])
    words = "instances[1]: it is not base64"
    assert (found.status, found.body["error"][: len(words)]) == (400, words)


def test_a_request_of_too_many_pixels_is_a_400_with_the_index(server: Server) -> None:
    found = server.predict([asked(GOOD), *[asked(headed(4096, 2048, 1))] * 255])
    words = "instances[2]: up to here, the images have 16,777,280 pixels together, more than 16,777,216"
    assert (found.status, found.body["error"][: len(words)]) == (400, words)


def resident(server: Server) -> int:
    """The server's memory, in pages."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])


def test_memory_stays_flat(server: Server) -> None:
    large = asked(png.grey(SIDE, bytes(SIDE * SIDE)))
    wrong = [instance for instance, _ in WRONG]

    def all_of_them() -> None:
        assert server.predict([large]).status == 200
        for instance in wrong:
            assert server.predict([instance]).status == 400

    for _ in range(3):
        all_of_them()
    before = resident(server)
    for _ in range(ROUNDS):
        all_of_them()
    # The allocator keeps or gives back some images' worth by turns; a leak would keep one each time.
    assert (resident(server) - before) * PAGE < ROUNDS * SIDE * SIDE * 0.75
