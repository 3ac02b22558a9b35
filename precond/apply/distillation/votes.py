"""An early answer by weighted rules over a layer's decisions, in whole numbers.

A neuron of a reading (``reading``) gives decisions z > t, t being quantiles of its values on data
(of all neurons of its channel): with one level the median, which tells more than 0 where a
channel is nearly always on or off.  Over the decisions d ∈ {0, 1}^m stand H weighted rules, each
of which fires when its literals weigh enough, and every rule that fires votes with its weight for
each class:

    r_j = [Σ_i w_ji d_i > l_j],    s = V r + c,    confidence = s₁ − s₂, the lead of the first class

(a rule of unit weights is the usual "all of" or "k of" its literals).  The w are whole numbers from
−127 to 127, so all rules are one product of bytes; V and c are multiples of 1/256.  Every sum is
exact in float32 as well, so the same decisions give the same answer in any runtime, in any order.

While they are learned (``training``) weights are real numbers and the comparison passes gradients
where its argument lies within ±1 (the straight-through estimator; Bengio, Léonard, Courville 2013).
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from precond.apply.distillation.reading import Probe, Reading
from precond.network.graph import Network

DROPPED = 0.2  # share of decisions hidden from a training step
LARGEST = 127  # of a rule's weights
FINE = 256  # votes are multiples of 1 / FINE
MOST = 100.0  # votes are at most so large


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


class VoteLearner(nn.Module):
    """The rules and votes with real weights, and gradients."""

    def __init__(self, decisions: int, rules: int, classes: int) -> None:
        super().__init__()
        self.rules = nn.Linear(decisions, rules)
        self.votes = nn.Linear(rules, classes)

    def forward(self, bits: Tensor) -> Tensor:
        """Scores (N, C) of decisions (N, m), some of them hidden while it trains."""
        seen = F.dropout(bits.to(self.rules.weight.dtype), DROPPED, self.training)
        return cast(Tensor, self.votes(_fires(self.rules(seen))))


class Vote(nn.Module):
    """H weighted rules over m decisions, voting for C classes; whole numbers in float32."""

    weight: Tensor
    limit: Tensor
    votes: Tensor
    start: Tensor

    def __init__(self, decisions: int, rules: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(rules, decisions))
        self.register_buffer("limit", torch.zeros(rules))
        self.register_buffer("votes", torch.zeros(classes, rules))
        self.register_buffer("start", torch.zeros(classes))

    def settle(self, learned: VoteLearner) -> None:
        """Take over what was learned.  A rule's weights and its limit are scaled alike, which
        leaves it the same rule but for rounding."""
        weight, bias = learned.rules.weight.detach(), learned.rules.bias.detach()
        scale = weight.abs().amax(1).clamp(min=1e-12) / LARGEST
        self.weight.copy_((weight / scale[:, None]).round())
        # W d + b > 0 for whole W d: above ⌊−b⌋.  No sum reaches beyond the sum of all weights.
        reach = self.weight.abs().sum(1) + 1
        self.limit.copy_((-bias / scale).floor().clamp(-reach, reach))
        votes, start = learned.votes.weight.detach(), learned.votes.bias.detach()
        self.votes.copy_((votes.clamp(-MOST, MOST) * FINE).round() / FINE)
        self.start.copy_((start.clamp(-MOST, MOST) * FINE).round() / FINE)

    def fired(self, bits: Tensor) -> Tensor:
        """Which rules fire (N, H), as 0 and 1."""
        # A comparison written over its own operand leaves 0 and 1: no conversion of types.
        return F.linear(bits, self.weight).gt_(self.limit)

    def forward(self, bits: Tensor) -> Tensor:
        """Scores (N, C) of decisions (N, m), 0 and 1."""
        return F.linear(self.fired(bits), self.votes, self.start)


def lead(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The class with the largest score, and how far it is ahead of the next, (N,) each."""
    best, which = scores.topk(2, dim=1)
    return which[:, 0], best[:, 0] - best[:, 1]


class VoteExit(nn.Module):
    """Probe, vote and threshold: from the value at the cut to (label, whether sure enough)."""

    levels: Tensor
    threshold: Tensor

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
        z, levels = cast(Tensor, self.probe(value)), self.levels
        if len(levels) > 1:
            return (z.unsqueeze(1) > levels).flatten(1).to(z.dtype)
        # The probe's own values may be written over, the network's may not.
        return z.gt_(levels) if self.reading.step > 1 else (z > levels).to(z.dtype)

    def judge(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Label and confidence, (N,) each."""
        return lead(self.vote(self.bits(value)))

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        label, confidence = self.judge(value)
        return label, confidence >= self.threshold
