"""The backward pass for single values of a convolutional layer, over their receptive fields.

The same bounds as ``backward`` without multipliers, for one subdomain and many rows: forms are
held as patches (``patches``), in batches of some 256 rows, and sums of few numbers are float64.
A bound that is not finite is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from precond.network.affine import Convolution
from precond.network.graph import INPUT
from precond.network.layers import Add, Concat, Conv2d, MaxPool2d, Node, Scale
from precond.proof.bounds.backward import Region
from precond.proof.bounds.field_maps import FLUSHED, LONGEST, FieldMaps
from precond.proof.bounds.lines import ActivationLines
from precond.proof.bounds.patches import (
    FieldForms,
    Group,
    added,
    back,
    picture,
    through_convolution,
    whole,
)
from precond.proof.bounds.pools import PoolLines
from precond.proof.bounds.relaxed import over_box
from precond.proof.bounds.rounding import TINY, gamma
from precond.proof.deadline import Deadline

ROWS = 256
BYTES = 192 << 20  # of the largest form in a batch


def field_bounds(
    region: Region, name: str, entries: Tensor, signs: Tensor, deadline: Deadline
) -> Iterator[tuple[Tensor, Tensor]]:
    """Lower bounds of ``sign · value`` of flat ``entries`` (k,) of a node, as pairs of which of
    them and their bounds, batch by batch until the deadline."""
    shared, network = FieldMaps(region), region.ops.network
    shape = picture(network.shapes[name])
    pixels = shape[1] * shape[2]
    place = entries % pixels
    widest = max(network.width(n) for n in network.shapes)
    size = torch.empty(0, dtype=shared.type).element_size()
    for part in torch.split(
        place.argsort(stable=True), max(8, min(ROWS, BYTES // (size * widest)))
    ):
        if deadline.passed:
            return
        form = torch.zeros(len(part), shape[0], 1, 1, dtype=shared.type, device=place.device)
        each = torch.arange(len(part), device=place.device)
        form[each, entries[part] // pixels, 0, 0] = signs[part].to(shared.type)
        scale = (0, 0) if pixels == 1 else (1, 1)
        start = FieldForms(form, shape, scale, shift=(0, 0), clean=True)
        yield part, _Batch(shared, _places(place[part], shape[2]), len(part)).run(name, start)


class _Batch:
    """A batch of rows on their way back."""

    def __init__(self, shared: FieldMaps, places: Sequence[Group], rows: int) -> None:
        self.shared, self.region, self.network = shared, shared.region, shared.network
        self.places: Sequence[Group] = places
        self.total, self.mass, self.error = (shared.region.lower.new_zeros(rows) for _ in range(3))
        self.forms: dict[str, FieldForms] = {}
        self.covered: set[str] = set()  # affine nodes whose rounding an activation has counted

    def run(self, name: str, start: FieldForms) -> Tensor:
        """Lower bounds (R,)."""
        self.forms[name] = start
        for node in reversed(self.network.nodes):
            if node.name not in self.forms:
                continue
            patch = self.forms.pop(node.name)
            lines = self.region.lines.get(node.name)
            if isinstance(lines, PoolLines):
                self._pool(node, lines, patch)
            elif isinstance(lines, ActivationLines):
                self._activation(node, lines, patch)
            else:
                self._affine(node, patch)
        return self._finish()

    def _push(self, name: str, patch: FieldForms) -> None:
        old = self.forms.get(name)
        self.forms[name] = patch if old is None else added(old, patch, self.places)

    def _add(self, shift: Tensor, size: Tensor | None = None) -> None:
        """A constant (R,), the sum of numbers of which ``size`` sums the absolute values."""
        shift = shift.to(self.total.dtype)
        self.total += shift
        self.mass += shift.abs() if size is None else size

    def _lose(self, loss: Tensor) -> None:
        self.error += loss.to(self.error.dtype) * self.shared.room

    def _activation(self, node: Node, lines: ActivationLines, patch: FieldForms) -> None:
        maps = self.shared.activation_maps(node, lines)
        found = []
        for form, (low, rise, shift, weight) in patch.windows(maps, self.places):
            negative = form.clamp(max=0)
            sides = torch.stack([shift.flatten(), weight.flatten()], 1)
            products = negative.flatten(1) @ sides
            loss = form.flatten(1) @ sides[:, 1] - 2 * products[:, 1]
            found.append(torch.stack([products[:, 0], loss]))
            form.mul_(low).addcmul_(negative, rise)
        constant, loss = torch.cat(found, 1)
        self._add(constant)
        self._lose(loss)
        self.error += FLUSHED[self.shared.type] * (1 + float(lines.size.sum()))
        (source,) = node.inputs
        if self.shared.covers(source):
            self.covered.add(source)
        self._push(source, patch.like(patch.form, clean=True))

    def _pool(self, node: Node, lines: PoolLines, patch: FieldForms) -> None:
        layer = node.layer
        assert isinstance(layer, MaxPool2d)
        maps = self.shared.pool_maps(node, lines)
        (source,) = node.inputs
        shape = picture(self.network.shapes[source])
        (h, w), (kh, kw) = patch.size, layer.kernel
        (sy, sx), (dy, dx) = layer.stride, layer.dilation
        height, width = (h - 1) * sy + dy * (kh - 1) + 1, (w - 1) * sx + dx * (kw - 1) + 1
        result = patch.form.new_zeros(len(patch.form), shape[0], height, width)
        found, first = [], 0
        for form, parts in patch.windows(maps, self.places):
            part = result[first : first + len(form)]
            first += len(form)
            negative = form.clamp(max=0)
            positive = form.clamp(min=0)
            constant = negative.flatten(1) @ parts[0].flatten()
            loss = (positive - negative).flatten(1) @ parts[1].flatten()
            found.append(torch.stack([constant, loss]))
            for k in range(kh * kw):
                y, x = k // kw * dy, k % kw * dx
                place = part[:, :, y : y + (h - 1) * sy + 1 : sy, x : x + (w - 1) * sx + 1 : sx]
                place.addcmul_(positive, parts[2 + k])
                place.addcmul_(negative, parts[2 + kh * kw + k])
        constant, loss = torch.cat(found, 1)
        self._add(constant)
        self._lose(loss)
        self.error += FLUSHED[self.shared.type] * (1 + float(lines.size.sum()))
        self._push(
            source,
            back(
                patch,
                result,
                shape,
                stride=(sy, sx),
                pad=layer.padding[:2],
                places=self.places,
                clean=True,
            ),
        )

    def _affine(self, node: Node, patch: FieldForms) -> None:
        shared, name = self.shared, node.name
        patch = patch.cleaned(self.places)
        weight = shared.affine_map(name, covered=name in self.covered)
        if weight is not None:
            self._lose(patch.like(patch.form.abs(), clean=True).dot(weight, self.places))
        self.error += shared.floor(name) + FLUSHED[shared.type]
        layer, many = node.layer, len(node.inputs)
        if isinstance(layer, Conv2d):
            (source,), operator = node.inputs, shared.cast.affine[name]
            assert isinstance(operator, Convolution)
            sums = patch.form.sum((2, 3), dtype=self.total.dtype)
            bias = torch.as_tensor(layer.bias.copy(), dtype=sums.dtype, device=sums.device)
            self._add(sums @ bias, sums.abs() @ bias.abs())
            shape = self.network.shapes[source]
            self._push(
                source,
                through_convolution(
                    layer, operator.weight, patch, source=shape, places=self.places
                ),
            )
        elif isinstance(layer, Add) and not patch.whole:
            for source, factor in zip(node.inputs, layer.coefficients, strict=True):
                self._push(source, patch.like(patch.form * factor, clean=True))
        elif isinstance(layer, Concat) and layer.axis == 0 and many > 1 and not patch.whole:
            sizes = [picture(self.network.shapes[source])[0] for source in node.inputs]
            for source, part in zip(node.inputs, torch.split(patch.form, sizes, 1), strict=True):
                own = (part.shape[1], *patch.shape[1:])
                self._push(source, replace(patch, form=part.contiguous(), shape=own))
        elif isinstance(layer, Scale) and not patch.whole:
            self._scale(node.inputs[0], layer, patch)
        else:
            self._generic(node, patch)

    def _scale(self, source: str, layer: Scale, patch: FieldForms) -> None:
        parts = [np.broadcast_to(v, patch.shape) for v in (layer.factor, layer.shift)]
        maps = torch.tensor(np.stack(parts), dtype=self.total.dtype, device=self.total.device)
        found = []
        for form, (factor, shift) in patch.windows(maps, self.places):
            exact = form.flatten(1).to(shift.dtype)
            flat = shift.flatten()
            found.append(torch.stack([exact @ flat, exact.abs() @ flat.abs()]))
            form.mul_(factor.to(form.dtype))
        self._add(*torch.cat(found, 1))
        self._push(source, patch)

    def _generic(self, node: Node, patch: FieldForms) -> None:
        """Any affine map, over whole values."""
        patch = patch.spread(self.places)
        form = patch.form.reshape(-1, *self.network.shapes[node.name])
        name = node.name
        exact = self.shared.ops.affine[name]
        full = form.to(self.total.dtype)
        self._add(exact.bias_dot(full), self.shared.ops.absolute[name].bias_dot(full.abs()))
        parts = self.shared.cast.affine[name].transpose(form)
        for source, part in zip(node.inputs, parts, strict=True):
            shape = picture(self.network.shapes[source])
            self._push(source, whole(part.reshape(-1, *shape)))

    def _finish(self) -> Tensor:
        region, found = self.region, []
        patch = self.forms.pop(INPUT, None)
        value = torch.zeros_like(self.total)
        if patch is not None:
            shape = picture(self.network.input_shape)
            ends = torch.stack([e.reshape(shape) for e in (region.lower, region.upper)])
            readers = self.shared.gamma(self.network.consumers[INPUT])
            for form, (low, high) in patch.windows(ends, self.places):
                exact = form.flatten(1).to(low.dtype)[None]
                low, high = low.reshape(1, -1), high.reshape(1, -1)
                least, loss = over_box(exact, low, high)
                largest = torch.maximum(low.abs(), high.abs())[0]
                loss = loss[0] + readers * (exact[0].abs() @ largest)
                found.append(torch.stack([least[0], loss]))
            value, loss = torch.cat(found, 1)
            self.error += loss * (1 + 1e-9)
        count = gamma(4 * len(self.network.nodes) + LONGEST)
        error = (self.error + count * (self.mass + value.abs())) * (1 + 1e-9) + TINY
        return value + self.total - error


def _places(place: Tensor, width: int) -> list[Group]:
    """Groups of rows with one place; equal ones stand together."""
    each, counts = torch.unique_consecutive(place, return_counts=True)
    ends = counts.cumsum(0).tolist()
    return [
        (last - count, last, spot // width, spot % width)
        for spot, count, last in zip(each.tolist(), counts.tolist(), ends, strict=True)
    ]
