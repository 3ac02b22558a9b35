"""The arrays of a certificate file: packed by zlib, and unpacked within bounds known before.

What a file takes to read is bounded by its own size.  Its arrays have at most ``RATIO`` times its
bytes, so that a short file has few leaves; the writer packs less tightly where zlib would do
better than that.  An array of one number, however often, is kept as that number; all others,
and what the JSON parser makes of the header, take ``HELD`` times the file's bytes at most.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Listed = Sequence[tuple[str, str, tuple[int, ...]]]  # name, type and shape of each array
RATIO, FEW = 32, 1 << 14  # bytes of all arrays for each of the file, and besides
HELD, SMALL = 6, 1 << 20  # bytes that are kept for each of the file, and besides
PIECE = 1 << 16  # bytes that are unpacked at a time; a multiple of every item's size
OBJECT, ITEM, WORD = 64, 40, 28  # bytes that the JSON parser takes for a list, a comma, a quote


class TooLarge(ValueError):
    """More in a file than its size, or the format, allows."""


def header_cost(header: bytes) -> int:
    """An upper bound of what the JSON parser allocates, roughly."""
    lists = header.count(b"[") + header.count(b"{")
    return OBJECT * lists + ITEM * header.count(b",") + WORD * header.count(b'"')


def require_room(cost: int, size: int) -> int:
    """Bytes left of what a file of ``size`` bytes may take; TooLarge where there are none."""
    left = HELD * size + SMALL - cost
    if left < 0:
        raise TooLarge(f"it takes more than {HELD} times its {size} bytes to read")
    return left


def pack(arrays: Mapping[str, Array], header: bytes) -> bytes:
    """The stream of ``arrays``: as short as the bounds of a file with this header allow."""
    raw = b"".join(array.tobytes() for array in arrays.values())
    held = header_cost(header) + sum(
        _weight(name) * array.nbytes
        for name, array in arrays.items()
        if array.size and (array != array.flat[0]).any()
    )
    for level, strategy in ((6, zlib.Z_DEFAULT_STRATEGY), (6, zlib.Z_HUFFMAN_ONLY), (0, 0)):
        how = zlib.compressobj(level, strategy=strategy)
        packed = how.compress(raw) + how.flush()
        size = len(header) + len(packed)
        if len(raw) <= RATIO * size + FEW and held <= HELD * size + SMALL:
            return packed
    raise TooLarge("the statement is too long for a certificate")


def unpack(packed: memoryview, listed: Listed, size: int, room: int) -> dict[str, Array]:
    """The arrays by name, of a file of ``size`` bytes, within ``room`` bytes."""
    total = sum(math.prod(shape) * np.dtype(kind).itemsize for _, kind, shape in listed)
    if total > RATIO * size + FEW:
        raise TooLarge(f"arrays of {total} bytes are too many for a file of {size}")
    stream = _Stream(packed)
    found: dict[str, Array] = {}
    for name, kind, shape in listed:
        flat = _array(stream, np.dtype(kind), math.prod(shape), room=room // _weight(name))
        if flat.size and not flat.strides[0]:
            found[name] = np.broadcast_to(flat[:1].reshape((1,) * len(shape)), shape)
            continue
        room -= _weight(name) * flat.nbytes
        found[name] = flat.reshape(shape)
    stream.end()
    return found


def _weight(name: str) -> int:
    """How many times its bytes an array takes, with what is made to look through it."""
    if name == "steps.bound":  # never one number throughout, as the others of a step may be
        return 12
    return 3 if name.startswith("refined.") or name == "records.indptr" else 1


def _array(stream: _Stream, kind: np.dtype[Any], count: int, room: int) -> Array:
    """``count`` numbers; one number with a stride of 0 where all are the same bits."""
    bits = np.dtype(f"u{kind.itemsize}")
    first, values, done = None, None, 0
    while done < count:
        piece = np.frombuffer(stream.take(min(PIECE, (count - done) * kind.itemsize)), bits)
        first = piece[0] if first is None else first
        if values is None and (piece != first).any():
            if count * kind.itemsize > room:
                raise TooLarge("it takes more memory than a file of its size may")
            values = np.full(count, first, bits)
        if values is not None:
            values[done : done + len(piece)] = piece
        done += len(piece)
    if values is None:
        return np.broadcast_to(np.array([0 if first is None else first], bits).view(kind), (count,))
    return values.view(kind)


class _Stream:
    """A zlib stream, unpacked piece by piece."""

    def __init__(self, packed: memoryview) -> None:
        self._zlib = zlib.decompressobj()
        self._pieces = self._unpacked(packed)
        self._ahead = b""

    def _unpacked(self, packed: memoryview) -> Iterator[bytes]:
        for begin in range(0, len(packed), PIECE):
            rest: Any = packed[begin : begin + PIECE]
            while rest:
                yield self._zlib.decompress(rest, PIECE)
                rest = self._zlib.unconsumed_tail
        while piece := self._zlib.decompress(b"", PIECE):
            yield piece

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        parts = [self._ahead]
        missing = size - len(self._ahead)
        while missing > 0:
            piece = next(self._pieces, None)
            if piece is None:
                raise ValueError("there are fewer bytes than the arrays need")
            parts.append(piece)
            missing -= len(piece)
        whole = b"".join(parts)
        self._ahead = whole[size:]
        return whole[:size]

    def end(self) -> None:
        """ValueError unless the stream ends here, and the file with it."""
        if self._ahead or any(self._pieces) or not self._zlib.eof or self._zlib.unused_data:
            raise ValueError("there are more bytes than the arrays need, or an end is missing")
