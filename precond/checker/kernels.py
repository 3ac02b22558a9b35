"""Convolutions in machine words: the kernel's digits, and sums over its places.

A weight is cut into short whole numbers, its digits, the highest first.  A product with each is a
convolution in integers, all of whose partial sums fit a word, so in any order it is exact.  Of a
layer with many weights the last digits are left out: ``rest`` bounds what is missing, and
whoever uses the layer counts it as a deviation of the weights.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from precond.checker.windows import PictureWindow, offsets, picture, reach, whole
from precond.checker.words import WORD, Array, Fixed, add, require
from precond.network.layers import Conv2d, MaxPool2d, Shape

FULL = 100  # weights, up to which none of their digits is left out
SHORTER = 3  # bits of a weight's digits fewer than those of a form


class WindowKernel:
    """The linear part of ``layer`` over a picture of ``shape``: ``Σ_k parts[k] · 2^(e − k·width)``,
    and at most ``rest`` more or less in each weight.

    Takes numbers of up to ``bits`` + 1 bits; results are less than ``ERROR`` units low.
    """

    ERROR = 2

    def __init__(self, layer: Conv2d, shape: Shape, bits: int) -> None:
        out, per_group, height, width = layer.weight.shape
        self.layer, self.shape = layer, picture(shape)
        self.out = whole(layer.output_shape([shape]))
        terms = max(out // layer.groups, per_group) * height * width
        self.limit = bits + 1
        self.width = WORD - self.limit - terms.bit_length()
        require(self.width > 4)
        rest = np.asarray(layer.weight, dtype=np.float64)
        most = -(-(bits - SHORTER) // self.width) if rest.size > FULL else 16
        e = int(np.frexp(np.abs(rest).max(initial=0.0))[1])
        require(not rest.any() or -800 < e < 800)
        self.e = e - self.width
        self.parts: list[Array] = []
        while rest.any() and len(self.parts) < most:
            e -= self.width
            digits = np.trunc(np.ldexp(rest, -e))
            rest = rest - np.ldexp(digits, e)
            self.parts.append(digits)
        require(rest.size > FULL or not rest.any())
        self.parts = self.parts or [np.zeros(layer.weight.shape)]
        self.rest = np.abs(rest)

    @property
    def missing(self) -> Conv2d | None:
        """A convolution with what is left out of each weight, in few digits, rounded up."""
        largest = self.rest.max(initial=0.0)
        if not largest:
            return None
        unit = 2.0 ** (np.frexp(largest)[1] - 8)
        up = np.ceil(self.rest / unit) * unit
        zero = np.zeros(len(up))
        return replace(self.layer, weight=up, bias=zero, weight_range=None, bias_range=None)

    def product(self, x: Fixed, window: PictureWindow) -> tuple[Fixed, PictureWindow]:
        """``x · M`` for forms (…, |window|) over a part of the result, and over what part of the
        picture it is."""
        seen = window.read_by(self.layer, self.shape)
        flat, k = self._long(x, window.part)
        turned = np.ascontiguousarray(flat.transpose(2, 3, 0, 1))  # (h, w, B, C)
        total = self._back(turned, self.parts[-1])
        for part in self.parts[-2::-1]:
            total = np.floor(total * 2.0**-self.width) + self._back(turned, part)
        found = window.cropped(total.transpose(2, 3, 0, 1), self.layer, seen)
        return Fixed(found.reshape(*x.n.shape[:-1], -1), x.e - k + self.e), seen

    def image(self, ends: Fixed) -> Fixed:
        """Lower bounds of M z and −M z from those of z and −z, (2, …, m)."""
        turned = Fixed(ends.n[::-1], ends.e)
        up = [np.maximum(part, 0) for part in self.parts]
        down = [np.maximum(-part, 0) for part in self.parts]
        return add(self._values(ends, up), self._values(turned, down))

    def _values(self, x: Fixed, parts: list[Array]) -> Fixed:
        flat, k = self._long(x, self.shape)
        total = self._forward(flat, parts[-1])
        for part in parts[-2::-1]:
            total = np.floor(total * 2.0**-self.width) + self._forward(flat, part)
        return Fixed(total.reshape(*x.n.shape[:-1], -1), x.e - k + self.e)

    def _long(self, x: Fixed, part: tuple[int, int, int]) -> tuple[Array, int]:
        """As pictures (B, C, h, w), in full length, in which nothing is lost to short numbers; and
        by how many bits."""
        k = self.limit - x.length
        require(k >= 0)
        return x.n.reshape(-1, *part) * 2.0**k, k

    def _back(self, form: Array, weight: Array) -> Array:
        """``Lᵀ form`` of forms (h, w, B, C), over all that they read, padding with it."""
        layer, (h, w, rows, _) = self.layer, form.shape
        out, per_group = weight.shape[:2]
        canvas = np.zeros((*reach(layer, (h, w)), rows, per_group * layer.groups))
        each = out // layer.groups
        for g in range(layer.groups):
            own, read = (slice(g * n, (g + 1) * n) for n in (each, per_group))
            values = form[..., own].reshape(-1, each)
            for y, x, spots in offsets(layer, (h, w)):
                moved = values @ weight[own, :, y, x]
                canvas[(*spots, slice(None), read)] += moved.reshape(h, w, rows, per_group)
        return canvas

    def _forward(self, flat: Array, weight: Array) -> Array:
        """The convolution of pictures (B, C, H, W), (B, m)."""
        layer, (_, height, width) = self.layer, self.shape
        out, per_group, kh, kw = weight.shape
        probe = MaxPool2d((kh, kw), layer.stride, layer.padding, dilation=layer.dilation)
        windows = probe.windows((1, height, width))  # −1 is padding: the zero at the end
        padded = np.zeros((*flat.shape[:2], height * width + 1))
        padded[..., :-1] = flat.reshape(*flat.shape[:2], -1)
        total = np.zeros((len(flat), out, len(windows)))
        each = out // layer.groups
        for g in range(layer.groups):
            own, read = (slice(g * n, (g + 1) * n) for n in (each, per_group))
            for k in range(kh * kw):
                values = padded[:, read][..., windows[:, k]]
                total[:, own] += np.matmul(weight[own, :, k // kw, k % kw], values)
        return total
