"""IDX files, the format MNIST and its relatives are published in, plain or gzip-compressed.

Layout, big-endian: two zero bytes, one byte for the number type, one for the number of
axes, four bytes for each axis, then the numbers in row-major order.  (Y. LeCun, C. Cortes,
C. Burges, "The MNIST database of handwritten digits", section "File formats".)

The header is not trusted: the size it promises is compared with the size of the file
before anything is allocated.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 8
# A deflate stream cannot grow more than this when unpacked (zlib's technical details: 1032).
MAX_GROWTH = 1032
CHUNK = 1 << 20


def read_idx(path: Path) -> NDArray[Any]:
    """The array of an IDX file, in this machine's byte order; DataError if it is not one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        if packed:
            with gzip.open(path, "rb") as stream:
                return _read(path, stream, size * MAX_GROWTH, exact=False)
        with path.open("rb") as stream:
            return _read(path, stream, size, exact=True)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{path}",
            expected="a whole gzip file",
            got=str(error),
            fix="Download it again",
        ) from error


def _read(path: Path, stream: IO[bytes] | gzip.GzipFile, room: int, *, exact: bool) -> NDArray[Any]:
    """Header and numbers; ``room`` bytes is the most, or with ``exact`` just what, there is."""
    head = stream.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES:
        raise DataError(
            f"{path}",
            expected="an IDX file (00 00, number type, axes)",
            got=f"first bytes {head.hex(' ') or 'none'}",
        )
    dtype, axes = np.dtype(TYPES[head[2]]), head[3]
    if not 1 <= axes <= MAX_AXES:
        raise DataError(f"{path}", expected=f"1 to {MAX_AXES} axes", got=str(axes))
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise DataError(f"{path}", expected=f"the sizes of {axes} axes", got="the file's end")
    shape = struct.unpack(f">{axes}I", sizes)
    header, body = 4 + 4 * axes, math.prod(shape) * dtype.itemsize
    if header + body > room or (exact and header + body != room):
        raise DataError(
            f"{path} holds an array of shape {shape}",
            expected=f"{header + body} bytes",
            got=f"{room}" if exact else f"at most {room}",
            fix="Download it again",
        )
    content = bytearray()
    while len(content) < body:
        piece = stream.read(min(CHUNK, body - len(content)))
        if not piece:
            break
        content += piece
    if len(content) < body or stream.read(1):
        raise DataError(
            f"{path} holds an array of shape {shape}",
            expected=f"{body} bytes of numbers",
            got=f"{len(content)}" if len(content) < body else "more",
            fix="Download it again",
        )
    return np.frombuffer(content, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))
