"""What is refused before it is decoded, and what is read."""

import base64
import random
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.errors import InputError
from flows.images import classifier, export, graph, header, jpeg, labelled, png
from flows.images.classifier import Classifier, Image
from flows.images.labelled import Labelled
from flows.serving.question import Reader
from flows.tabular.graph import SOFTMAX, Step
from tests.conftest import PRODUCT

GREY = bytes(range(0, 256, 4))
PACKED = zlib.compress(b"words")


def painted(width: int = 40, height: int = 24) -> np.ndarray[Any, Any]:
    """Pixels, height × width × RGB, that change slowly: a JPEG of them is close."""
    down, right = np.mgrid[0:height, 0:width]
    return np.stack([right * 5, down * 9, (right + down) * 3], 2).astype(np.uint8)


@pytest.fixture(scope="module")
def photo() -> bytes:
    """A JPEG of `painted()`, by the decoder's own encoder, which takes BGR."""
    from onnx import TensorProto, helper

    info = helper.make_tensor_value_info
    node = helper.make_node("EncodeImage", ["bgr"], ["jpg"], domain=graph.EXTENSIONS, format="jpg")
    sizes = info("bgr", TensorProto.UINT8, ["h", "w", 3]), info("jpg", TensorProto.UINT8, ["n"])
    whole = helper.make_graph([node], "encode", [sizes[0]], [sizes[1]])
    opsets = [helper.make_opsetid(domain, version) for domain, version in graph.DOMAINS.items()]
    made = helper.make_model(whole, opset_imports=opsets, ir_version=graph.IR_VERSION)
    own = classifier.session(made.SerializeToString())
    found = own.run(None, {"bgr": np.ascontiguousarray(painted()[:, :, ::-1])})[0]
    return bytes(found.tobytes())


