"""How far approximations of integrated gradients are from the exact integral.

For piecewise-linear networks ``integrated_gradients(…, method="exact")`` has the integral itself,
so that an approximation is measured against the truth and not against another approximation:

    distance      ‖Φ − IG‖₁ / ‖IG‖₁
    correlation   Spearman's rank correlation of Φ and IG

The approximations, with x_j = x' + (j / m)(x − x'), g_j = ∇f(x_j), d_j = f(x_{j+1}) − f(x_j):

- ``riemann_sum``: Σ_j (x − x') g_j / m, j = 0 … m − 1 (Sundararajan, Taly, Yan 2017, §5);
- ``important_directions`` (IDGI; Yang, Wang, Bilgic 2023): Σ_j d_j g_j² / ‖g_j‖².  It is complete
  (its sum is f(x) − f(x')) but its limit is another quantity than IG;
- ``guided_path`` (Guided IG; Kapishnikov et al. 2021, with anchors that allow any distance from
  the line): at each of m steps the share p of the values that are not at x yet and have the
  smallest |g| move towards x, until ‖x − x_j‖₁ has fallen by 1/m of the whole.  Another path, so
  another integral.  Behind ReLUs the path may run along a kink, where every step changes the
  gradient; its sum then does not come near f(x) − f(x') however many steps are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.checks.random_weights import rank_correlation
from attribution.model import as_module, place_of, type_of, undisturbed
from attribution.slices import flat_output
from precond.errors import DataError, QueryError
from precond.network.graph import Network

Array = NDArray[np.float64]
SHARE = 0.1
"""p of Guided IG."""


@dataclass(frozen=True, eq=False)
class ExactDistance:
    """``distance`` (N,) of each input; ``correlation``: the mean over inputs."""

    distance: Array
    correlation: float


def exact_distance(values: Array, exact: Array) -> ExactDistance:
    """Of attributions (N, …) from exact ones of the same inputs and scores."""
    if values.shape != exact.shape or not len(exact):
        raise DataError("attributions", expected=str(exact.shape), got=str(values.shape))
    rows = len(exact)
    size = np.abs(exact).reshape(rows, -1).sum(1)
    apart = np.abs(values - exact).reshape(rows, -1).sum(1)
    distance = np.divide(apart, size, out=np.full(rows, np.nan), where=size > 0)
    return ExactDistance(distance, rank_correlation(values, exact))


@dataclass(frozen=True, eq=False)
class _Line:
    """Inputs, baseline of the same shape, and the score of each input's class with gradient."""

    start: Tensor
    end: Tensor
    score: Callable[[Tensor], tuple[Tensor, Tensor]]

    @staticmethod
    def of(model: nn.Module, inputs: Array, baseline: float, targets: NDArray[np.integer]) -> _Line:
        end = torch.as_tensor(inputs).to(place_of(model), type_of(model))
        chosen = torch.as_tensor(targets, device=end.device)

        def score(x: Tensor) -> tuple[Tensor, Tensor]:
            leaf = x.detach().requires_grad_()
            y = flat_output(model(leaf)).gather(1, chosen[:, None])[:, 0]
            (gradient,) = torch.autograd.grad(y.sum(), leaf)
            return y.detach(), gradient

        return _Line(torch.full_like(end, baseline), end, score=score)

    @property
    def change(self) -> Tensor:
        return self.end - self.start

    def at(self, share: float) -> tuple[Tensor, Tensor]:
        """Scores and gradients at this share of the way from the start to the end."""
        return self.score(self.start + self.change * share)


def riemann_sum(
    model: nn.Module | Network,
    inputs: Array,
    targets: NDArray[np.integer],
    *,
    steps: int,
    baseline: float = 0.0,
) -> Array:
    """IG by ``steps`` points from the baseline on, (N, …)."""

    def run(line: _Line) -> Tensor:
        total = torch.zeros_like(line.end)
        for step in range(steps):
            total += line.at(step / steps)[1]
        return line.change * total / steps

    return _along(run, model, inputs, targets=targets, steps=steps, baseline=baseline)


def important_directions(
    model: nn.Module | Network,
    inputs: Array,
    targets: NDArray[np.integer],
    *,
    steps: int,
    baseline: float = 0.0,
) -> Array:
    """IDGI with ``steps`` points, (N, …)."""

    def run(line: _Line) -> Tensor:
        total = torch.zeros_like(line.end)
        score, gradient = line.at(0.0)
        for step in range(steps):
            following, next_gradient = line.at((step + 1) / steps)
            square = gradient**2
            size = square.flatten(1).sum(1)
            part = torch.where(size > 0, (following - score) / size.clamp(min=1e-300), 0.0)
            total += square * part.reshape(-1, *[1] * (square.dim() - 1))
            score, gradient = following, next_gradient
        return total

    return _along(run, model, inputs, targets=targets, steps=steps, baseline=baseline)


def guided_path(
    model: nn.Module | Network,
    inputs: Array,
    targets: NDArray[np.integer],
    *,
    steps: int,
    baseline: float = 0.0,
) -> Array:
    """Guided IG with ``steps`` steps, (N, …)."""

    def run(line: _Line) -> Tensor:
        total = torch.zeros_like(line.end)
        x = line.start.clone()
        whole = line.change.abs().flatten(1).sum(1)
        for step in range(steps):
            gradient = line.score(x)[1]
            moved = x.clone()
            left = whole * (1 - (step + 1) / steps)
            for row in range(len(x)):
                _advance(moved[row], line.end[row], gradient[row].abs(), left=float(left[row]))
            total += (moved - x) * gradient
            x = moved
        return total + (line.end - x) * line.score(x)[1]

    return _along(run, model, inputs, targets=targets, steps=steps, baseline=baseline)


def _advance(x: Tensor, end: Tensor, size: Tensor, left: float) -> None:
    """Move values of ``x`` towards ``end``, the smallest gradients first, in place, until the
    ℓ1 distance is ``left``."""
    while True:
        apart = (end - x).abs()
        surplus = float(apart.sum()) - left
        ahead = apart > 0
        if surplus <= 1e-12 * max(1.0, left) or not ahead.any():
            return
        limit = torch.quantile(size[ahead].double(), SHARE)
        chosen = ahead & (size <= limit.to(size.dtype))
        if not chosen.any():
            chosen = ahead & (size <= size[ahead].min())
        room = float(apart[chosen].sum())
        if room > surplus:
            x[chosen] += (end - x)[chosen] * (surplus / room)
            return
        x[chosen] = end[chosen]


def _along(
    run: Callable[[_Line], Tensor],
    model: nn.Module | Network,
    inputs: Array,
    targets: NDArray[np.integer],
    *,
    steps: int,
    baseline: float,
) -> Array:
    if steps < 1:
        raise QueryError("steps", expected="1 or more", got=str(steps))
    if not len(inputs) or targets.shape != inputs.shape[:1]:
        raise DataError("targets", expected=f"({len(inputs)},)", got=str(targets.shape))
    module = as_module(model)
    with undisturbed(module):
        found = run(_Line.of(module, inputs, baseline, targets=targets))
    return np.asarray(found.double().cpu().numpy())
