"""A part of a network as a torch module: from values at some nodes to values at others.

The same arithmetic serves the plain network (``input`` to the output), the stages between
the exits of a fast path, and the pre-activations a monitor reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from precond.errors import QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Layer,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Reshape,
    Scale,
    Select,
    Shape,
    Sum,
)


class Operation(nn.Module):
    """One node of a network, in one number type.

    Weights of convolutions are laid out channels last, which CPUs run fastest; the numbers
    are the same.
    """

    def __init__(self, layer: Layer, shapes: Sequence[Shape], output: Shape, dtype: torch.dtype):
        super().__init__()
        self.layer, self.output = layer, output

        def keep(name: str, values: object) -> None:
            numbers = torch.tensor(values, dtype=dtype)
            if numbers.dim() == 4:
                numbers = numbers.contiguous(memory_format=torch.channels_last)
            self.register_buffer(name, numbers)

        match layer:
            case Affine(weight, bias):
                keep("weight", weight)
                keep("bias", bias)
            case Conv2d():
                keep("weight", layer.weight)
                keep("bias", layer.bias)
            case Scale(factor, shift):
                keep("weight", factor)
                keep("bias", shift)
            case Select(index, _, fill):
                self.register_buffer("index", torch.tensor(index).clamp(min=0))
                self.register_buffer("outside", torch.tensor(index < 0))
                self.fill, self.padded = fill, bool((index < 0).any())
            case MaxPool2d():
                windows = torch.tensor(layer.windows(shapes[0]))
                self.register_buffer("index", windows.clamp(min=0))
                self.register_buffer("outside", windows < 0)

    def forward(self, *values: Tensor) -> Tensor:  # noqa: C901  one case for each kind of layer
        layer, x = self.layer, values[0]
        match layer:
            case Affine():
                return F.linear(x, cast(Tensor, self.weight), cast(Tensor, self.bias))
            case Conv2d():
                return self._convolution(layer, x)
            case ReLU():
                return F.relu(x)
            case LeakyReLU(slope):
                return F.leaky_relu(x, slope)
            case MaxPool2d():
                return self._pool(layer, x)
            case Scale():
                return x * cast(Tensor, self.weight) + cast(Tensor, self.bias)
            case Reshape():
                return x.reshape(len(x), *self.output)
            case Select():
                taken = x.flatten(1).index_select(1, cast(Tensor, self.index))
                if self.padded:
                    taken = taken.masked_fill(cast(Tensor, self.outside), self.fill)
                return taken.reshape(len(x), *self.output)
            case Sum(axes, _, scale):
                total = x.sum([axis + 1 for axis in axes]) * scale
                return total.reshape(len(x), *self.output)
            case Add(coefficients):
                total = x * coefficients[0]
                for value, coefficient in zip(values[1:], coefficients[1:], strict=True):
                    total = total + value * coefficient
                return total
            case Concat(axis):
                return torch.cat(values, axis + 1)

    def _convolution(self, layer: Conv2d, x: Tensor) -> Tensor:
        top, left, bottom, right = layer.padding
        padding = (top, left)
        if (top, left) != (bottom, right):
            x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
        weight, bias = cast(Tensor, self.weight), cast(Tensor, self.bias)
        return F.conv2d(x, weight, bias, layer.stride, padding, layer.dilation, layer.groups)

    def _pool(self, layer: MaxPool2d, x: Tensor) -> Tensor:
        if not any(layer.padding) and not layer.ceil_mode:
            return F.max_pool2d(x, layer.kernel, layer.stride, 0, layer.dilation)
        taken = x.flatten(1)[:, cast(Tensor, self.index)]
        taken = taken.masked_fill(cast(Tensor, self.outside), -torch.inf)
        return taken.amax(-1).reshape(len(x), *self.output)


class Stage(nn.Module):
    """Values of ``wanted`` nodes from the value of the node ``given``, (N, *shape) each.

    A wanted node may be the given one.  QueryError where a wanted value also depends on the
    input past the given node.
    """

    def __init__(
        self,
        network: Network,
        given: str,
        wanted: Sequence[str],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        needed = required(network, given, wanted)
        if needed is None:
            raise QueryError(
                f"{', '.join(wanted)} from {given}",
                expected="a layer that every path to the output goes through",
                got="values that pass it by",
                fix="Choose another layer",
            )
        order = [node for node in network.nodes if node.name in needed]
        slot = {given: 0, **{node.name: k + 1 for k, node in enumerate(order)}}
        self.sources = [tuple(slot[s] for s in node.inputs) for node in order]
        self.results = tuple(slot[name] for name in wanted)
        self.operations = nn.ModuleList(
            Operation(
                node.layer,
                [network.shapes[s] for s in node.inputs],
                network.shapes[node.name],
                dtype,
            )
            for node in order
        )

    def forward(self, value: Tensor) -> tuple[Tensor, ...]:
        values = [value]
        for operation, sources in zip(self.operations, self.sources, strict=True):
            values.append(operation(*[values[s] for s in sources]))
        return tuple(values[k] for k in self.results)


def required(network: Network, given: str, wanted: Sequence[str]) -> set[str] | None:
    """Names of the nodes to compute for ``wanted`` from ``given``; None if the input is needed
    besides."""
    needed: set[str] = set()
    stack = [name for name in wanted if name != given]
    while stack:
        name = stack.pop()
        if name == INPUT:
            return None
        if name not in needed:
            needed.add(name)
            stack.extend(source for source in network.node[name].inputs if source != given)
    return needed


def is_cut(network: Network, name: str) -> bool:
    """Whether the output depends on the input through the value ``name`` alone."""
    return required(network, name, [network.output]) is not None