def headed(width: int, height: int, depth: int = 8, colour: int = 0, *others: bytes) -> bytes:
    """A PNG with this header; its pixels are not of that size."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = png.chunk(b"IDAT", zlib.compress(b"\0" * 65))
    return b"".join([png.SIGNATURE, png.chunk(b"IHDR", head), *others, pixels, png.chunk(b"IEND", b"")])


def profile(length: int) -> bytes:
    """A chunk with a colour profile of zeros."""
    return png.chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(length)))


def framed(photo: bytes, change: Any) -> bytes:
    """The JPEG with another frame header: bits, height, width and the components."""
    at = photo.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", photo, at + 2)
    content: bytes = change(photo[at + 4 : at + 2 + length])
    return photo[: at + 2] + struct.pack(">H", len(content) + 2) + content + photo[at + 2 + length :]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"GIF89a and more", "it is neither PNG nor JPEG"),
        (headed(8, 8)[:20], "it is cut off"),
        (headed(8, 8)[:-1], "it is cut off"),
        (headed(8, 8)[:-12], "it is cut off"),
        (headed(8, 8).replace(b"IHDR", b"IHDX"), "its header is not a PNG's"),
        (headed(8, 8).replace(b"\x08\x00\x00\x00\x00", b"\x08\x02\x00\x00\x00"), "not a PNG's"),
        (headed(8, 8, 3), "its header is not a PNG's"),
        (headed(1, 1), "it is 1 × 1 pixels"),
        (headed(0, 8), "it is 0 × 8 pixels"),
        (headed(50_000, 50_000), "it is 50,000 × 50,000 pixels, more than 8,388,608 in all"),
        (headed(1_000_001, 4), "it is 1,000,001 × 4 pixels, more than 65,500 a side"),
        (headed(4, 65_501), "it is 4 × 65,501 pixels, more than 65,500 a side"),
        (headed(8, 8, 16), "it has 16 bits a channel"),
        (headed(8, 8, 8, png.PALETTE), "it has a palette"),
        (headed(8, 8, 8, png.GREY_ALPHA), "it has an alpha channel"),
        (headed(8, 8, 8, png.RGB_ALPHA), "it has an alpha channel"),
        (headed(8, 8, 8, 0, png.chunk(b"tRNS", b"\0\0")), "it has an alpha channel"),
        (headed(8, 8, 8, 0, *[png.chunk(b"tEXt", b"")] * png.MOST_CHUNKS), "more than 4,096 chunks"),
        (headed(8, 8).replace(b"IDAT", b"IDAX"), "it has no pixels"),
        (headed(8, 8, 8, 0, png.chunk(b"zTXt", b"a\0\0" + PACKED)), "it has compressed text"),
        (headed(8, 8, 8, 0, png.chunk(b"iTXt", b"a\0\1\0\0\0" + PACKED)), "it has compressed text"),
        (headed(8, 8, 8, 0, profile(png.MOST_PROFILE + 1)), "profile has more than 1,048,576 bytes"),
        (headed(8, 8, 8, 0, *[profile(1)] * 2), "it has more than one colour profile"),
    ],
)
def test_a_wrong_png_is_refused_by_its_reason(content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        header.check(content)


@pytest.mark.parametrize(
    "other",
    [
        png.chunk(b"tEXt", b"a\0words"),
        png.chunk(b"iTXt", b"a\0\0\0\0\0words"),
        profile(png.MOST_PROFILE),
        png.chunk(b"iCCP", b"a\0\0no profile"),
    ],
)
def test_a_png_with_notes_or_a_colour_profile_is_let_through(other: bytes) -> None:
    header.check(headed(8, 8, 8, 0, other))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda own: own[:5] + b"\4" + own[6:] + b"\4\x11\0", "it is CMYK"),
        (lambda own: b"\x0c" + own[1:], "it has 12 bits a channel"),
        (lambda own: own[:1] + b"\0\1\0\1" + own[5:], "it is 1 × 1 pixels"),
        (lambda own: own[:1] + b"\xff\xff\xff\xff" + own[5:], "it is 65,535 × 65,535 pixels"),
        (lambda own: own[:1] + b"\0\4\xff\xff" + own[5:], "more than 65,500 a side"),
        (lambda own: own[:1] + b"\0\0" + own[3:], jpeg.BROKEN),
        (lambda own: own[:8] + b"\7" + own[9:], jpeg.BROKEN),
    ],
)
def test_a_wrong_jpeg_is_refused_by_its_reason(photo: bytes, change: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        header.check(framed(photo, change))


def test_a_jpeg_is_refused_wherever_it_is_cut_off(photo: bytes) -> None:
    header.check(photo)
    for length in range(2, len(photo) - 1):
        with pytest.raises(InputError, match=r"cut off|neither"):
            header.check(photo[:length])


def test_a_jpeg_of_another_kind_is_refused(photo: bytes) -> None:
    with pytest.raises(InputError, match="lossless, arithmetic or hierarchical"):
        header.check(photo.replace(b"\xff\xc0", b"\xff\xc9", 1))
    with pytest.raises(InputError, match="more than 256 segments"):
        header.check(photo[:2] + b"\xff\xfe\0\2" * 300 + photo[2:])


def test_a_jpeg_with_a_scan_too_many_is_refused(photo: bytes) -> None:
    """The decoder says that it did not expect one, and ends the process."""
    at = photo.index(b"\xff\xda")
    with pytest.raises(InputError, match=re.escape(jpeg.BROKEN)):
        header.check(photo[:-2] + photo[at:])


@pytest.mark.parametrize("laces", [0, 1])
@pytest.mark.parametrize(("colour", "depth"), [(0, 1), (0, 8), (2, 8)])
@pytest.mark.parametrize("sides", [(4, 4), (5, 9), (33, 4), (4, 33)])
def test_a_png_has_as_much_data_as_pixels(
    sides: tuple[int, int], colour: int, depth: int, laces: int
) -> None:
    raw = png._raw(*sides, depth * png.CHANNELS[colour], laces)

    def made(length: int) -> bytes:
        head = png.chunk(b"IHDR", struct.pack(">IIBBBBB", *sides, depth, colour, 0, 0, laces))
        pixels = png.chunk(b"IDAT", zlib.compress(bytes(length)))
        return png.SIGNATURE + head + pixels + png.chunk(b"IEND", b"")

    header.check(made(raw + png.SURPLUS))
    with pytest.raises(InputError, match="it has more data than pixels"):
        header.check(made(raw + png.SURPLUS + 1))
    assert classifier.pixels([made(raw)], 4).shape == (1, 4, 4, 3)


@pytest.mark.parametrize(
    "text", ["no base64 !", "AAA", "ab\ncd", "äöü", "AAAA====", "AAAA=", "AA==" * 2]
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="it is not base64"):
        header.decode(text)


def damaged(photo: bytes, drawn: random.Random) -> bytes:
    """The JPEG with some bytes changed, left out or put in, most of them in its tables."""
    content = bytearray(photo)
    for _ in range(drawn.choice((1, 1, 2, 3))):
        tables = 700 if drawn.random() < 0.7 else len(content)
        place = drawn.randrange(2, min(tables, len(content)))
        if drawn.random() < 0.8:
            content[place] = drawn.choice((drawn.randrange(256), 0, 255))
        elif drawn.random() < 0.5:
            del content[place : place + drawn.randrange(1, 40)]
        else:
            content[place:place] = drawn.randbytes(drawn.randrange(1, 20))
    return bytes(content)


def drawn_png(drawn: random.Random) -> bytes:
    """A PNG of any kind, interlaced or not, with notes and pixels at random; the checksums are right."""
    depth, colour = drawn.choice([(one, kind) for kind, every in png.DEPTHS.items() for one in every])
    sides = drawn.randrange(4, 40), drawn.randrange(4, 40)
    head = struct.pack(">IIBBBBB", *sides, depth, colour, 0, 0, drawn.randrange(2))
    pixels = bytearray(zlib.compress(bytes(drawn.choices(range(5), k=drawn.randrange(6000)))))
    if drawn.random() < 0.5:
        pixels[drawn.randrange(len(pixels))] = drawn.randrange(256)
    kinds = drawn.choices([b"PLTE", b"gAMA", b"cHRM", b"sBIT", b"bKGD", b"hIST", b"sPLT", b"iCCP"], k=2)
    notes = [(kind, drawn.randbytes(drawn.choice((0, 1, 2, 3, 4, 32, 300)))) for kind in kinds]
    chunks = [(b"IHDR", head), *notes, (b"IDAT", bytes(pixels)), (b"IEND", b"")]
    return png.SIGNATURE + b"".join(png.chunk(kind, content) for kind, content in chunks)


DECODE = """
import sys
from pathlib import Path
from flows.errors import InputError
from flows.images import classifier
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        classifier.pixels([path.read_bytes()], 8)
    except InputError:
        pass
