"""Linear forms over a part of a picture: those whose receptive field is smaller than it.

A form of one value of a convolution reads a small window of the layer before.  So R forms are
held as their windows alone, (R, C, h, w), each with the place of its upper left corner, which
may lie outside the picture.  A form at place (y, x) of the layer that it started at has its
corner at ``place · scale + shift`` of every layer it passes, so rows of one place go together
(``Group``).  Where the window reaches the size of the picture, the form is held over the whole.

A value without height and width counts as a picture of one pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from precond.network.layers import Conv2d, Pair, Shape

Group = tuple[int, int, int, int]
"""First and last row of those at one place, and the place."""


def picture(shape: Sequence[int]) -> tuple[int, int, int]:
    """(C, H, W) of a value."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    return math.prod(shape), 1, 1


@dataclass(frozen=True, eq=False)
class FieldForms:
    """Forms (R, C, h, w) over a value of ``shape`` (C, H, W).  ``clean``: nothing outside of the
    picture; ``whole``: the window is the picture."""

    form: Tensor
    shape: tuple[int, int, int]
    scale: Pair
    shift: Pair
    clean: bool

    @property
    def whole(self) -> bool:
        return self.scale == (0, 0) and self.shift == (0, 0) and self.size == self.shape[1:]

    @property
    def size(self) -> Pair:
        return self.form.shape[2], self.form.shape[3]

    def corner(self, y: int, x: int) -> Pair:
        """The corner of a row at place (y, x)."""
        return y * self.scale[0] + self.shift[0], x * self.scale[1] + self.shift[1]

    def groups(self, places: Sequence[Group]) -> Sequence[Group]:
        """Rows with one corner each; a whole form has one for all."""
        return [(0, len(self.form), 0, 0)] if self.whole else places

    def inside(self, y: int, x: int) -> tuple[slice, slice]:
        """What of the window of a row at place (y, x) lies on the picture."""
        top, left = self.corner(y, x)
        h, w = self.size
        rows = slice(max(0, -top), max(0, min(h, self.shape[1] - top)))
        return rows, slice(max(0, -left), max(0, min(w, self.shape[2] - left)))

    def cleaned(self, places: Sequence[Group]) -> FieldForms:
        """With zeros outside of the picture; changes the form in place."""
        if self.clean:
            return self
        for first, last, y, x in places:
            part = self.form[first:last]
            rows, columns = self.inside(y, x)
            part[:, :, : rows.start] = 0
            part[:, :, rows.stop :] = 0
            part[:, :, :, : columns.start] = 0
            part[:, :, :, columns.stop :] = 0
        return replace(self, clean=True)

    def spread(self, places: Sequence[Group]) -> FieldForms:
        """The same forms over the whole picture."""
        if self.whole:
            return self
        canvas = self.form.new_zeros(len(self.form), *self.shape)
        for first, last, y, x in places:
            rows, columns = self.inside(y, x)
            top, left = self.corner(y, x)
            here = slice(top + rows.start, top + max(rows.start, rows.stop))
            there = slice(left + columns.start, left + max(columns.start, columns.stop))
            canvas[first:last, :, here, there] = self.form[first:last, :, rows, columns]
        return whole(canvas)

    def like(self, form: Tensor, *, clean: bool) -> FieldForms:
        """Another form over the same windows."""
        return replace(self, form=form, clean=clean)

    def windows(self, maps: Tensor, places: Sequence[Group]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each group its forms (k, C, h, w), as a view, and the part of ``maps`` (n, C, H, W)
        below its windows, (n, C, h, w), zero outside of the picture."""
        groups = self.groups(places)
        (h, w), (_, height, width) = self.size, self.shape
        corners = [self.corner(y, x) for _, _, y, x in groups]
        top = max(0, *(-y for y, _ in corners)) if corners else 0
        left = max(0, *(-x for _, x in corners)) if corners else 0
        bottom = max(0, *(y + h - height for y, _ in corners)) if corners else 0
        right = max(0, *(x + w - width for _, x in corners)) if corners else 0
        padded = F.pad(maps, (left, right, top, bottom)) if top + left + bottom + right else maps
        for (first, last, _, _), (y, x) in zip(groups, corners, strict=True):
            y, x = y + top, x + left
            yield self.form[first:last], padded[:, :, y : y + h, x : x + w]

    def dot(self, values: Tensor, places: Sequence[Group]) -> Tensor:
        """``Σ form · values`` (R,) with values (C, H, W)."""
        flat = [
            form.flatten(1) @ part[0].flatten() for form, part in self.windows(values[None], places)
        ]
        return torch.cat(flat)


def whole(form: Tensor) -> FieldForms:
    """Forms (R, C, H, W) over a whole picture."""
    _, channels, height, width = form.shape
    return FieldForms(form, (channels, height, width), (0, 0), shift=(0, 0), clean=True)


def added(one: FieldForms, other: FieldForms, places: Sequence[Group]) -> FieldForms:
    """The sum of forms over the same value."""
    if one.whole or other.whole or one.scale != other.scale:
        one, other = one.spread(places), other.spread(places)
        return one.like(one.form + other.form, clean=True)
    top, left = (min(a, b) for a, b in zip(one.shift, other.shift, strict=True))
    ends = [tuple(p.shift[k] + p.size[k] for p in (one, other)) for k in (0, 1)]
    height, width = max(ends[0]) - top, max(ends[1]) - left
    total = one.form.new_zeros(len(one.form), one.shape[0], height, width)
    for part in (one, other):
        y, x = part.shift[0] - top, part.shift[1] - left
        total[:, :, y : y + part.size[0], x : x + part.size[1]] += part.form
    clean = one.clean and other.clean
    return replace(one, form=total, shift=(top, left), clean=clean)


def through_convolution(
    layer: Conv2d, weight: Tensor, patch: FieldForms, source: Shape, places: Sequence[Group]
) -> FieldForms:
    """``Lᵀ form`` of a convolution with this ``weight``, over what it reads (``source``)."""
    shape = picture(source)
    top, left, bottom, right = layer.padding
    if patch.whole and (top, left) == (bottom, right):
        kernel, dilation, stride = weight.shape[2:], layer.dilation, layer.stride
        extra = [
            (shape[1 + k] + 2 * pad - dilation[k] * (kernel[k] - 1) - 1) % stride[k]
            for k, pad in enumerate((top, left))
        ]
        form = F.conv_transpose2d(
            patch.form, weight, None, stride, (top, left), extra, layer.groups, dilation
        )
        return whole(form)
    form = F.conv_transpose2d(
        patch.form, weight, None, layer.stride, 0, 0, layer.groups, layer.dilation
    )
    return back(
        patch, form, shape, stride=layer.stride, pad=(top, left), places=places, clean=False
    )


def back(
    patch: FieldForms,
    form: Tensor,
    shape: tuple[int, int, int],
    stride: Pair,
    pad: Pair,
    places: Sequence[Group],
    *,
    clean: bool,
) -> FieldForms:
    """What windows that ``stride`` and are padded by ``pad`` make of ``patch``: ``form`` over a
    picture of ``shape``; over all of it where the windows are no smaller."""
    scale = patch.scale[0] * stride[0], patch.scale[1] * stride[1]
    shift = patch.shift[0] * stride[0] - pad[0], patch.shift[1] * stride[1] - pad[1]
    found = FieldForms(form, shape, scale, shift=shift, clean=clean)
    if patch.whole:
        return found.spread([(0, len(form), 0, 0)])
    if found.size[0] >= shape[1] and found.size[1] >= shape[2]:
        return found.spread(places)
    return found
