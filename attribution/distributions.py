"""Distributions of interest: over which points an influence is averaged.

χ = E_{z∼P}[∂q/∂z].  A *per-input* distribution gives every input row its own points and so
its own result: ``Point`` (the input itself), ``LinearPath`` (the line from a baseline),
``Gaussian`` (noise around it), ``Custom`` (points given).  A *data* distribution gives one
result for all: ``Empirical`` and ``ClassConditional``.  ``at`` names the layer where the
points are built, if not at the model's input; the slice may lie there or after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.inputs import count_rows, require_finite
from attribution.rules import Rule, check_steps, nodes
from precond.basics.arguments import number, whole
from precond.errors import DataError, QueryError

Parts = dict[str, Tensor]
Baseline = float | NDArray[np.floating] | Tensor | dict[str, Any] | tuple[Any, ...]


NOISE_BLOCK = 32


def baseline_like(baseline: Baseline, values: Parts, rows: slice | Tensor, total: int) -> Parts:
    """The baseline of ``rows`` for each part: a number, one value for all, or one per row.

    Parts may have their own: a dict by name (0 where none is given), or a tuple in order.
    """
    result = {}
    own = _by_part(baseline, tuple(values))
    for name, value in values.items():
        given = own[name]
        try:
            chosen = torch.as_tensor(given).to(value.device, value.dtype)
        except (TypeError, ValueError, RuntimeError):
            raise DataError(
                f"baseline for {name}", expected="numbers", got=type(given).__name__
            ) from None
        require_finite(f"baseline for {name}", chosen)
        per_row = chosen.dim() == value.dim() and chosen.shape[0] == total
        if per_row and (total != 1 or chosen.shape[1:] == value.shape[1:]):
            chosen = chosen[rows]
        try:
            result[name] = chosen.expand_as(value)
        except RuntimeError:
            raise DataError(
                f"baseline for {name}",
                expected=f"a number, shape {tuple(value.shape[1:])}, or one such per row",
                got=str(tuple(chosen.shape)),
            ) from None
    return result


def _by_part(baseline: Baseline, names: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(baseline, tuple) and (len(names) > 1 or len(baseline) == 1):
        if len(baseline) != len(names):
            raise DataError(
                "baseline",
                expected=f"{len(names)} parts: {', '.join(names)}",
                got=f"a tuple of {len(baseline)}",
            )
        return dict(zip(names, baseline, strict=True))
    if not isinstance(baseline, dict):
        return dict.fromkeys(names, baseline)
    unknown = sorted(set(baseline) - set(names))
    if unknown:
        raise DataError(
            "baseline", expected=f"parts {', '.join(names)}", got=f"also {', '.join(unknown)}"
        )
    return {name: baseline.get(name, 0.0) for name in names}


@dataclass(frozen=True, eq=False, kw_only=True)
class PerInput:
    """Base of distributions with points for every input row."""

    at: str | None = None
    pre: bool = False

    def count(self) -> int:
        """Points per row."""
        raise NotImplementedError

    def shares(self, rows: slice) -> NDArray[np.float64]:  # noqa: ARG002  others weigh each row
        """Weights (points,) or (rows, points); they sum to 1 along the points unless given."""
        return np.full(self.count(), 1 / self.count())

    def build(self, values: Parts, rows: slice, total: int, points: slice) -> Parts:
        """Points of the given rows as (rows, points, *shape), from their values (rows, *shape)."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Point(PerInput):
    """The input itself: the plain gradient."""

    def count(self) -> int:
        return 1

    def build(
        self,
        values: Parts,
        rows: slice,  # noqa: ARG002  the interface of distributions: one point for every row
        total: int,  # noqa: ARG002
        points: slice,  # noqa: ARG002
    ) -> Parts:
        return {name: value.unsqueeze(1) for name, value in values.items()}


@dataclass(frozen=True, eq=False)
class LinearPath(PerInput):
    """The line from ``baseline`` to the input, uniformly."""

    baseline: Baseline = 0.0
    rule: str | Rule = Rule.GAUSS
    steps: int = 50

    def __post_init__(self) -> None:
        rule = Rule.named(self.rule)
        object.__setattr__(self, "rule", rule)
        check_steps(rule, self.steps)

    def count(self) -> int:
        return self.steps

    def shares(self, rows: slice) -> NDArray[np.float64]:  # noqa: ARG002  the same for each row
        return nodes(Rule.named(self.rule), self.steps)[1]

    def build(self, values: Parts, rows: slice, total: int, points: slice) -> Parts:
        position = nodes(Rule.named(self.rule), self.steps)[0][points]
        start = baseline_like(self.baseline, values, rows, total=total)
        result = {}
        for name, value in values.items():
            t = torch.as_tensor(position).to(value.device, value.dtype)
            t = t.reshape(1, -1, *[1] * (value.dim() - 1))
            result[name] = torch.lerp(start[name].unsqueeze(1), value.unsqueeze(1), t)
        return result