print("alive")
"""


def test_what_is_let_through_neither_ends_the_decoder_s_process_nor_hangs_it(
    photo: bytes, tmp_path: Path
) -> None:
    drawn = random.Random(0)  # noqa: S311
    progressive = (Path(__file__).parent / "images" / "progressive.jpg").read_bytes()
    contents = [damaged(one, drawn) for one in (photo, progressive) for _ in range(300)]
    contents += [drawn_png(drawn) for _ in range(300)]
    for number, content in enumerate(contents):
        (tmp_path / f"{number:04}").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", DECODE, str(tmp_path)],
        env={"PYTHONPATH": PRODUCT},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "alive\n", done.stderr[-500:]


@pytest.mark.parametrize("rest", [0, 1, 2])
def test_base64_of_every_length_is_read(rest: int) -> None:
    """After the last chunk, a PNG may go on: so it can be of any length."""
    content = png.grey(8, GREY)
    content += b"\0" * ((rest - len(content)) % 3)
    assert len(content) % 3 == rest
    found = classifier.pixels([content], 8)
    assert found[0, :, :, 0].tobytes() == found[0, :, :, 2].tobytes() == GREY


def test_a_jpeg_is_read_in_rgb(photo: bytes) -> None:
    found = classifier.pixels([photo], 24)
    assert found.shape == (1, 24, 24, 3)
    expected = painted().mean((0, 1))
    assert np.abs(found[0].mean((0, 1)) - expected).max() < 4


def test_any_size_is_scaled_and_what_is_made_smaller_is_averaged() -> None:
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    found = classifier.pixels([png.grey(64, checks.astype(np.uint8).tobytes())], 8)
    assert np.abs(found.astype(int) - 127).max() <= 8


def test_what_is_decoded_is_scaled_before_anything_else() -> None:
    """Every other pass over all pixels of a large image costs more than the scaling."""
    body = graph.reading(8)[1].attribute[0].g.node
    assert [node.op_type for node in body if "decoded" in node.input] == ["Resize"]


def some(count: int = 40) -> Labelled:
    """Images that differ in one pixel."""
    contents = [png.grey(8, bytes([n, *GREY[1:]])) for n in range(count)]
    return Labelled(
        [f"gs://b/{n:03}.png" for n in range(count)], [str(n % 3) for n in range(count)], contents
    )


def test_a_copy_of_an_image_is_on_its_side_and_stays_when_others_come() -> None:
    few, more = (labelled.split(some(count), 0.3, 1) for count in (40, 60))
    for side, larger in zip(few, more, strict=True):
        assert set(side.names) < set(larger.names)
    twice = Labelled(["gs://b/0", "gs://b/1"], ["a", "b"], [some().contents[0]] * 2)
    with pytest.raises(InputError, match=r"is empty: holdout_share = 0\.3 of 2 images is"):
        labelled.split(twice, 0.3, 1)


def test_images_are_written_and_read(tmp_path: Path) -> None:
    labelled.write(some(), tmp_path / "images.parquet")
    assert labelled.read(tmp_path) == some()


def test_an_image_that_cannot_be_decoded_is_named() -> None:
    bad = png.grey(8, GREY).replace(zlib.compress(b"")[:1], b"\x79", 1)
    with pytest.raises(
        InputError, match="image 1: its header is good, but its pixels cannot be decoded"
    ):
        classifier.pixels([png.grey(8, GREY), bad], 8)


def test_the_example_is_an_image() -> None:
    assert header.check(base64.b64decode(classifier.EXAMPLE.b64)) == 64


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        ('{"b64": 7}', "instances[0].b64: expected str, got int"),
        (f'{{"b64": "", "{"x" * 9999}": 1}}', f"instances[0]: contains unknown field {'x' * 200}"),
    ],
)
def test_a_message_has_no_whole_image(instance: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        Reader(Classifier.form).read(f'{{"instances": [{instance}]}}'.encode())
    assert raised.value.what.startswith(words)
    assert raised.value.mend == f'an instance looks like {{"b64":"{classifier.EXAMPLE.b64[:24]}…"}}'
    assert len(raised.value.what) < 300


def test_the_images_of_a_request_have_so_many_pixels_at_most() -> None:
    largest = Image(b64=classifier.encoded(headed(4096, 2048, 1)))
    classifier.check([largest] * 2)
    words = re.escape("instances[2]: up to here, the images have 16,777,280 pixels together, more than")
    with pytest.raises(InputError, match=words):
        classifier.check([largest, largest, classifier.EXAMPLE, largest])


def test_steps_on_values_are_a_whole_classifier(tmp_path: Path) -> None:
    """The step here is a sum: the whiter an image, the more it is "white"."""
    side = 8 * 8 * 3
    steps = [Step("MatMul", (np.stack([np.zeros(side), np.full(side, 1 / side)], 1),)), SOFTMAX]
    export.write(tmp_path, steps, ["black", "white"], 8)
    model = Classifier(tmp_path / classifier.FILE)
    contents = [png.grey(8, bytes([one] * 64)) for one in (51, 255)]
    expected = export.values(classifier.pixels(contents, 8)).mean(1)
    assert expected == pytest.approx([0.2, 1])
    shares, _ = model.shares(contents)
    assert shares[:, 1] == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-6)
    [answer] = model.predict([Image(b64=classifier.encoded(contents[1]))])
    assert answer == {"label": "white", "confidence": pytest.approx(shares[1, 1])}
