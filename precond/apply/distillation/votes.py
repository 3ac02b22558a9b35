"""An early answer by weighted rules over a layer's decisions.

A neuron of a reading (``reading``) gives decisions z > t, t being quantiles of its values on data
(of all neurons of its channel): with one level the median, which tells more than 0 where a
channel is nearly always on or off.  Over the decisions d ∈ {0, 1}^m stand H weighted rules, each
of which fires when its literals weigh enough, and every rule that fires votes with its weight for
each class:

    r_j = [Σ_i w_ji d_i + b_j > 0],    s = V r + c,    confidence = max softmax(s)

(a rule of unit weights is the usual "all of" or "k of" its literals).  That is two matrix
products and a comparison.  While the weights are learned (``training``) the comparison passes
gradients where its argument lies within ±1 (the straight-through estimator; Bengio, Léonard,
Courville 2013).
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from precond.apply.distillation.reading import Probe, Reading
from precond.apply.distillation.settings import ROWS as ROWS
from precond.apply.distillation.settings import Training as Training
from precond.network.graph import Network

DROPPED = 0.2  # share of decisions hidden from a training step


class _Fires(torch.autograd.Function):
    """[z > 0], with the gradient of clip(z, −1, 1)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return (z > 0).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        passed: Tensor = gradients[0] * (z.abs() < 1).to(z.dtype)
        return passed


def _fires(z: Tensor) -> Tensor:
    return cast(Tensor, _Fires.apply(z))  # type: ignore[no-untyped-call]  # untyped in torch


class Vote(nn.Module):
    """H weighted rules over m decisions, voting for C classes."""

    def __init__(self, decisions: int, rules: int, classes: int) -> None:
        super().__init__()
        self.rules = nn.Linear(decisions, rules)
        self.votes = nn.Linear(rules, classes)

    def forward(self, bits: Tensor) -> Tensor:
        """Scores (N, C) of decisions (N, m), bool or 0 and 1."""
        weight = self.rules.weight
        # A comparison written over its own operand leaves 0 and 1: no conversion of types.
        fired = F.linear(bits.to(weight.dtype), weight, self.rules.bias).gt_(0)
        return F.linear(fired, self.votes.weight, self.votes.bias)

    def trained(self, bits: Tensor) -> Tensor:
        """The same scores, with gradients, some decisions hidden."""
        seen = F.dropout(bits.to(self.rules.weight.dtype), DROPPED)
        return cast(Tensor, self.votes(_fires(self.rules(seen))))


class VoteExit(nn.Module):
    """Probe, vote and threshold: from the value at the cut to (label, whether sure enough)."""

    def __init__(self, network: Network, reading: Reading, rules: int, levels: Tensor) -> None:
        """``levels`` (L, m): the thresholds of each of the reading's m neurons."""
        super().__init__()
        self.reading, self.cut = reading, reading.cut(network)
        self.name = f"votes at {reading}"
        self.probe = Probe(network, reading)
        self.vote = Vote(levels.numel(), rules, network.classes.count)
        self.register_buffer("levels", levels.to(torch.float32))
        self.register_buffer("threshold", torch.tensor(math.inf))

    def bits(self, value: Tensor) -> Tensor:
        """Decisions (N, L · m), level by level, as 0 and 1."""
        z, levels = cast(Tensor, self.probe(value)), cast(Tensor, self.levels)
        if len(levels) > 1:
            return (z.unsqueeze(1) > levels).flatten(1).to(z.dtype)
        # The probe's own values may be written over, the network's may not.
        return z.gt_(levels) if self.reading.step > 1 else (z > levels).to(z.dtype)

    def judge(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Label and confidence, (N,) each."""
        confidence, label = self.vote(self.bits(value)).softmax(1).max(1)
        return label, confidence

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        label, confidence = self.judge(value)
        return label, confidence >= cast(Tensor, self.threshold)
