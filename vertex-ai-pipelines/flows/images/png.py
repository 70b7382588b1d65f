"""The structure of a PNG: its first chunk, and that the others are there up to the last one.

Source: Portable Network Graphics (PNG) Specification, W3C, third edition, 5 and 11.
"""

import struct
import zlib

from flows.images.refused import Refused

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3}
SURPLUS = 1 << 16  # bytes after the last row, which a decoder inflates as far as they go
PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
DEPTHS = {GREY: (1, 2, 4, 8), RGB: (8,)}
MOST_CHUNKS = 4096  # encoders make some hundred of the largest request
PACKED = (b"zTXt", b"iTXt", b"iCCP")  # the decoder inflates them as far as they go
PIECE = 1 << 20  # bytes that are inflated at once
MOST_PROFILE = 1 << 20  # bytes of a colour profile, inflated: most have a few thousand


def size(data: bytes) -> tuple[int, int]:
    """Width and height. Raises Refused where it is cut off, or of a kind that is not read."""
    width, height, depth, colour = _header(data)
    if colour in (GREY_ALPHA, RGB_ALPHA):
        raise Refused("it has an alpha channel")
    if colour == PALETTE:
        raise Refused("it has a palette")
    if depth == 16:
        raise Refused("it has 16 bits a channel")
    if depth not in DEPTHS.get(colour, ()):
        raise Refused("its header is not a PNG's")
    pixels = _walk(data)
    if _is_longer(pixels, _raw(width, height, depth * CHANNELS[colour], data[28]) + SURPLUS):
        raise Refused("it has more data than pixels")
    return width, height


def grey(width: int, pixels: bytes) -> bytes:
    """A PNG of `pixels`, a byte each, in rows of `width`: the same bytes for the same pixels."""
    rows = b"".join(b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width))
    head = struct.pack(">IIBBBBB", width, len(pixels) // width, 8, GREY, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(chunk(kind, content) for kind, content in chunks)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk: length, kind, content and checksum."""
    return (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    )


def _header(data: bytes) -> tuple[int, int, int, int]:
    """Width, height, bits and the kind of colour, from IHDR."""
    if len(data) < 33:
        raise Refused("it is cut off")
    width, height, depth, colour, packing, filters, laces = struct.unpack_from(">IIBBBBB", data, 16)
    (crc,) = struct.unpack_from(">I", data, 29)
    whole = data[8:16] == b"\0\0\0\rIHDR" and crc == zlib.crc32(data[12:29])
    if not whole or packing or filters or laces > 1:
        raise Refused("its header is not a PNG's")
    return width, height, depth, colour


def _raw(width: int, height: int, bits: int, laces: int) -> int:
    """How many bytes the rows are, each with its filter's: `bits` a pixel; 8.2 has the seven passes."""
    parts = PASSES if laces else ((0, 0, 1, 1),)
    sizes = [(-((x - width) // across), -((y - height) // down)) for x, y, across, down in parts]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0)


def _walk(data: bytes) -> bytes:
    """From chunk to chunk, to IEND; what the IDAT chunks hold."""
    place, seen, pixels = 33, set[bytes](), list[bytes]()
    for _ in range(MOST_CHUNKS):
        if place + 12 > len(data):
            raise Refused("it is cut off")
        (length,) = struct.unpack_from(">I", data, place)
        kind = data[place + 4 : place + 8]
        if kind == b"tRNS":
            raise Refused("it has an alpha channel")
        if kind == b"iCCP" and kind in seen:
            raise Refused("it has more than one colour profile")
        if kind in PACKED:
            _bounded(kind, data[place + 8 : place + 8 + length])
        if kind == b"IDAT":
            pixels.append(data[place + 8 : place + 8 + length])
        place += 12 + length
        seen.add(kind)
        if kind == b"IEND":
            break
    else:
        raise Refused(f"it has more than {MOST_CHUNKS:,} chunks")
    if place > len(data):
        raise Refused("it is cut off")
    if b"IDAT" not in seen:
        raise Refused("it has no pixels")
    return b"".join(pixels)


def _bounded(kind: bytes, content: bytes) -> None:
    """Raises Refused for what would be inflated beside the pixels to more than a profile's size."""
    _, _, rest = content.partition(b"\0")  # after the keyword: whether or how the rest is packed
    if kind == b"zTXt" or (kind == b"iTXt" and rest[:1] != b"\0"):
        raise Refused("it has compressed text")
    if kind == b"iCCP" and _is_longer(rest[1:], MOST_PROFILE):
        raise Refused(f"its colour profile has more than {MOST_PROFILE:,} bytes")


def _is_longer(packed: bytes, most: int) -> bool:
    """Whether `packed` inflates to more bytes; they are not kept."""
    opened, size = zlib.decompressobj(), 0
    try:
        while size <= most and (part := opened.decompress(packed, PIECE)):
            size, packed = size + len(part), opened.unconsumed_tail
    except zlib.error:  # the decoder, too, comes no further than to there
        return False
    return size > most
