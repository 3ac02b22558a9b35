"""One view of the two kinds of model: any ``torch.nn.Module`` and our own ``Network``.

``network_module`` turns a ``Network`` into a module whose submodules carry the names of its
nodes, so that a slice is named the same way for both.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from precond.errors import ModelError, QueryError
from precond.network.activation import OutputActivation
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Affine,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
)
from precond.network.operators import AffineOperator, affine_operator


class _Dense(nn.Linear):
    """``y = x Wᵀ + b`` over the last axis."""

    def __init__(self, layer: Affine, dtype: torch.dtype) -> None:
        super().__init__(layer.weight.shape[1], layer.weight.shape[0], dtype=dtype)
        self.weight = nn.Parameter(torch.tensor(layer.weight, dtype=dtype), requires_grad=False)
        self.bias = nn.Parameter(torch.tensor(layer.bias, dtype=dtype), requires_grad=False)


class _Convolution(nn.Conv2d):
    def __init__(self, layer: Conv2d, dtype: torch.dtype) -> None:
        out, per_group, *kernel = layer.weight.shape
        top, left, bottom, right = layer.padding
        even = top == bottom and left == right
        super().__init__(
            per_group * layer.groups,
            out,
            (kernel[0], kernel[1]),
            layer.stride,
            (top, left) if even else 0,
            layer.dilation,
            layer.groups,
            dtype=dtype,
        )
        self.pads = None if even else (left, right, top, bottom)
        # The layout its inputs are given in on the CPU (see ``memory.fast_layout``).
        weight = torch.tensor(layer.weight, dtype=dtype)
        weight = weight.contiguous(memory_format=torch.channels_last)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(torch.tensor(layer.bias, dtype=dtype), requires_grad=False)

    def forward(self, value: Tensor) -> Tensor:
        return super().forward(value if self.pads is None else F.pad(value, self.pads))


class _MaxPool(nn.Module):
    def __init__(self, layer: MaxPool2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, value: Tensor) -> Tensor:
        layer = self.layer
        top, left, bottom, right = pads = layer.padding
        if any(pads):
            value = F.pad(value, (left, right, top, bottom), value=-torch.inf)
        return F.max_pool2d(value, layer.kernel, layer.stride, 0, layer.dilation, layer.ceil_mode)


class _Reshape(nn.Module):
    def __init__(self, shape: tuple[int, ...]) -> None:
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


class NetworkModule(nn.Module):
    """A ``Network`` as a module; ``forward`` takes (B, *input shape), returns its outputs (B, K),
    after its last activation."""

    def __init__(self, network: Network, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.network = network
        self.value_dtype = dtype
        self.keys = {node.name: node.name.replace(".", "/") for node in network.nodes}
        for node in network.nodes:
            self.add_module(self.keys[node.name], self._build(node, dtype, device))
        self.to(device)
        self.eval()

    def _build(self, node: Node, dtype: torch.dtype, device: torch.device) -> nn.Module:
        match node.layer:
            case Affine():
                return _Dense(node.layer, dtype)
            case Conv2d():
                return _Convolution(node.layer, dtype)
            case ReLU():
                return nn.ReLU()
            case LeakyReLU(slope):
                return nn.LeakyReLU(slope)
            case MaxPool2d():
                return _MaxPool(node.layer)
            case Reshape(shape):
                return _Reshape(shape)
        shapes = [self.network.shapes[source] for source in node.inputs]
        operator = affine_operator(
            node.layer, shapes, self.network.shapes[node.name], device, dtype
        )
        assert operator is not None
        return _Affine(operator)

    def forward(self, value: Tensor) -> Tensor:
        known = {INPUT: value.reshape(value.shape[0], *self.network.input_shape)}
        for node in self.network.nodes:
            module = self.get_submodule(self.keys[node.name])
            known[node.name] = module(*(known[source] for source in node.inputs))
        logits = known[self.network.output].flatten(1)
        match self.network.output_activation:
            case OutputActivation.SOFTMAX:
                return logits.softmax(1)
            case OutputActivation.LOG_SOFTMAX:
                return logits.log_softmax(1)
            case OutputActivation.SIGMOID:
                return logits.sigmoid()
        return logits


def logits_note(model: nn.Module | Network) -> tuple[str, ...]:
    """A note on what is explained, where it is a model's logits and not its outputs."""
    network = model.network if isinstance(model, NetworkModule) else model
    if not isinstance(network, Network) or network.logits_of is OutputActivation.NONE:
        return ()
    return (f"of the {network.output_words}",)


def logits_model(model: nn.Module | Network, shape: tuple[int, ...]) -> Network:
    """The logits of a model: of a network, or of a module read as one (inputs of ``shape``)."""
    if isinstance(model, Network):
        return model.logits
    from precond.formats.load import load

    return load(model, shape).logits


def network_module(
    network: Network, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> NetworkModule:
    """``network`` as a ``torch.nn.Module`` with one submodule per node, named by it."""
    return _built(network, dtype, device)


@functools.lru_cache(maxsize=16)
def _built(network: Network, dtype: torch.dtype, device: str) -> NetworkModule:
    return NetworkModule(network, dtype, torch.device(device))


def as_module(
    model: nn.Module | Network, *, device: str | None = None, dtype: torch.dtype | None = None
) -> nn.Module:
    """``model`` as a module on ``device``; a copy where the model lies on another device."""
    check_device(device)
    if isinstance(model, Network):
        return network_module(model, dtype or torch.float64, device or "cpu")
    if not isinstance(model, nn.Module):
        raise ModelError(
            "model", expected="a torch.nn.Module or a Network", got=type(model).__name__
        )
    if device is None or place_of(model) == torch.device(device):
        return model
    return _moved(model, device)


def check_device(device: str | None) -> None:
    """An error if ``device`` is no device of this machine."""
    if device is None:
        return
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = "none of torch's"
    if kind != "cpu" and (kind != "cuda" or not torch.cuda.is_available()):
        here = "cpu or cuda" if torch.cuda.is_available() else "cpu (no CUDA device is here)"
        raise QueryError("device", expected=here, got=device)


def _moved(model: nn.Module, device: str) -> nn.Module:
    import copy

    return copy.deepcopy(model).to(device)


def place_of(model: nn.Module) -> torch.device:
    """The device of the model's first parameter or buffer (CPU for a model without)."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def type_of(model: nn.Module) -> torch.dtype | None:
    """The number type the model computes in: that of its first floating parameter or buffer;
    None for a model without any, which computes in the type of its inputs."""
    if isinstance(model, NetworkModule):
        return model.value_dtype
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype
    return None


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without parameter gradients, and everything as before afterwards."""
    training = [module for module in model.modules() if module.training]
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for module in training:
            module.training = False
        for parameter in learned:
            parameter.requires_grad_(False)
        yield
    finally:
        for module in training:
            module.training = True
        for parameter in learned:
            parameter.requires_grad_(True)
