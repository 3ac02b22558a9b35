"""What two networks both know (Liang, Li, Li, Wang, Zhang 2019, "Knowledge consistency between
neural networks and beyond").

The features x_A of a network at some layer are rebuilt from those x_B of another network:

    x_A = g_0(x_B) + g_1(x_B) + … + g_K(x_B) + rest

g_k has k layers of ReLU (its *order*).  Order 0 is the best affine map, in closed form (ridge);
each further order is fitted to what the lower ones leave, and taken as it was when it helped most
on rows kept back for that.  The published method trains one network and splits its output by
orders; here an order is what lower orders cannot do, which does not depend on how a loss weighs
them.

All figures are about rows that no fit has seen.  Explained by orders up to k, for a unit j:

    R²_k(j) = 1 − Σ (x_A − g_0 − … − g_k)_j² / Σ (x_A − mean)_j²

and for the layer the same with the sums taken over all units.  1: all of it is in B; 0: nothing.
The *rest* is what B does not know: of a strong A and a weak B the **blind spots** of B; the other
way round the **unreliable** features of the weak network.

Feature maps (N, C, H, W) of equal H and W are compared place by place, with one map for all places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.training import TrainingSchedule, seeded, train
from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
RIDGE = 1e-6
FEWEST = 20
CONSTANT = 1e-12
"""A unit whose variance is below this share of the largest does not vary."""


@dataclass(frozen=True, kw_only=True)
class ConsistencySettings:
    """``orders``: K; ``hidden``: units of each ReLU layer; ``most``: rows (of maps: places) used;
    ``held_out``: the share of inputs that no fit sees."""

    orders: int = 2
    hidden: int = 64
    most: int = 20_000
    held_out: float = 0.25
    training: TrainingSchedule = field(
        default_factory=lambda: TrainingSchedule(epochs=30, batch=128)
    )

    def __post_init__(self) -> None:
        if self.orders < 0 or self.hidden < 1 or self.most < FEWEST or not 0 < self.held_out < 1:
            raise QueryError(
                "knowledge consistency",
                expected=f"0 orders or more, 1 hidden unit, {FEWEST} rows, a share within (0, 1)",
                got=f"{self.orders}, {self.hidden}, {self.most} and {self.held_out:g}",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Consistency:
    """``explained`` (K + 1,): R² of the layer by orders up to k; ``units`` (K + 1, units): of each
    unit, NaN for one that does not vary; ``held_out``: numbers of the inputs these are about;
    ``rebuilt`` and ``rest``: of these inputs, in the shape of A's features."""

    explained: Array
    units: Array
    held_out: NDArray[np.int64]
    rebuilt: Array
    rest: Array

    @property
    def by_input(self) -> Array:
        """Sum of squares of the rest, for each input that was held out."""
        return np.asarray((self.rest.reshape(len(self.rest), -1) ** 2).sum(1))


def knowledge_consistency(
    features: NDArray[np.floating],
    others: NDArray[np.floating],
    *,
    held_out: NDArray[np.int64] | None = None,
    settings: ConsistencySettings | None = None,
    done: Callable[[], None] = lambda: None,
) -> Consistency:
    """How far ``features`` (N, …) of A can be rebuilt from ``others`` (N, …), those of B on the
    same inputs.  ``held_out``: numbers of the inputs that no fit may see (default: drawn by
    ``settings``); ``done`` is called after each order."""
    settings = settings or ConsistencySettings()
    if len(features) != len(others) or features.ndim < 2 or others.ndim < 2:
        raise DataError(
            "features of two networks",
            expected="(N, …) and (N, …), of the same inputs",
            got=f"{features.shape} and {others.shape}",
        )
    if len(features) < FEWEST:
        raise DataError("inputs", expected=f"{FEWEST} or more", got=str(len(features)))
    maps = features.ndim == others.ndim == 4 and features.shape[2:] == others.shape[2:]
    generator = np.random.default_rng(settings.training.seed)
    if held_out is None:
        count = max(1, round(settings.held_out * len(features)))
        held_out = np.sort(generator.permutation(len(features))[:count])
    fitted = np.setdiff1d(np.arange(len(features)), held_out)
    if not len(held_out) or not len(fitted):
        raise DataError("inputs held out", expected="some, not all", got=str(len(held_out)))
    a, b = (_rows(each[fitted], maps) for each in (features, others))
    some = generator.permutation(len(a))[: settings.most]
    rebuild = _Rebuild.fit(b[some], a[some], settings=settings, done=done)
    own, other = (_rows(each[held_out], maps) for each in (features, others))
    parts = np.cumsum(rebuild.parts(other), axis=0)
    shape = features[held_out].shape
    return Consistency(
        explained=np.array([_explained(own, part) for part in parts]),
        units=np.stack([_explained_units(own, part) for part in parts]),
        held_out=held_out,
        rebuilt=_shaped(parts[-1], shape, maps=maps),
        rest=_shaped(own - parts[-1], shape, maps=maps),
    )


