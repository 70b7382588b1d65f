"""The structure of a JPEG: every segment up to the last marker, and the tables that each scan needs.

Sources: ITU-T T.81 (1992), B.2 and G.1.1; which of it a decoder of the libjpeg family takes.
"""

import re
import struct
from collections.abc import Callable

from flows.images.refused import Refused

SIGNATURE = b"\xff\xd8"
DHT, EOI, SOS, DQT, DRI = 0xC4, 0xD9, 0xDA, 0xDB, 0xDD
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
SKIPPED = {*range(0xE0, 0xF0), 0xFE}  # what applications note, and comments
MOST_SEGMENTS = 256  # a progressive JPEG has a dozen scans: each is a pass over all pixels
MOST_BLOCKS = 10  # of a unit of a scan
SCAN_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
BROKEN = "its structure is not a JPEG's"


def size(data: bytes) -> tuple[int, int]:
    """Width and height. Raises Refused where it is cut off, damaged, or of a kind that is not read."""
    return _Walk(data).size()


class _Walk:
    """One pass over the segments."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 2
        self._progressive = False
        self._width = self._height = 0
        self._components: dict[int, tuple[int, int, int]] = {}  # id → h, v, quantization table
        self._quantized = set[int]()
        self._codes = set[tuple[int, int]]()  # of DC (0) or AC (1), and the number
        self._scanned = set[int]()

    def size(self) -> tuple[int, int]:
        known: dict[int, Callable[[bytes], None]] = {DHT: self._huffman, DQT: self._quantization}
        known |= {DRI: self._interval, SOS: self._scan}
        known |= dict.fromkeys((BASELINE, EXTENDED, PROGRESSIVE), self._frame)
        for _ in range(MOST_SEGMENTS):
            marker = self._marker()
            if marker == EOI:
                _need(bool(self._components) and self._scanned == set(self._components))
                return self._width, self._height
            self._progressive = self._progressive or marker == PROGRESSIVE
            content = self._segment()
            if marker not in SKIPPED:
                known.get(marker, _other)(content)
        raise Refused(f"it has more than {MOST_SEGMENTS} segments")

    def _marker(self) -> int:
        data = self._data
        while self._place + 1 < len(data) and data[self._place : self._place + 2] == b"\xff\xff":
            self._place += 1
        if self._place + 2 > len(data):
            raise Refused("it is cut off")
        _need(data[self._place] == 0xFF)
        self._place += 2
        return data[self._place - 1]

    def _segment(self) -> bytes:
        start = self._place
        if start + 2 > len(self._data):
            raise Refused("it is cut off")
        (length,) = struct.unpack_from(">H", self._data, start)
        self._place = start + length
        if self._place > len(self._data):
            raise Refused("it is cut off")
        _need(length >= 2)
        return self._data[start + 2 : self._place]

    def _frame(self, content: bytes) -> None:
        _need(len(content) >= 6 and not self._components)
        bits, self._height, self._width, count = struct.unpack_from(">BHHB", content)
        if count == 4:
            raise Refused("it is CMYK")
        if count == 1:
            raise Refused("it is a grey JPEG")  # onnxruntime-extensions 0.15 writes beyond its pixels
        if bits != 8:
            raise Refused(f"it has {bits} bits a channel")
        _need(count == 3 and len(content) == 6 + 3 * count)
        for at in range(6, len(content), 3):
            own, factors, table = content[at : at + 3]
            self._components[own] = (factors >> 4, factors & 15, table)
        _need(len(self._components) == count and min(self._width, self._height) > 0)
        for place in (0, 1):
            factors_of = [one[place] for one in self._components.values()]
            _need(all(1 <= one <= 4 and max(factors_of) % one == 0 for one in factors_of))

    def _quantization(self, content: bytes) -> None:
        at = 0
        while at < len(content):
            wide, table = content[at] >> 4, content[at] & 15
            _need(wide <= 1 and table <= 3)
            at += 65 + 64 * wide
            self._quantized.add(table)
        _need(at == len(content))

    def _huffman(self, content: bytes) -> None:
        at = 0
        while at < len(content):
            _need(at + 17 <= len(content))
            kind, table, counts = content[at] >> 4, content[at] & 15, content[at + 1 : at + 17]
            symbols = content[at + 17 : at + 17 + sum(counts)]
            _need(kind <= 1 and table <= 3 and len(symbols) == sum(counts) <= 256)
            _need(_is_prefix_code(counts) and (kind == 1 or max(symbols, default=0) <= 15))
            self._codes.add((kind, table))
            at += 17 + len(symbols)

    def _interval(self, content: bytes) -> None:
        _need(len(content) == 2)

    def _scan(self, content: bytes) -> None:
        count = content[0] if content else 0
        _need(1 <= count <= len(self._components) and len(content) == 4 + 2 * count)
        own = [(content[at], content[at + 1]) for at in range(1, 1 + 2 * count, 2)]
        first, last, bits = content[-3:]
        known = {one for one, _ in own} <= set(self._components)
        _need(known and len(dict(own)) == count)
        if self._progressive:
            _need(_is_progression(first, last, bits, count))
        else:  # the decoder ends the process at a scan after the one that had all components
            _need((first, last, bits) == (0, 63, 0) and not self._scanned & set(dict(own)))
        blocks = sum(self._components[one][0] * self._components[one][1] for one, _ in own)
        _need(count == 1 or blocks <= MOST_BLOCKS)
        for one, tables in own:
            _need(self._components[one][2] in self._quantized)
            _need(self._needed(tables, first, bits) <= self._codes)
        self._scanned.update(dict(own))
        found = SCAN_END.search(self._data, self._place)
        if not found:
            raise Refused("it is cut off")
        self._place = found.start()

    def _needed(self, tables: int, first: int, bits: int) -> set[tuple[int, int]]:
        """The Huffman codes that a component's part of a scan is read with."""
        dc, ac = (0, tables >> 4), (1, tables & 15)
        if not self._progressive:
            return {dc, ac}
        if first:
            return {ac}
        return set() if bits >> 4 else {dc}


def _is_prefix_code(counts: bytes) -> bool:
    """Whether there are so many codes of 1, 2, … bits, none of which is all ones."""
    code = 0
    for bits, count in enumerate(counts, 1):
        code += count
        if code >= 1 << bits:
            return False
        code <<= 1
    return True


def _is_progression(first: int, last: int, bits: int, count: int) -> bool:
    high, low = bits >> 4, bits & 15
    spectrum = last == 0 if first == 0 else count == 1 and first <= last <= 63
    return spectrum and low <= 13 and (high == 0 or low == high - 1)


def _other(_: bytes) -> None:
    raise Refused("it is a JPEG of a kind that is not read: lossless, arithmetic or hierarchical")


def _need(holds: bool) -> None:
    if not holds:
        raise Refused(BROKEN)
