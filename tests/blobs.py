"""Clouds of points around random centres, and small networks trained on them."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from precond.data.datasets import Dataset
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU


def chain(weights: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Network:
    """Affine layers fc1, fc2, … with ReLUs relu1, relu2, … between."""
    nodes: list[Node] = []
    source = INPUT
    for k, (weight, bias) in enumerate(weights, 1):
        nodes.append(Node(f"fc{k}", Affine(weight, bias), (source,)))
        source = f"fc{k}"
        if k < len(weights):
            nodes.append(Node(f"relu{k}", ReLU(), (source,)))
            source = f"relu{k}"
    return Network(tuple(nodes), (weights[0][0].shape[1],))


def points(seed: int, inputs: int, classes: int, count: int = 600) -> Dataset:
    """``count`` points of [0, 1]^inputs, a fifth of them held out."""
    rng = np.random.default_rng(seed)
    centres = rng.random((classes, inputs))
    labels = rng.integers(0, classes, count)
    x = np.clip(centres[labels] + 0.12 * rng.normal(size=(count, inputs)), 0, 1)
    held = count // 5
    return Dataset("blobs", x, labels, parts=(np.arange(held, count), np.arange(held)))


@lru_cache(maxsize=8)
def trained(seed: int, *widths: int, steps: int = 150) -> tuple[Network, Dataset]:
    """A ReLU network of these widths, trained for a moment on points of its own."""
    data = points(seed, widths[0], widths[-1])
    assert data.labels is not None
    rng = np.random.default_rng(seed)
    layers = [
        (
            torch.tensor(rng.normal(size=(m, n)) / np.sqrt(n), requires_grad=True),
            torch.tensor(rng.normal(size=m) * 0.1, requires_grad=True),
        )
        for n, m in pairwise(widths)
    ]
    x, labels = torch.tensor(data.inputs), torch.tensor(data.labels)
    optimizer = torch.optim.Adam([part for layer in layers for part in layer], 0.02)
    for _ in range(steps):
        y = x
        for k, (weight, bias) in enumerate(layers):
            y = (y.relu() if k else y) @ weight.T + bias
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(y, labels).backward()
        optimizer.step()
    return chain([(w.detach().numpy(), b.detach().numpy()) for w, b in layers]), data
