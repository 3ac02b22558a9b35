"""Variables, equations and constraints of a Marabou query, as they are added.

Scaled-up neurons and inputs are kept as ``variable / scale + constant``; what has no variable
is a constant and is folded into the equations that read it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import INPUT
from precond.proof.claim import Problem
from precond.proof.gate import crossed
from precond.proof.linear.blocks import Block, affine_interval
from precond.region.box import Box

Array = NDArray[np.float64]
Index = NDArray[np.int64]
LARGEST_SCALE = 1e6
MARGIN = 1e-4  # share of the interval that is left


@dataclass(frozen=True, eq=False)
class MarabouQuery:
    """``lower``, ``upper`` (variables,), finite; ``margin`` (variables,) ≥ 0: how far to move
    the bounds that state the conjunct, half-spaces and literals to get well inside.
    Equation r: Σ factors · variables = scalars[r] over starts[r]..starts[r+1].  ``neurons``
    (k, 2): before and after, ``slopes`` (k,).  Pool r: the largest of members[pool_starts[r]..]
    is pools[r].  ``free``: which of the network's inputs the ``inputs`` are;
    x = lower bound + input / ``scale``.
    """

    lower: Array
    upper: Array
    margin: Array
    inputs: Index
    outputs: Index
    starts: Index
    variables: Index
    factors: Array
    scalars: Array
    neurons: Index
    slopes: Array
    pool_starts: Index
    members: Index
    pools: Index
    free: Index
    scale: Array

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def point(self, box: Box, values: Array) -> Array:
        """The network's input x (n,) from the values of all variables."""
        x = box.lower.copy()
        x[self.free] += values[self.inputs] / self.scale
        return np.clip(x, box.lower, box.upper)

    def inside(self) -> MarabouQuery:
        """The query for a point well inside the region, whose witness replays; its ``unsat``
        says nothing."""
        return replace(self, lower=self.lower + self.margin, upper=self.upper - self.margin)


@dataclass(frozen=True, eq=False)
class VariableValues:
    """A node's values: ``variable / scale + constant``, or the constant where variable is −1."""

    variable: Index
    scale: Array
    constant: Array