def _rows(values: NDArray[np.floating], maps: bool) -> Array:
    """One row for each input, or for each place of each input."""
    if maps:
        values = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def _shaped(rows: Array, shape: tuple[int, ...], maps: bool) -> Array:
    if not maps:
        return rows.reshape(shape)
    count, channels, height, width = shape
    return np.ascontiguousarray(np.moveaxis(rows.reshape(count, height, width, channels), -1, 1))


def _explained(own: Array, rebuilt: Array) -> float:
    spread = float(((own - own.mean(0)) ** 2).sum())
    if not spread > 0:
        raise DataError("features", expected="some that vary", got="the same for every input")
    return 1 - float(((own - rebuilt) ** 2).sum()) / spread


def _explained_units(own: Array, rebuilt: Array) -> Array:
    spread = ((own - own.mean(0)) ** 2).sum(0)
    varies = spread > CONSTANT * spread.max()
    rest = ((own - rebuilt) ** 2).sum(0)
    return np.where(varies, 1 - rest / np.where(varies, spread, 1.0), np.nan)


@dataclass(frozen=True, eq=False)
class _Rebuild:
    """g_0, …, g_K: from features of B, set to mean 0 and variance 1, to features of A."""

    mean: Array
    scale: Array
    weights: Array
    bias: Array
    residuals: tuple[nn.Module, ...]

    @classmethod
    def fit(
        cls, b: Array, a: Array, settings: ConsistencySettings, done: Callable[[], None]
    ) -> _Rebuild:
        mean, scale = b.mean(0), b.std(0)
        scale = np.where(scale > 0, scale, 1.0)
        x, bias = (b - mean) / scale, a.mean(0)
        gram = x.T @ x
        gram[np.diag_indices(len(gram))] += RIDGE * len(x)
        weights = np.linalg.solve(gram, x.T @ (a - bias))
        rest = a - bias - x @ weights
        unit = float(np.sqrt((a - bias).var())) or 1.0
        done()
        residuals = []
        for depth in range(1, settings.orders + 1):
            module = _fitted(x, rest / unit, depth=depth, settings=settings)
            scaled = nn.Sequential(module, _Times(unit))
            residuals.append(scaled)
            rest = rest - _values(scaled, x)
            done()
        return cls(mean, scale, weights, bias=bias, residuals=tuple(residuals))

    def parts(self, b: Array) -> Array:
        """(K + 1, rows, units): what each order gives."""
        x = (b - self.mean) / self.scale
        affine = x @ self.weights + self.bias
        return np.stack([affine, *(_values(module, x) for module in self.residuals)])


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, value: Tensor) -> Tensor:
        return value * self.factor


def _values(module: nn.Module, x: Array) -> Array:
    with torch.no_grad():
        return np.asarray(module(torch.as_tensor(x)).numpy())


def _fitted(x: Array, rest: Array, depth: int, settings: ConsistencySettings) -> nn.Module:
    """``depth`` ReLU layers that explain ``rest``, as they were when they did so best on rows kept
    back; the last layer starts at 0, so that an order may also add nothing."""
    sizes = [x.shape[1], *[settings.hidden] * depth]
    kept_back = max(1, len(x) // 5)

    def build() -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        last = nn.Linear(sizes[-1], rest.shape[1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.Sequential(*layers, last).double()

    module = seeded(build, settings.training.seed + depth)
    inputs, targets = torch.as_tensor(x), torch.as_tensor(rest)
    best = {name: value.clone() for name, value in module.state_dict().items()}
    state = [float((targets[:kept_back] ** 2).mean()), 0.0]

    def look(epoch: int) -> None:
        with torch.no_grad():
            error = float(((module(inputs[:kept_back]) - targets[:kept_back]) ** 2).mean())
        if error < state[0]:
            state[:] = [error, float(epoch)]
            best.update({name: value.clone() for name, value in module.state_dict().items()})

    def loss(rows: Tensor) -> Tensor:
        found: Tensor = module(inputs[kept_back:][rows])
        return torch.mean((found - targets[kept_back:][rows]) ** 2)

    train(module.parameters(), len(x) - kept_back, loss, training=settings.training, after=look)
    module.load_state_dict(best)
    return module.eval()
