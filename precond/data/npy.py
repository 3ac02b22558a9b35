"""Headers of ``.npy`` files, checked against the size of the file before numpy allocates.

Layout: the bytes ``93 NUMPY``, two bytes of version, the header's length (2 bytes in version
1, else 4, little-endian), the header, the numbers.  (numpy, "NEP 1", and ``numpy.lib.format``.)
"""

from __future__ import annotations

import math
from typing import IO, Any

import numpy as np

from precond.errors import DataError

LONGEST = 10_000  # characters of a header, numpy's own limit


def check_npy(file: IO[bytes], size: int, name: str) -> tuple[int, ...]:
    """The shape of the array; errors as of ``npy_header``."""
    return npy_header(file, size, name)[0]


def npy_header(file: IO[bytes], size: int, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array; DataError if the header is longer than any, or promises other
    than ``size`` bytes in all.

    What numpy itself finds wrong is its ValueError; objects are left to it as well.
    """
    version = np.lib.format.read_magic(file)
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(file.read(width), "little")
    if length > min(LONGEST, size):
        raise DataError(
            name, expected=f"a header of at most {LONGEST} bytes", got=f"one of {length}"
        )
    file.seek(0)
    np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    )
    shape, _, kind = read(file)
    if kind.hasobject:
        return tuple(shape), kind
    if any(not isinstance(n, int) or n < 0 for n in shape):
        raise DataError(name, expected="sizes of 0 or more", got=f"shape {shape}")
    promised = 8 + width + length + math.prod(shape) * kind.itemsize
    if promised != size:
        raise DataError(
            name,
            expected=f"a whole numpy file, of {promised} bytes for an array of shape {shape}",
            got=f"{size} bytes",
        )
    return tuple(shape), kind