class Builder:
    """Variables and constraints as they are added."""

    def __init__(self, problem: Problem) -> None:
        box = problem.box
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.margin: list[float] = []
        self.equations: list[tuple[Index, Array, float]] = []
        self.neurons: list[tuple[int, int, float]] = []
        self.windows: list[tuple[list[int], int]] = []
        self.outputs: list[int] = []
        self.free = np.flatnonzero(box.width > 0)
        variable = np.full(box.size, -1)
        scale = _scale(box.width)
        variable[self.free] = [self.variable(0.0, scale[i] * box.width[i]) for i in self.free]
        self.bounds = {INPUT: (box.lower, box.upper)}
        self.values = {INPUT: VariableValues(variable, scale, box.lower.copy())}

    def variable(self, low: float, high: float) -> int:
        self.lower.append(float(low))
        self.upper.append(float(high))
        self.margin.append(0.0)
        return len(self.lower) - 1

    def rows(self, block: Block) -> tuple[list[tuple[Index, Array]], Array]:
        """Per row its variables and factors; and the constants with folded values, (m,)."""
        constant = block.constant.copy()
        found: list[list[tuple[Index, Array]]] = [[] for _ in constant]
        for source, matrix in block.matrices.items():
            value = self.values[source]
            constant = constant + matrix @ value.constant
            for row, parts in enumerate(found):
                span = slice(matrix.indptr[row], matrix.indptr[row + 1])
                columns, data = matrix.indices[span], matrix.data[span]
                kept = (value.variable[columns] >= 0) & (data != 0)
                columns, data = columns[kept], data[kept]
                parts.append((value.variable[columns], data / value.scale[columns]))
        joined = [
            (np.concatenate([v for v, _ in parts]), np.concatenate([f for _, f in parts]))
            for parts in found
        ]
        return [_merged(variables, factors) for variables, factors in joined], constant

    def define(
        self,
        block: Block,
        natural: tuple[Array, Array],
        bounds: tuple[Array, Array],
        together: bool,
    ) -> VariableValues:
        """Variables for a block's values; with one common scale if ``together``.

        A block that only passes values on needs none: an equation x = y would be one more
        thing for Marabou to get wrong.
        """
        passed = self._passed(block)
        if passed is not None and not (together and len(np.unique(passed.scale)) > 1):
            for i, known in enumerate(passed.variable.tolist()):
                if known >= 0:
                    low, high = passed.scale[i] * bounds[0][i], passed.scale[i] * bounds[1][i]
                    self.lower[known] = max(self.lower[known], low)
                    self.upper[known] = min(self.upper[known], high)
            return passed
        rows, constant = self.rows(block)
        width = natural[1] - natural[0]
        scales = _scale(np.full(len(width), width.max()) if together else width)
        variable = np.full(len(rows), -1)
        for i, (variables, factors) in enumerate(rows):
            if len(variables):
                variable[i] = self.variable(scales[i] * bounds[0][i], scales[i] * bounds[1][i])
                self.equate(
                    variables, factors, constant[i], target=int(variable[i]), scale=scales[i]
                )
        return VariableValues(variable, scales, np.where(variable < 0, constant, 0.0))

    def literals(
        self, before: VariableValues, natural: tuple[Array, Array], bounds: tuple[Array, Array]
    ) -> None:
        """Margins where the pattern cuts the interval."""
        for i in np.flatnonzero((natural[0] < bounds[0]) | (bounds[1] < natural[1])):
            if before.variable[i] >= 0:
                width = before.scale[i] * (bounds[1][i] - bounds[0][i])
                self.margin[before.variable[i]] = MARGIN * width

    def _passed(self, block: Block) -> VariableValues | None:
        """The source's values, where the block copies them and does nothing else."""
        if len(block.matrices) != 1 or block.constant.any():
            return None
        ((source, matrix),) = block.matrices.items()
        if (np.diff(matrix.indptr) != 1).any() or (matrix.data != 1.0).any():
            return None
        value, columns = self.values[source], matrix.indices
        if value.constant[columns][value.variable[columns] >= 0].any():
            return None
        return VariableValues(
            value.variable[columns], value.scale[columns], value.constant[columns]
        )

    def equate(
        self, variables: Index, factors: Array, constant: float, target: int, scale: float
    ) -> None:
        """``scale · (factors · variables + constant) = target``."""
        self.equations.append(
            (np.append(variables, target), np.append(scale * factors, -1.0), -scale * constant)
        )

    def rectify(
        self, before: VariableValues, slope: float, bounds: tuple[Array, Array]
    ) -> VariableValues:
        variable = np.full(len(before.variable), -1)
        for i in np.flatnonzero(before.variable >= 0):
            if slope == 1.0:
                variable[i] = before.variable[i]
                continue
            low, high = before.scale[i] * bounds[0][i], before.scale[i] * bounds[1][i]
            variable[i] = self.variable(max(low, 0.0) if slope == 0.0 else low, high)
            self.neurons.append((int(before.variable[i]), int(variable[i]), slope))
        constant = np.maximum(before.constant, slope * before.constant)  # 0 beside a variable
        return VariableValues(variable, before.scale, constant)

    def pool(
        self, before: VariableValues, windows: Index, bounds: tuple[Array, Array]
    ) -> VariableValues:
        height = len(windows)
        variable, scale, constant = np.full(height, -1), np.ones(height), np.zeros(height)
        for i, window in enumerate(windows):
            members = window[window >= 0]
            open_ = members[before.variable[members] >= 0]
            fixed = members[before.variable[members] < 0]
            floor = before.constant[fixed].max(initial=-np.inf)
            if not len(open_):
                constant[i] = floor
                continue
            scale[i] = before.scale[open_[0]]
            chosen = [int(v) for v in before.variable[open_]]
            if len(fixed):
                chosen.append(self.variable(scale[i] * floor, scale[i] * floor))
            if len(chosen) == 1:
                variable[i] = chosen[0]
                continue
            variable[i] = self.variable(scale[i] * bounds[0][i], scale[i] * bounds[1][i])
            self.windows.append((chosen, int(variable[i])))
        return VariableValues(variable, scale, constant)

    def require(self, block: Block, mark: bool) -> str | None:
        """Every row of ``block`` is ≥ 0."""
        low, high = affine_interval(block, self.bounds)
        if crossed(np.zeros_like(high), high).any():
            return "interval arithmetic excludes the conjunct"
        rows, constant = self.rows(block)
        scale = _scale(high - low)
        for i, (variables, factors) in enumerate(rows):
            if not len(variables):
                continue  # a constant, and high ≥ 0 says it holds
            target = self.variable(0.0, scale[i] * high[i])
            self.margin[target] = MARGIN * scale[i] * high[i]
            self.equate(variables, factors, constant[i], target=target, scale=scale[i])
            if mark:
                self.outputs.append(target)
        return None

    def finish(self) -> MarabouQuery:
        starts = np.cumsum([0, *(len(v) for v, _, _ in self.equations)])
        pool_starts = np.cumsum([0, *(len(m) for m, _ in self.windows)])
        return MarabouQuery(
            np.array(self.lower),
            np.array(self.upper),
            np.array(self.margin),
            inputs=np.arange(len(self.free)),
            outputs=np.array(self.outputs, dtype=np.int64),
            starts=starts,
            variables=np.concatenate(
                [v for v, _, _ in self.equations] or [np.zeros(0, dtype=np.int64)]
            ),
            factors=np.concatenate([f for _, f, _ in self.equations] or [np.zeros(0)]),
            scalars=np.array([s for _, _, s in self.equations]),
            neurons=np.array([n[:2] for n in self.neurons], dtype=np.int64).reshape(-1, 2),
            slopes=np.array([n[2] for n in self.neurons]),
            pool_starts=pool_starts,
            members=np.array([m for members, _ in self.windows for m in members], dtype=np.int64),
            pools=np.array([t for _, t in self.windows], dtype=np.int64),
            free=self.free,
            scale=self.values[INPUT].scale[self.free],
        )


def _scale(width: Array) -> Array:
    return np.clip(1.0 / np.maximum(width, 1.0 / LARGEST_SCALE), 1.0, LARGEST_SCALE)


def _merged(variables: Index, factors: Array) -> tuple[Index, Array]:
    """Each variable once."""
    unique, inverse = np.unique(variables, return_inverse=True)
    total = np.zeros(len(unique))
    np.add.at(total, inverse, factors)
    return unique[total != 0], total[total != 0]
