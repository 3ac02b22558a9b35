"""What all rows share: their form, and the training of a small network."""

from __future__ import annotations

import torch
from torch import nn

from precond.network import Network

Line = tuple[str, str, str, str]
"""Method, published, ours, why it differs."""
NOT = "not measured"


def trained(
    module: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int, rate: float = 2e-3
) -> nn.Module:
    """``module``, trained by Adam with batches of 64."""
    optimiser = torch.optim.Adam(module.parameters(), rate)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(x[rows]), y[rows]).backward()
            optimiser.step()
    return module.eval()


def last_layer(network: Network, kind: str) -> str:
    return [node.name for node in network.nodes if type(node.layer).__name__ == kind][-1]
