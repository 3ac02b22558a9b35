"""Where the windows of a convolution or a pool lie on an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import ModelError

IntArray = NDArray[np.int64]
MOST_PLACES = 10_000_000  # along one axis, of windows that are looked at one by one


@dataclass(frozen=True)
class WindowGeometry:
    """Sizes along (height, width); ``padding`` is (top, left, bottom, right)."""

    kernel: Sequence[int]
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    ceil_mode: bool = False

    def counts(self, size: Sequence[int]) -> tuple[int, int]:
        """How many windows fit a (height, width) image along each axis."""
        return self._count(size, 0), self._count(size, 1)

    def _count(self, size: Sequence[int], axis: int) -> int:
        padded = size[axis] + self.padding[axis] + self.padding[axis + 2]
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        room, stride = padded - reach, self.stride[axis]
        if room < 0:
            raise ModelError(
                "window larger than its input", expected=f"at most {padded}", got=str(reach)
            )
        count = (-(-room // stride) if self.ceil_mode else room // stride) + 1
        # A window that would start in the trailing padding is dropped (torch and ONNX agree).
        if self.ceil_mode and (count - 1) * stride >= size[axis] + self.padding[axis]:
            count -= 1
        return count

    def _places(self, size: Sequence[int], axis: int) -> tuple[IntArray, NDArray[np.bool_]]:
        """Positions (count, kernel) along one axis, and which of them lie on the image."""
        first = np.arange(self._count(size, axis)) * self.stride[axis] - self.padding[axis]
        found = first[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]
        return found, (found >= 0) & (found < size[axis])

    def require_values(self, size: Sequence[int]) -> None:
        """ModelError where a window lies in the padding alone: it has no maximum."""
        if any(self.padding) and not (self._all_reach(size, 0) and self._all_reach(size, 1)):
            raise ModelError(
                "a window in the padding alone",
                expected="padding that leaves each window a value",
                got=f"kernel {tuple(self.kernel)}, padding {tuple(self.padding)}",
            )

    def _all_reach(self, size: Sequence[int], axis: int) -> bool:
        """Whether every window along an axis has a position on the image.

        Where the positions of a window are at most the image's size apart, none can step over
        the image, so only the first and the last window can lie beside it.
        """
        count, before = self._count(size, axis), self.padding[axis]
        reach = self.dilation[axis] * (self.kernel[axis] - 1)
        if before > reach or (count - 1) * self.stride[axis] - before >= size[axis]:
            return False
        if self.dilation[axis] <= size[axis]:
            return True
        if count * self.kernel[axis] > MOST_PLACES:
            raise ModelError("windows", expected=f"at most {MOST_PLACES} places", got=str(count))
        return bool(self._places(size, axis)[1].any(1).all())

    def indices(self, shape: tuple[int, int, int]) -> IntArray:
        """Flat indices (channels · windows, kh · kw) into a (C, H, W) value; −1 in padding."""
        channels, height, width = shape
        rows, on_rows = self._places((height, width), 0)
        cols, on_cols = self._places((height, width), 1)
        inside = on_rows[:, None, :, None] & on_cols[None, :, None, :]
        plane = rows[:, None, :, None] * width + cols[None, :, None, :]
        plane = np.where(inside, plane, -1).reshape(len(rows) * len(cols), -1)
        offsets = (np.arange(channels) * height * width)[:, None, None]
        every = np.where(plane[None] >= 0, plane[None] + offsets, -1)
        return every.reshape(channels * len(plane), -1).astype(np.int64)
