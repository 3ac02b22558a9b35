"""One view of the two kinds of model: any ``torch.nn.Module`` and our own ``Network``.

A ``Network`` becomes a module whose submodules carry the names of its nodes
(``precond.network.module``), so that a slice is named the same way for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from precond.errors import ModelError, QueryError
from precond.network.activation import OutputActivation
from precond.network.graph import Network
from precond.network.module import NetworkModule, network_module


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
