"""Windows that slide over the one to three spatial axes of a tensor (N, C, …)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from precond.errors import ModelError
from precond.network.layers import IntArray, Pads, Pair

Sizes = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Sizes for each axis: of the window, its steps, padding before and after, steps between taps.

    ``ceil_mode``: a last window may begin inside and end beyond the padding.
    """

    kernel: Sizes
    stride: Sizes
    before: Sizes
    after: Sizes
    dilation: Sizes
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        for name in ("kernel", "stride", "dilation"):
            values: Sizes = getattr(self, name)
            if len(values) != self.rank or min(values, default=1) < 1:
                raise ModelError(name, expected=f"{self.rank} positive sizes", got=str(values))
        pads = (*self.before, *self.after)
        if len(pads) != 2 * self.rank or min(pads, default=0) < 0:
            raise ModelError("padding", expected=f"{2 * self.rank} of 0 or more", got=str(pads))

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def pads(self) -> Pads:
        """Of two axes: top, left, bottom, right."""
        return (self.before[0], self.before[1], self.after[0], self.after[1])

    def pair(self, name: str) -> Pair:
        """Of two axes, the sizes ``name``."""
        first, second = getattr(self, name)
        return (first, second)

    def part(self, start: int, end: int) -> Window:
        """The same for some of the axes."""
        return replace(
            self,
            kernel=self.kernel[start:end],
            stride=self.stride[start:end],
            before=self.before[start:end],
            after=self.after[start:end],
            dilation=self.dilation[start:end],
        )

    def above(self) -> Window:
        """With another axis before the first, in which it does nothing."""
        return replace(
            self,
            kernel=(1, *self.kernel),
            stride=(1, *self.stride),
            before=(0, *self.before),
            after=(0, *self.after),
            dilation=(1, *self.dilation),
        )

    def below(self) -> Window:
        """With another axis after the last, in which it does nothing."""
        return replace(
            self,
            kernel=(*self.kernel, 1),
            stride=(*self.stride, 1),
            before=(*self.before, 0),
            after=(*self.after, 0),
            dilation=(*self.dilation, 1),
        )

    def taps(self, size: int) -> IntArray:
        """Of one axis of ``size``: the places (windows, kernel) that are read, −1 in padding."""
        reach = self.dilation[0] * (self.kernel[0] - 1) + 1
        count = (size + self.before[0] + self.after[0] - reach) // self.stride[0] + 1
        if count < 1:
            raise ModelError("kernel", expected=f"at most {size} and padding", got=str(reach))
        starts = np.arange(count)[:, None] * self.stride[0] - self.before[0]
        places = starts + np.arange(self.kernel[0])[None, :] * self.dilation[0]
        return np.where((places >= 0) & (places < size), places, -1)


def positive(values: Sequence[int], rank: int, name: str) -> Sizes:
    """A size for each of ``rank`` axes; one alone is for all."""
    sizes = tuple(int(value) for value in values)
    sizes = sizes * rank if len(sizes) == 1 else sizes
    if len(sizes) != rank or min(sizes) < 1:
        raise ModelError(name, expected=f"{rank} positive sizes", got=str(tuple(values)))
    return sizes


def unpadded(kernel: Sizes, stride: Sizes | None = None) -> Window:
    """A window without padding or dilation, by default in steps of its own size."""
    zeros, ones = (0,) * len(kernel), (1,) * len(kernel)
    return Window(kernel=kernel, stride=stride or kernel, before=zeros, after=zeros, dilation=ones)


def same_padding(size: Sequence[int], window: Window, upper: bool) -> Window:
    """With padding that makes ⌈size / stride⌉ windows; the odd row goes last if ``upper``."""
    before, after = [], []
    for axis in range(window.rank):
        count = -(-size[axis] // window.stride[axis])
        reach = (count - 1) * window.stride[axis]
        reach += window.dilation[axis] * (window.kernel[axis] - 1) + 1
        total = max(reach - size[axis], 0)
        small, large = total // 2, total - total // 2
        before.append(small if upper else large)
        after.append(large if upper else small)
    return replace(window, before=tuple(before), after=tuple(after))