@dataclass(frozen=True, eq=False)
class Gaussian(PerInput):
    """``n`` points with independent normal noise of standard deviation ``sigma``.

    Row r's noise depends on ``seed`` and r alone, not on how rows and points are grouped; it
    is drawn ``NOISE_BLOCK`` points at a time, so that many points take no more memory.
    """

    sigma: float
    n: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= number("sigma", self.sigma) < math.inf or whole("n", self.n) < 1:
            raise QueryError(
                "Gaussian", expected="a finite sigma ≥ 0 and n ≥ 1", got=f"{self.sigma}, {self.n}"
            )

    def count(self) -> int:
        return self.n

    def build(self, values: Parts, rows: slice, total: int, points: slice) -> Parts:
        result = {}
        for part, (name, value) in enumerate(values.items()):
            noise = []
            first, last, _ = points.indices(self.n)
            blocks = range(first // NOISE_BLOCK, -(-last // NOISE_BLOCK))
            for row in range(*rows.indices(total)):
                drawn = torch.cat([self._noise(row, part, block=one, like=value) for one in blocks])
                low = first - blocks.start * NOISE_BLOCK
                noise.append(drawn[low : low + last - first])
            stacked = torch.stack(noise).to(value.device, value.dtype)
            result[name] = value.unsqueeze(1) + self.sigma * stacked
        return result

    def _noise(self, row: int, part: int, block: int, like: Tensor) -> Tensor:
        seed = ((self.seed * 1_000_003 + row) * 31 + part) * 65_537 + block
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(NOISE_BLOCK, *like.shape[1:], generator=generator, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Custom(PerInput):
    """Given points (n, *shape), or (rows, n, *shape); weights (n,) or (rows, n), used as given.

    With points that are the same for all rows, ``inputs`` only supply what the rest of the
    model reads.  ``weights`` None: equal weights.
    """

    points: NDArray[np.floating] | Tensor
    weights: NDArray[np.floating] | Sequence[float] | None = None
    per_row: bool = False

    def __post_init__(self) -> None:
        if self.weights is not None:
            require_finite("weights of Custom", np.asarray(self.weights, dtype=np.float64))
            length = np.asarray(self.weights).shape[-1]
            if length != self.count():
                raise DataError("weights of Custom", expected=str(self.count()), got=str(length))

    def count(self) -> int:
        return int(self.points.shape[1 if self.per_row else 0])

    def shares(self, rows: slice) -> NDArray[np.float64]:
        if self.weights is None:
            return super().shares(rows)
        array = np.asarray(self.weights, dtype=np.float64)
        return array if array.ndim == 1 else np.asarray(array[rows])

    def build(
        self,
        values: Parts,
        rows: slice,
        total: int,  # noqa: ARG002  the interface of distributions
        points: slice,
    ) -> Parts:
        if len(values) != 1:
            raise DataError("Custom points", expected="one part", got=f"{len(values)} parts")
        ((name, value),) = values.items()
        chosen = self.points[rows, points] if self.per_row else self.points[points][None]
        tensor = torch.as_tensor(np.asarray(chosen) if not isinstance(chosen, Tensor) else chosen)
        tensor = tensor.to(value.device, value.dtype)
        require_finite(f"Custom points at {name}", tensor.flatten(0, 1))
        if tensor.shape[2:] != value.shape[1:]:
            raise DataError(
                f"Custom points at {name}",
                expected=f"shape {tuple(value.shape[1:])}",
                got=str(tuple(tensor.shape[2:])),
            )
        return {name: tensor.expand(len(value), *tensor.shape[1:])}


@dataclass(frozen=True, eq=False)
class Empirical:
    """A data set: ``X`` (N, …) in memory or memory-mapped, or batches from an iterable.

    ``weights`` (N,) need not sum to 1; None: every row counts the same.  ``at``: ``X`` holds
    values of that layer, and ``inputs`` of one row supply what the rest of the model reads.
    """

    X: Any
    weights: NDArray[np.floating] | Sequence[float] | None = None
    at: str | None = None
    pre: bool = False

    def batches(self) -> Iterable[tuple[Any, NDArray[np.float64] | None]]:
        """Batches with their weights; one batch for arrays."""
        if isinstance(self.X, np.ndarray | Tensor | tuple | dict):
            weights = None if self.weights is None else np.asarray(self.weights, np.float64)
            yield self.X, weights
            return
        batches: Iterable[Any] = self.X() if callable(self.X) else self.X
        for batch in batches:
            yield batch, None


def ClassConditional(  # noqa: N802  (named as the paper's distribution)
    X: Any,  # noqa: N803
    y: NDArray[np.integer] | Sequence[int] | Tensor,
    c: int,
    *,
    at: str | None = None,
) -> Empirical:
    """The rows of ``X`` whose label ``y`` is ``c``, equally weighted."""
    if len(np.asarray(y)) != count_rows(X):
        raise DataError("labels", expected=str(count_rows(X)), got=str(len(np.asarray(y))))
    chosen = np.flatnonzero(np.asarray(y) == c)
    if not len(chosen):
        raise DataError(f"class {c}", expected="at least one row with that label", got="none")
    if isinstance(X, tuple):
        return Empirical(tuple(part[chosen] for part in X), at=at)
    if isinstance(X, dict):
        return Empirical({name: part[chosen] for name, part in X.items()}, at=at)
    require_finite("input", X[chosen], chosen)
    return Empirical(X[chosen], at=at)


Distribution = PerInput | Empirical
