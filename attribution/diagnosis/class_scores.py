"""The scores a decision rests on: one for each class, of which the largest is the answer.

Of a ``Network`` these are its logits, whatever its last activation, and a network of one output has
two scores (``precond.network.classes``).  A module's outputs are taken for its logits.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from attribution.model import as_module
from attribution.slices import flat_output
from precond.network.classes import Classes
from precond.network.graph import Network


class _Scores(nn.Module):
    """``module`` with its outputs as scores of two classes or more."""

    def __init__(self, module: nn.Module, classes: Classes | None) -> None:
        super().__init__()
        self.module = module
        self.classes = classes

    def forward(self, *positional: Any, **named: Any) -> Tensor:
        y = flat_output(self.module(*positional, **named))
        return (self.classes or Classes(y.shape[1])).scores(y)


def scores_module(model: nn.Module | Network) -> nn.Module:
    """A module whose outputs (B, K), K ≥ 2, are the scores."""
    if not isinstance(model, Network):
        return _Scores(as_module(model), classes=None)
    network = model.logits
    module = as_module(network)
    return _Scores(module, network.classes) if network.classes.binary else module
