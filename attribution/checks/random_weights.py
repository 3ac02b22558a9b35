"""Sanity check with random weights (Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018, §3).

An attribution that explains a network must change when the network's weights do.  From the last
layer to the first, the parameters of one layer after another are drawn anew (the layers before stay
as learned), and the attributions of the changed model are compared with the first ones: Spearman's
rank correlation of their magnitudes, |Φ|, and of their values with the sign, Φ, each over the
values of one input, then the mean over inputs.  What stays near 1 does not depend on what was
learned.  |Φ| of nearby pixels may stay alike because of the pictures themselves.

Each parameter is drawn from the normal distribution of its own mean and standard deviation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from attribution.model import as_module
from precond.errors import DataError, ModelError
from precond.network.graph import Network

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RandomWeights:
    """``layers``: those drawn anew, from the last on; ``magnitudes`` and ``signed``: the mean rank
    correlation once this layer and those named before it are random."""

    layers: tuple[str, ...]
    magnitudes: Array
    signed: Array


def random_weights(
    model: nn.Module | Network,
    attribute: Callable[[nn.Module], Array],
    *,
    seed: int = 0,
    done: Callable[[], None] = lambda: None,
) -> RandomWeights:
    """``attribute``: a module → attributions (N, …) of always the same inputs and classes."""
    changed = copy.deepcopy(as_module(model))
    layers = [
        (name, module)
        for name, module in changed.named_modules()
        if any(parameter.numel() > 1 for parameter in module.parameters(recurse=False))
    ]
    if not layers:
        raise ModelError("model", expected="a layer with parameters", got="none")
    first = np.asarray(attribute(changed))
    generator = torch.Generator().manual_seed(seed)
    kept: tuple[list[float], list[float]] = ([], [])
    for _, module in reversed(layers):
        for parameter in module.parameters(recurse=False):
            _redraw(parameter, generator)
        now = np.asarray(attribute(changed))
        if now.shape != first.shape:
            raise DataError("attributions", expected=str(first.shape), got=str(now.shape))
        kept[0].append(rank_correlation(np.abs(first), np.abs(now)))
        kept[1].append(rank_correlation(first, now))
        done()
    names = tuple(_name(model, name) for name, _ in reversed(layers))
    return RandomWeights(names, np.array(kept[0]), signed=np.array(kept[1]))


def _redraw(parameter: nn.Parameter, generator: torch.Generator) -> None:
    with torch.no_grad():
        values = parameter.detach().cpu()
        drawn = torch.randn(values.shape, generator=generator, dtype=values.dtype)
        spread = values.std(correction=0)
        parameter.copy_((values.mean() + spread * drawn).to(parameter.device))


def _name(model: nn.Module | Network, key: str) -> str:
    """The name of a node for its module."""
    from precond.network.module import NetworkModule

    module = as_module(model)
    if not isinstance(module, NetworkModule):
        return key
    return {value: name for name, value in module.keys.items()}.get(key, key)


def rank_correlation(first: Array, second: Array) -> float:
    """Spearman's, over the values of one input, mean over inputs; 0 where one is constant."""
    from scipy.stats import rankdata

    found = []
    for one, other in zip(first, second, strict=True):
        ranks = [rankdata(values.reshape(-1)) for values in (one, other)]
        centred = [values - values.mean() for values in ranks]
        length = float(np.prod([np.linalg.norm(values) for values in centred]))
        found.append(float(centred[0] @ centred[1]) / length if length > 0 else 0.0)
    return float(np.mean(found))
