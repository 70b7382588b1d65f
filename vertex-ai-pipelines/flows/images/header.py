"""Whether bytes are an image that is safe to decode, by its header and structure: nothing is decoded.

The decoder (onnxruntime-extensions 0.15) ends the whole process at a JPEG that is not one, never comes
back from one that is cut off, and writes over other memory at a grey one. So nothing gets to it but what
is known to be whole, and of a kind that it reads.
"""

import base64
import binascii

from flows.errors import InputError
from flows.images import jpeg, png
from flows.images.refused import Refused

LEAST = 4  # pixels a side
LONGEST = 65_500  # pixels a side, as the decoder has it for a JPEG; a PNG's limit is higher
MOST = 1 << 23  # pixels: 4K fits; decoded, they are 24 MB
LOOKS = "send a PNG (grey or RGB) or a JPEG (in colour) of 8 bits a channel"


def decode(text: str) -> bytes:
    """The bytes that `text` has in base64. Raises InputError where it has none."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(text) != -(-len(found) // 3) * 4:  # Python lets padding through after what needs none
        raise InputError(
            "it is not base64", LOOKS + ", in base64 that is padded, without line breaks or 'data:'"
        )
    return found


def check(data: bytes) -> int:
    """How many pixels the image has.

    Raises InputError, with the reason, where `data` is not a whole image of an accepted kind.
    """
    try:
        width, height = _size(data)
    except Refused as reason:
        raise InputError(str(reason), LOOKS) from None
    if min(width, height) < LEAST:
        raise InputError(f"it is {width} × {height} pixels", f"send at least {LEAST} × {LEAST}")
    if width * height > MOST:
        raise InputError(
            f"it is {width:,} × {height:,} pixels, more than {MOST:,} in all", "make it smaller"
        )
    if max(width, height) > LONGEST:
        raise InputError(
            f"it is {width:,} × {height:,} pixels, more than {LONGEST:,} a side", "make it smaller"
        )
    return width * height


def _size(data: bytes) -> tuple[int, int]:
    """Width and height, in pixels. Raises Refused."""
    if data.startswith(png.SIGNATURE):
        return png.size(data)
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.size(data)
    raise Refused("it is neither PNG nor JPEG" if data else "it is empty")
