"""A network as torch modules: one a layer, and the whole or a part of a network made of these.

``layer_module`` is the one place where a layer becomes a ``torch.nn.Module``.  ``NetworkModule``
has one submodule a node, named by it, so that others can hook into it; ``NetworkSegment`` leads
from the value of one node to those of others: the plain network, the stages between the exits of
a fast path, the pre-activations a monitor reads.

A module evaluates, has gradients, moves between devices and compiles.  What proofs need of a
layer besides (its transpose, its absolute values) is in ``precond.network.affine``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from precond.errors import QueryError
from precond.network.activation import OutputActivation
from precond.network.affine import AffineOperator
from precond.network.evaluate import max_pool
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Affine,
    Conv2d,
    Layer,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Reshape,
    Scale,
    Shape,
)
from precond.network.operators import affine_operator
from precond.network.parts import required

Sources = tuple[int, ...]
"""Positions, among the values so far, of what a node reads."""


def _constant(values: object, dtype: torch.dtype) -> nn.Parameter:
    """Numbers of the network; weights of convolutions laid out channels last, which CPUs run
    fastest."""
    numbers = torch.tensor(values, dtype=dtype)
    if numbers.dim() == 4:
        numbers = numbers.contiguous(memory_format=torch.channels_last)
    return nn.Parameter(numbers, requires_grad=False)


class _Dense(nn.Linear):
    """``y = x Wᵀ + b`` over the last axis."""

    def __init__(self, layer: Affine, dtype: torch.dtype) -> None:
        super().__init__(layer.weight.shape[1], layer.weight.shape[0], device="meta")
        self.weight, self.bias = _constant(layer.weight, dtype), _constant(layer.bias, dtype)


class _Convolution(nn.Conv2d):
    def __init__(self, layer: Conv2d, dtype: torch.dtype) -> None:
        out, per_group, height, width = layer.weight.shape
        top, left, bottom, right = layer.padding
        even = top == bottom and left == right
        super().__init__(
            per_group * layer.groups,
            out,
            (height, width),
            layer.stride,
            (top, left) if even else 0,
            layer.dilation,
            layer.groups,
            device="meta",
        )
        self.pads = None if even else (left, right, top, bottom)
        self.weight, self.bias = _constant(layer.weight, dtype), _constant(layer.bias, dtype)

    def forward(self, value: Tensor) -> Tensor:
        return super().forward(value if self.pads is None else F.pad(value, self.pads))


class _Scale(nn.Module):
    def __init__(self, layer: Scale, dtype: torch.dtype) -> None:
        super().__init__()
        self.factor, self.shift = _constant(layer.factor, dtype), _constant(layer.shift, dtype)

    def forward(self, value: Tensor) -> Tensor:
        return value * self.factor + self.shift


class _MaxPool(nn.Module):
    def __init__(self, layer: MaxPool2d, shape: Shape) -> None:
        super().__init__()
        self.layer = layer
        windows = torch.tensor(layer.windows(shape)) if layer.ceil_mode else None
        self.register_buffer("windows", windows)

    def forward(self, value: Tensor) -> Tensor:
        return max_pool(self.layer, value, cast("Tensor | None", self.windows))


class _Reshape(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, value: Tensor) -> Tensor:
        return value.reshape(value.shape[0], *self.shape)


class _Affine(nn.Module):
    """Any other affine kind, through its operator; several inputs for add and concat."""

    def __init__(self, operator: AffineOperator) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, *values: Tensor) -> Tensor:
        return self.operator.apply(values)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """To another device or number type, with the operator's tensors."""
        for name, value in vars(self.operator).items():
            if isinstance(value, Tensor):
                setattr(self.operator, name, fn(value))
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # untyped in torch


def layer_module(
    layer: Layer, inputs: Sequence[Shape], output: Shape, dtype: torch.dtype
) -> nn.Module:
    """A layer as a module from values (N, *shape) of ``inputs`` to one of shape ``output``."""
    match layer:
        case Affine():
            return _Dense(layer, dtype)
        case Conv2d():
            return _Convolution(layer, dtype)
        case Scale():
            return _Scale(layer, dtype)
        case ReLU():
            return nn.ReLU()
        case LeakyReLU(slope):
            return nn.LeakyReLU(slope)
        case MaxPool2d():
            return _MaxPool(layer, inputs[0])
        case Reshape():
            return _Reshape(output)
    operator = affine_operator(layer, inputs, output, device=torch.device("cpu"), dtype=dtype)
    assert operator is not None
    return _Affine(operator)


def _modules(network: Network, names: Iterable[str], dtype: torch.dtype) -> list[nn.Module]:
    shapes = network.shapes
    nodes = [network.node[name] for name in names]
    return [
        layer_module(node.layer, [shapes[s] for s in node.inputs], shapes[node.name], dtype=dtype)
        for node in nodes
    ]


def _sources(network: Network, given: str, names: Sequence[str]) -> list[Sources]:
    place = {given: 0, **{name: k + 1 for k, name in enumerate(names)}}
    return [tuple(place[s] for s in network.node[name].inputs) for name in names]


def _values(
    modules: Iterable[nn.Module], sources: Sequence[Sources], value: Tensor
) -> list[Tensor]:
    """The given value, then that of each module in order."""
    values = [value]
    for module, places in zip(modules, sources, strict=True):
        values.append(module(*[values[k] for k in places]))
    return values


class NetworkSegment(nn.Module):
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
        names = [node.name for node in network.nodes if node.name in needed]
        self.sources = _sources(network, given, names)
        self.results = tuple(0 if name == given else 1 + names.index(name) for name in wanted)
        self.operations = nn.ModuleList(_modules(network, names, dtype))

    def forward(self, value: Tensor) -> tuple[Tensor, ...]:
        values = _values(self.operations, self.sources, value)
        return tuple([values[k] for k in self.results])


class NetworkModule(nn.Module):
    """A ``Network`` as a module; ``forward`` takes (B, *input shape), returns its outputs (B, K),
    after its last activation."""

    def __init__(self, network: Network, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.network = network
        self.value_dtype = dtype
        names = [node.name for node in network.nodes]
        self._sources = _sources(network, INPUT, names)
        self.keys: dict[str, str] = {}
        for name, module in zip(names, _modules(network, names, dtype), strict=True):
            self.keys[name] = self._free(name.replace(".", "/"))
            self.add_module(self.keys[name], module)
        self.to(device)
        self.eval()

    def _free(self, key: str) -> str:
        """``key``, or one like it where modules have an attribute of that name."""
        while hasattr(self, key):
            key += "'"
        return key

    def forward(self, value: Tensor) -> Tensor:
        given = value.reshape(value.shape[0], *self.network.input_shape)
        modules = [self.get_submodule(key) for key in self.keys.values()]
        logits = _values(modules, self._sources, given)[-1].flatten(1)
        match self.network.output_activation:
            case OutputActivation.SOFTMAX:
                return logits.softmax(1)
            case OutputActivation.LOG_SOFTMAX:
                return logits.log_softmax(1)
            case OutputActivation.SIGMOID:
                return logits.sigmoid()
        return logits


def network_module(
    network: Network, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> NetworkModule:
    """``network`` as a ``torch.nn.Module`` with one submodule per node, named by it."""
    return _built(network, dtype, device)


@lru_cache(maxsize=16)
def _built(network: Network, dtype: torch.dtype, device: str) -> NetworkModule:
    return NetworkModule(network, dtype, torch.device(device))
