"""The backward pass for single values of a convolutional layer, over their receptive fields.

The same bounds as ``backward`` without multipliers, for one subdomain and many rows: forms are
held as patches, in batches of some 256 rows.  On a CPU they are held in float32, whose
convolutions take a fraction of the time.  Nothing rests on that: rounding is counted with the
unit of whichever type it is, numbers cast to it count as rounded, and sums of few numbers are
float64.  A bound that is not finite is none.

γ counts sums of products in any order, and no other algorithm, so every convolution is tried on
small integers first (``sums_products``): plain sums give these exactly, in whatever order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from precond.network.affine import Convolution
from precond.network.graph import INPUT
from precond.network.layers import Add, Affine, Concat, Conv2d, MaxPool2d, Node, Reshape, Scale
from precond.network.operators import Operators, operators
from precond.proof.bounds.backward import Region
from precond.proof.bounds.lines import ActivationLines
from precond.proof.bounds.patches import Group, Patch, added, back, picture, through_convolution
from precond.proof.bounds.pools import PoolLines
from precond.proof.bounds.relaxed import over_box
from precond.proof.bounds.rounding import TINY, UNIT, gamma, unit_gamma
from precond.proof.deadline import Deadline

ROWS = 256
BYTES = 192 << 20  # of the largest form in a batch
FLUSHED = {torch.float32: 1e-30, torch.float64: TINY}  # more than sums lose by underflow
LONGEST = 1 << 20  # of a sum: its γ in float32 is well below 1


def number_type(ops: Operators) -> torch.dtype:
    """In which forms are held."""
    return torch.float32 if ops.device.type == "cpu" else torch.float64


def fits(region: Region) -> bool:
    """Whether the pass may bound values of a layer: one subdomain of a convolutional
    network, with sums short enough to count."""
    network = region.ops.network
    if len(region.lower) > 1 or not any(isinstance(n.layer, Conv2d) for n in network.nodes):
        return False
    return max(network.width(n) for n in network.shapes) < LONGEST


@dataclass(eq=False)
class FieldPass:
    """One region and the numbers that its passes share, per node as pictures (n, C, H, W)."""

    region: Region
    maps: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ops = self.region.ops
        self.network = self.ops.network
        self.type = number_type(self.ops)
        self.unit = UNIT if self.type is torch.float64 else 2.0**-24
        self.cast = operators(self.network, str(self.ops.device), self.type)
        # Losses are computed with |form| = form − 2 · min(form, 0), whose sums may cancel.
        self.room = 1 + 8 * self.gamma(max(self.network.width(n) for n in self.network.shapes))

    def gamma(self, terms: int) -> float:
        return unit_gamma(terms, self.unit)

    def values(
        self, name: str, entries: Tensor, signs: Tensor, deadline: Deadline
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Lower bounds of ``sign · value`` of flat ``entries`` (k,) of a node, as pairs of which
        of them and their bounds, batch by batch until the deadline."""
        shape = picture(self.network.shapes[name])
        pixels = shape[1] * shape[2]

        def start(part: Tensor) -> Patch:
            form = torch.zeros(len(part), shape[0], 1, 1, dtype=self.type, device=part.device)
            each = torch.arange(len(part), device=part.device)
            form[each, entries[part] // pixels, 0, 0] = signs[part].to(self.type)
            scale = (0, 0) if pixels == 1 else (1, 1)
            return Patch(form, shape, scale, (0, 0), clean=True)

        return self._batches(name, entries % pixels, shape[2], start, deadline)

    def leads(
        self, node: Node, window: Tensor, first: Tensor, other: Tensor, deadline: Deadline
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The same of how far member ``first`` (k,) of a max-pool's ``window`` (k,) is ahead of
        member ``other`` (k,)."""
        layer, (source,) = node.layer, node.inputs
        assert isinstance(layer, MaxPool2d)
        shape, (_, height, width) = (picture(self.network.shapes[n]) for n in (source, node.name))
        size = [d * (k - 1) + 1 for k, d in zip(layer.kernel, layer.dilation, strict=True)]

        def start(part: Tensor) -> Patch:
            form = torch.zeros(len(part), shape[0], *size, dtype=self.type, device=part.device)
            each = torch.arange(len(part), device=part.device)
            channel = window[part] // (height * width)
            for member, value in ((first[part], 1.0), (other[part], -1.0)):
                y, x = member // layer.kernel[1], member % layer.kernel[1]
                form[each, channel, y * layer.dilation[0], x * layer.dilation[1]] = value
            shift = -layer.padding[0], -layer.padding[1]
            return Patch(form, shape, layer.stride, shift, clean=True)

        return self._batches(source, window % (height * width), width, start, deadline)

    def _batches(
        self,
        name: str,
        place: Tensor,
        width: int,
        start: Callable[[Tensor], Patch],
        deadline: Deadline,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        widest = max(self.network.width(n) for n in self.network.shapes)
        size = torch.empty(0, dtype=self.type).element_size()
        batch = max(8, min(ROWS, BYTES // (size * widest)))
        for part in torch.split(place.argsort(stable=True), batch):
            if deadline.passed:
                return
            rows = _places(place[part], width)
            yield part, _Batch(self, rows, len(part)).run(name, start(part))

    def activation_maps(self, node: Node, lines: ActivationLines) -> Tensor:
        """Slope below, slope above, intercept above, and what a unit of |form| costs."""
        if node.name not in self.maps:
            (source,) = node.inputs
            weight = 16 * self.unit * lines.size + self.gamma(lines.size.shape[-1]) * lines.shift
            if self.covers(source):
                weight = weight + self.affine_loss(source)
            if node.name in self.region.slacks:
                weight = weight + self.region.slacks[node.name]
            weight = weight.clamp(min=FLUSHED[self.type])
            self.maps[node.name] = self.pictures(
                source, [lines.low, lines.up - lines.low, lines.shift, weight]
            )
        return self.maps[node.name]

    def pool_maps(self, node: Node, lines: PoolLines) -> Tensor:
        """Intercept above, what a unit of |form| costs, then for each place of the window its
        weight below, and the slope of the line above if it is there."""
        if node.name not in self.maps:
            count = self.gamma(lines.size.shape[-1])
            weight = count * (2 * lines.size + lines.shift.abs()) + 16 * self.unit * lines.size
            weight = weight.clamp(min=FLUSHED[self.type])
            members = lines.members.reshape(lines.below.shape[2:]).T  # (places, m)
            above = (members == lines.peak[0]) * (self.ops.windows[node.name].T >= 0)
            parts = [lines.shift, weight, *lines.below[0, 0].T, *(above * lines.slope[0])]
            self.maps[node.name] = self.pictures(node.name, parts)
        return self.maps[node.name]

    def affine_map(self, name: str, *, covered: bool) -> Tensor | None:
        """What a unit of |form| at an affine node costs, where no activation counts it."""
        parts = [] if covered else [self.affine_loss(name)]
        if name in self.region.slacks:
            parts.append(self.region.slacks[name])
        if not parts:
            return None
        key = f"{name} {covered}"
        if key not in self.maps:
            self.maps[key] = self.pictures(name, [torch.stack(parts).sum(0)])
        return self.maps[key][0]

    def covers(self, source: str) -> bool:
        """Whether the activation that reads affine node ``source`` counts its rounding."""
        return source in self.ops.affine and self.network.consumers[source] == 1

    def affine_loss(self, name: str) -> Tensor:
        """What rounding costs a unit of |form| at an affine node, (1, 1, m)."""
        operator, layer = self.ops.affine[name], self.network.node[name].layer
        terms = operator.terms
        if isinstance(layer, Conv2d):
            terms = len(layer.weight) // layer.groups * layer.weight[0, 0].size
        elif isinstance(layer, Affine):
            terms = len(layer.weight)
        elif isinstance(layer, Add | Concat | Scale | Reshape):
            terms = 1
        # Two more: the cast of a constant, and of a sum over all that read the value.
        count = self.gamma(terms + self.network.consumers[name] + 2) + gamma(operator.terms)
        size = self.region.sizes[name].flatten(1).unsqueeze(1)
        return count * size + self.floor(name)

    def floor(self, name: str) -> float:
        """What underflow of the products of an affine node costs."""
        return float(self.region.floors[name].max()) * (FLUSHED[self.type] / TINY)

    def pictures(self, name: str, parts: Sequence[Tensor]) -> Tensor:
        shape = picture(self.network.shapes[name])
        return torch.stack([part.reshape(shape) for part in parts]).to(self.type)


class _Batch:
    """A batch of rows on their way back."""

    def __init__(self, shared: FieldPass, places: Sequence[Group], rows: int) -> None:
        self.shared, self.region, self.network = shared, shared.region, shared.network
        self.places: Sequence[Group] = places
        self.total, self.mass, self.error = (shared.region.lower.new_zeros(rows) for _ in range(3))
        self.forms: dict[str, Patch] = {}
        self.covered: set[str] = set()  # affine nodes whose rounding an activation has counted

    def run(self, name: str, start: Patch) -> Tensor:
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

    def _push(self, name: str, patch: Patch) -> None:
        old = self.forms.get(name)
        self.forms[name] = patch if old is None else added(old, patch, self.places)

    def _add(self, shift: Tensor, size: Tensor | None = None) -> None:
        """A constant (R,), the sum of numbers of which ``size`` sums the absolute values."""
        shift = shift.to(self.total.dtype)
        self.total += shift
        self.mass += shift.abs() if size is None else size

    def _lose(self, loss: Tensor) -> None:
        self.error += loss.to(self.error.dtype) * self.shared.room

    def _activation(self, node: Node, lines: ActivationLines, patch: Patch) -> None:
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
        self.error += FLUSHED[self.shared.type] * float(lines.size.sum())
        (source,) = node.inputs
        if self.shared.covers(source):
            self.covered.add(source)
        self._push(source, patch.like(patch.form, clean=True))

    def _pool(self, node: Node, lines: PoolLines, patch: Patch) -> None:
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
        self.error += FLUSHED[self.shared.type] * float(lines.size.sum())
        self._push(
            source,
            back(patch, result, shape, (sy, sx), layer.padding[:2], self.places, clean=True),
        )

    def _affine(self, node: Node, patch: Patch) -> None:
        shared, name = self.shared, node.name
        patch = patch.cleaned(self.places)
        weight = shared.affine_map(name, covered=name in self.covered)
        if weight is not None:
            self._lose(patch.like(patch.form.abs(), clean=True).dot(weight, self.places))
        self.error += shared.floor(name)
        layer, many = node.layer, len(node.inputs)
        if isinstance(layer, Conv2d):
            (source,), operator = node.inputs, shared.cast.affine[name]
            assert isinstance(operator, Convolution)
            sums = patch.form.sum((2, 3), dtype=self.total.dtype)
            bias = torch.as_tensor(layer.bias.copy(), dtype=sums.dtype, device=sums.device)
            self._add(sums @ bias, sums.abs() @ bias.abs())
            shape = self.network.shapes[source]
            self._push(
                source, through_convolution(layer, operator.weight, patch, shape, self.places)
            )
        elif isinstance(layer, Add) and not patch.whole:
            for source, factor in zip(node.inputs, layer.coefficients, strict=True):
                self._push(source, patch.like(patch.form * factor, clean=True))
        elif isinstance(layer, Concat) and layer.axis == 0 and many > 1 and not patch.whole:
            sizes = [picture(self.network.shapes[source])[0] for source in node.inputs]
            for source, part in zip(node.inputs, torch.split(patch.form, sizes, 1), strict=True):
                own = (part.shape[1], *patch.shape[1:])
                self._push(
                    source, Patch(part.contiguous(), own, patch.scale, patch.shift, clean=True)
                )
        elif isinstance(layer, Scale) and not patch.whole:
            self._scale(node.inputs[0], layer, patch)
        else:
            self._generic(node, patch)

    def _scale(self, source: str, layer: Scale, patch: Patch) -> None:
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

    def _generic(self, node: Node, patch: Patch) -> None:
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
            self._push(source, Patch(part.reshape(-1, *shape), shape, (0, 0), (0, 0), clean=True))

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
