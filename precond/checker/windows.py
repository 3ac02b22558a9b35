"""Which part of a picture the forms of a batch see: one rectangle of it, over all channels.

A form of one value of a convolution has no coefficient outside of a small part of what is read, and
forms of neighbours see nearly the same part.  So a batch holds the values in one rectangle for
all its rows; whatever lies outside has the coefficient 0, and nothing is lost.

A value without height and width counts as a picture of one pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import Network
from precond.network.layers import Conv2d, LeakyReLU, MaxPool2d, Node, ReLU

Array = NDArray[Any]
Span = tuple[int, int]
Strided = Conv2d | MaxPool2d


def picture(shape: Sequence[int]) -> tuple[int, int, int]:
    """(C, H, W) of a value."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (math.prod(shape), 1, 1)


@dataclass(frozen=True)
class PictureWindow:
    """``rows`` and ``columns`` (first, behind the last) of a picture of ``shape``."""

    shape: tuple[int, int, int]
    rows: Span
    columns: Span

    @property
    def part(self) -> tuple[int, int, int]:
        """(C, h, w) of what it holds."""
        return self.shape[0], self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    @property
    def size(self) -> int:
        return math.prod(self.part)

    @property
    def index(self) -> slice | Array:
        """The flat indices of its values."""
        return slice(None) if self.size == math.prod(self.shape) else _index(self)

    def union(self, other: PictureWindow) -> PictureWindow:
        """The smallest that holds both."""
        spans = [
            (min(a[0], b[0]), max(a[1], b[1]))
            for a, b in ((self.rows, other.rows), (self.columns, other.columns))
        ]
        return PictureWindow(self.shape, spans[0], spans[1])

    def places(self) -> Array:
        """Where each flat index stands in it, −1 outside."""
        found = np.full(math.prod(self.shape), -1)
        found[self.index] = np.arange(self.size)
        return found

    def spread(self, n: Array, into: PictureWindow) -> Array:
        """Numbers (…, |self|) over a window that holds it, 0 elsewhere."""
        if into == self:
            return n
        result = np.zeros((*n.shape[:-1], *into.part))
        top, left = self.rows[0] - into.rows[0], self.columns[0] - into.columns[0]
        _, height, width = self.part
        result[..., top : top + height, left : left + width] = n.reshape(*n.shape[:-1], *self.part)
        return result.reshape(*n.shape[:-1], -1)

    def read_by(self, layer: Strided, shape: Sequence[int]) -> PictureWindow:
        """What of a picture of ``shape`` this part of the layer's result is computed from."""
        source, spans = picture(shape), []
        for start, size, most in zip(
            self._corner(layer), reach(layer, self.part[1:]), source[1:], strict=True
        ):
            end = start + size
            start = min(max(start, 0), most - 1)  # one that lies in padding alone reads nothing
            spans.append((start, max(min(end, most), start + 1)))
        return PictureWindow(source, spans[0], spans[1])

    def cropped(self, canvas: Array, layer: Strided, seen: PictureWindow) -> Array:
        """Of numbers (…, height, width) over all that this part of a layer's result reads, padding
        with it, those in ``seen``; zeros where none are."""
        _, height, width = seen.part
        start = self._corner(layer)
        top, left = seen.rows[0] - start[0], seen.columns[0] - start[1]
        rows, columns = (
            slice(max(first, 0), max(first + size, 0))
            for first, size in ((top, height), (left, width))
        )
        found = canvas[..., rows, columns]
        if found.shape[-2:] == (height, width):
            return np.ascontiguousarray(found)
        result = np.zeros((*canvas.shape[:-2], height, width))
        y, x = max(-top, 0), max(-left, 0)
        result[..., y : y + found.shape[-2], x : x + found.shape[-1]] = found
        return result

    def _corner(self, layer: Strided) -> tuple[int, int]:
        """Where what it reads begins; it may lie in padding."""
        first = self.rows[0], self.columns[0]
        y, x = (n * s - p for n, s, p in zip(first, layer.stride, layer.padding[:2], strict=True))
        return y, x


def kernel_of(layer: Strided) -> tuple[int, int]:
    """Height and width of the windows that ``layer`` reads."""
    height, width = layer.kernel if isinstance(layer, MaxPool2d) else layer.weight.shape[2:]
    return height, width


def reach(layer: Strided, size: Sequence[int]) -> tuple[int, int]:
    """Height and width of what ``size`` (h, w) neighbouring results read."""
    h, w = (
        (n - 1) * s + d * (k - 1) + 1
        for n, s, d, k in zip(size, layer.stride, layer.dilation, kernel_of(layer), strict=True)
    )
    return h, w


def offsets(layer: Strided, size: Sequence[int]) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
    """For each place (y, x) of a layer's window, in order: where in all that ``size`` (h, w)
    neighbouring results read it stands, for every one of them."""
    height, width = kernel_of(layer)
    (sy, sx), (dy, dx), (h, w) = layer.stride, layer.dilation, size
    for y in range(height):
        for x in range(width):
            rows = slice(y * dy, y * dy + (h - 1) * sy + 1, sy)
            yield y, x, (rows, slice(x * dx, x * dx + (w - 1) * sx + 1, sx))


def whole(shape: Sequence[int]) -> PictureWindow:
    """All of a value."""
    channels, height, width = picture(shape)
    return PictureWindow((channels, height, width), (0, height), (0, width))


def before(network: Network, node: Node, window: PictureWindow) -> list[PictureWindow]:
    """What each value that ``node`` reads is seen through, where ``node`` is through ``window``."""
    layer = node.layer
    if isinstance(layer, ReLU | LeakyReLU):
        return [window]
    if isinstance(layer, Strided):
        return [window.read_by(layer, network.shapes[node.inputs[0]])]
    return [whole(network.shapes[source]) for source in node.inputs]


def widest(network: Network, name: str, window: PictureWindow) -> int:
    """How many numbers a form has at most on its way back from a part of value ``name``."""
    seen, size = {name: window}, window.size
    for node in reversed(network.nodes):
        if node.name not in seen:
            continue
        parts = before(network, node, seen.pop(node.name))
        for source, part in zip(node.inputs, parts, strict=True):
            seen[source] = part.union(seen[source]) if source in seen else part
            size = max(size, seen[source].size)
    return size


def around(shape: Sequence[int], entries: Array) -> PictureWindow:
    """The smallest that holds flat ``entries``, at least one."""
    channels, height, width = picture(shape)
    y, x = entries // width % height, entries % width
    spans = [(int(each.min()), int(each.max()) + 1) for each in (y, x)]
    return PictureWindow((channels, height, width), spans[0], spans[1])


def neighbours_first(shape: Sequence[int]) -> Array:
    """The flat indices of a value, those of one pixel together, near ones near each other: pixels
    in the order of their coordinates' interleaved bits."""
    _, height, width = picture(shape)
    y, x = (each.reshape(-1) for each in np.mgrid[:height, :width])
    bits = max(height, width).bit_length()
    code = sum(((y >> k & 1) << 2 * k + 1) | ((x >> k & 1) << 2 * k) for k in range(bits))
    index = np.arange(math.prod(shape)).reshape(-1, height * width)
    found: Array = index.T[np.argsort(code, kind="stable")].reshape(-1)
    return found


@lru_cache(maxsize=512)
def _index(window: PictureWindow) -> Array:
    channels, height, width = window.shape
    index = np.arange(channels * height * width).reshape(window.shape)
    rows, columns = slice(*window.rows), slice(*window.columns)
    return index[:, rows, columns].reshape(-1)
