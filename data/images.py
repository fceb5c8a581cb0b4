"""Small pictures for questions with images: PNGs of coloured stripes, made from a seed, as data URLs."""

import base64
import struct
import zlib
from random import Random

SIZE = 64
"""Width and height in pixels."""
_COUNT = 16


def data_urls(seed: int, count: int = _COUNT) -> list[str]:
    """Return different pictures, the same ones for the same seed."""
    random = Random(seed)
    return [f"data:image/png;base64,{base64.b64encode(_png(random)).decode()}" for _ in range(count)]


def _png(random: Random) -> bytes:
    colours = [random.randbytes(3) for _ in range(8)]
    rows = b"".join(b"\0" + colours[row * len(colours) // SIZE] * SIZE for row in range(SIZE))
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)  # 8 bits, red green blue
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
