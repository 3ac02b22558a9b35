"""A loss that makes a filter look for one part (Zhang, Wu, Zhu 2018, "Interpretable convolutional
neural networks").

A filter's map x (n × n) is compared with templates: T_μ for each place μ, and T⁻ for "not there":

    T_μ[i, j] = τ · max(1 − β ‖(i, j) − μ‖₁ / n, −1),   T⁻ = −τ everywhere

With p(x | T) ∝ exp(Σ x ∘ T) over the maps of a batch, p(T_μ) = α / n², p(T⁻) = 1 − α and
p(x) = Σ_T p(T) p(x | T), the loss of a filter is −(mutual information of maps and templates):

    L = −Σ_T p(T) Σ_x p(x | T) log (p(x | T) / p(x))

0: its maps say nothing about a place.  The lower, the more each map belongs to one place, or to
none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from precond.errors import DataError


@dataclass(frozen=True)
class Templates:
    """Templates of maps ``side`` × ``side``; ``weight``: τ, ``slope``: β, ``share``: α, how often
    the part is there."""

    side: int
    weight: float
    slope: float = 4.0
    share: float = 0.9

    @classmethod
    def of(cls, side: int) -> Templates:
        """τ = 0.5 / n², as published."""
        return cls(side, 0.5 / side**2)

    @property
    def places(self) -> Tensor:
        """(n², n, n): T_μ for each place, row by row."""
        n = self.side
        line = torch.arange(n, dtype=torch.float64)
        down = (line[:, None] - line[None]).abs()
        gaps = down[:, None, :, None] + down[None, :, None, :]
        shaped = torch.clamp(1 - self.slope * gaps / n, min=-1.0)
        return self.weight * shaped.reshape(n * n, n, n)

    @property
    def all(self) -> tuple[Tensor, Tensor]:
        """All templates (n² + 1, n, n), T⁻ last, and their shares."""
        n = self.side
        absent = torch.full((1, n, n), -self.weight, dtype=torch.float64)
        shares = torch.full((n * n + 1,), self.share / n**2, dtype=torch.float64)
        shares[-1] = 1 - self.share
        return torch.cat([self.places, absent]), shares


def filter_loss(maps: Tensor, templates: Templates) -> Tensor:
    """Mean loss of the filters of maps (B, C, n, n)."""
    _require(maps, templates)
    every, shares = (one.to(maps) for one in templates.all)
    fit = torch.einsum("bcij,tij->ctb", maps, every)
    given = torch.log_softmax(fit, dim=2)
    logs = shares.log()[None, :, None]
    whole = torch.logsumexp(given + logs, dim=1, keepdim=True)
    information = (shares[None, :, None] * given.exp() * (given - whole)).sum((1, 2))
    return -information.mean()


def masked(maps: Tensor, templates: Templates) -> Tensor:
    """Each map of (B, C, n, n) times the template of its peak, 0 where that is negative."""
    _require(maps, templates)
    every = (templates.places / templates.weight).to(maps)
    best = maps.flatten(2).argmax(2)
    return torch.relu(maps * every[best])


def _require(maps: Tensor, templates: Templates) -> None:
    side = templates.side
    if maps.dim() != 4 or tuple(maps.shape[2:]) != (side, side):
        raise DataError("maps", expected=f"(B, C, {side}, {side})", got=str(tuple(maps.shape)))
