"""``encode``: a problem's region as a sparse linear system with free neurons.

GrowingSystem are the inputs and, once a neuron is free (its phase is open), the values behind it.
With z the pre-activation and [l, u] its bounds in the region:

- fixed (l ≥ 0 or u ≤ 0): the value is s·z with s the phase's slope.  While no neuron before
  is free, z is substituted (an affine map of the inputs); later, z is a column;
- free (l < 0 < u): columns p = max(z, 0) ≥ 0 and q = max(−z, 0) ≥ 0 with ``z = p − q`` and
  the triangle ``|l| p + u q ≤ u |l|`` (Ehlers 2017); the value is ``p − slope · q``;
- max-pool: y ≥ xᵢ, y ≤ max uᵢ, y ≤ Σ xᵢ − Σ lᵢ + max lᵢ over the inputs that can win;
  exact where one always wins;
- pattern literals: bounds of the columns, or rows where z is no column;  half-spaces: rows.

The numbers of the system define it exactly.  ``error`` says how far the true network may
be from a row or an expression, γ-bounds on every product that was rounded, and what a run in floats
adds (``Problem.execution``)
(γ_n = n·2⁻⁵³ / (1 − n·2⁻⁵³)), so that a bound of the system can be made one of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, vstack

from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU, MaxPool2d
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.problem import block_slacks
from precond.proof.bounds.rounding import TINY, bare_gamma
from precond.proof.claim import Problem
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.gate import crossed, is_off, is_on
from precond.proof.linear.blocks import (
    Block,
    Sparse,
    cut,
    interval_bounds,
    is_source,
    linear_blocks,
)
from precond.proof.linear.columns import GrowingSystem, product
from precond.proof.linear.system import Expression, LayerMap, LinearSystem, OpenWindow
from precond.region.pattern import Neuron

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Bounds = Mapping[str, tuple[Array, Array]]

__all__ = ["Bounds", "LinearSystem", "encode", "interval_bounds", "linear_blocks"]


def encode(problem: Problem, bounds: Bounds, deadline: Deadline = FOREVER) -> LinearSystem:
    """The region of ``problem`` as a linear system; ``OutOfTime`` past the deadline.

    ``bounds[node]`` = (lower, upper), (m,) each: rigorous bounds, in the region, of what that
    nonlinear node reads; a node may be missing.  They are intersected with what
    the columns' own bounds give.
    """
    network = problem.network
    blocks = linear_blocks(network, deadline)
    build = _Builder(network, problem, blocks, slacks=block_slacks(replace(problem, bounds=bounds)))
    for node in network.nodes:
        if not is_source(network, node.name):
            continue
        deadline.check()
        z = build.compose(node.inputs[0])
        natural = build.interval(z)
        literal = problem.intervals.get(node.name)
        low, high = cut(cut(natural, bounds.get(node.name)), literal)
        nothing = crossed(low, high)
        if nothing.any():
            return build.finish((node.name, int(np.argmax(nothing))))
        if isinstance(node.layer, MaxPool2d):
            windows = node.layer.windows(network.shapes[node.inputs[0]])
            build.pool(node.name, windows, z, (low, high))
            continue
        slope = node.layer.slope if isinstance(node.layer, LeakyReLU) else 0.0
        build.rectify(node.name, z, natural, (low, high), literal, slope)
    if problem.halfspaces is not None:
        build.half = build.halfspaces(problem.halfspaces)
    deadline.check()
    return build.finish(None)


class _Builder(GrowingSystem):
    """Columns and rows as they are added, and an expression for every source value."""

    def __init__(
        self,
        network: Network,
        problem: Problem,
        blocks: Mapping[str, Block],
        slacks: Mapping[str, Array],
    ) -> None:
        sources = [n for n in network.nodes if is_source(network, n.name)]
        self.network = network
        self.blocks = blocks
        self.runs = problem.execution is not Arithmetic.REAL
        self.slacks = slacks
        capacity = problem.box.size + 2 * sum(network.width(n.name) for n in sources)
        super().__init__(problem.box, capacity)
        self.layers: dict[str, LayerMap] = {}
        self.pools: list[OpenWindow] = []
        self.half: Index = np.zeros(0, dtype=np.int64)
        every = np.arange(self.inputs)
        self.values = {INPUT: self.selection(every, every, self.inputs)}

    def compose(self, name: str) -> Expression:
        """The values of a node that a nonlinear one reads (or the output) over the columns, with
        the rounding of the products, and of the network's own run in floats."""
        block = self.blocks[name]
        matrix: Sparse | None = None
        constant = block.constant.copy()
        error = block.rounding * block.constant_magnitude
        reach = np.abs(block.constant)
        terms = len(block.matrices) + 4
        simple = True
        for source, weights in block.matrices.items():
            value = self.values[source]
            size = value.reach(self.largest)
            part = product(weights, value)
            matrix = part if matrix is None else csr_array(matrix + part)
            constant = constant + weights @ value.constant
            magnitude = abs(weights)
            error = error + magnitude @ value.error
            error = error + block.rounding * (block.magnitudes[source] @ size)
            reach = reach + magnitude @ size
            terms += int(np.diff(weights.indptr).max(initial=0))
            simple = simple and value.simple
        if matrix is None:
            matrix = csr_array((len(constant), self.capacity))
        if not simple:
            error = error + bare_gamma(terms) * reach + TINY * (1 + self.largest.sum())
        if name in self.slacks:
            error = error + self.slacks[name]
        return Expression(matrix, constant, error * (1 + 1e-9))

    def rectify(
        self,
        name: str,
        z: Expression,
        natural: tuple[Array, Array],
        bounds: tuple[Array, Array],
        literal: tuple[Array, Array] | None,
        slope: float,
    ) -> None:
        """Add a ReLU (slope 0) or leaky ReLU layer."""
        low, high = bounds
        width = len(low)
        on = is_on(low)
        free = ~(on | is_off(high))
        factor = np.where(on, 1.0, slope)  # of the fixed neurons
        column = np.full(width, -1)
        negative = np.full(width, -1)
        row = np.full(width, -1)
        triangle = np.full(width, -1)
        equal = np.full(width, -1)
        # Values of a run in floats are columns: substituted, their errors would pile up.
        explicit = self.runs or bool(free.any()) or len(self.column_lower) > self.inputs
        kept = np.flatnonzero(~free & (factor > 0)) if explicit else np.empty(0, dtype=np.int64)
        if literal is not None:
            wanted = (natural[0] < literal[0]) | (natural[1] > literal[1])
            wanted &= ~free
            wanted[kept] = False
            which = np.flatnonzero(wanted)
            row[which] = self.between(z, which, literal[0][which], literal[1][which])
        if not explicit:
            self.values[name] = Expression(
                csr_array(diags_array(factor) @ z.matrix),
                factor * z.constant,
                factor * z.error
                + (0.0 if slope in (0.0, 1.0) else 1.0)
                * (bare_gamma(2) * z.reach(self.largest) + TINY * (1 + self.largest.sum())),
            )
            self.layers[name] = LayerMap(
                low, high, row, column=column, negative=negative, triangle=triangle, equal=equal
            )
            return
        opened = np.flatnonzero(free)
        column[kept] = self.add_columns(low[kept], high[kept])
        column[opened] = self.add_columns(np.zeros(len(opened)), high[opened])
        negative[opened] = self.add_columns(np.zeros(len(opened)), -low[opened])
        used = np.concatenate([kept, opened])
        own = self.entries(np.arange(len(used)), column[used], np.ones(len(used)), len(used))
        own = own + self.entries(
            np.arange(len(kept), len(used)), negative[opened], -np.ones(len(opened)), len(used)
        )
        constant = z.constant[used]
        equal[used] = self.add_rows(
            csr_array(own - z.matrix[used]), constant, constant, error=z.error[used]
        )
        sides = (high[opened], -low[opened])
        triangle[opened] = self._triangles(column[opened], negative[opened], *sides)
        matrix = self.entries(used, column[used], np.where(free, 1.0, factor)[used], width)
        simple = slope == 0.0
        if not simple:
            matrix = matrix + self.entries(
                opened, negative[opened], np.full(len(opened), -slope), width
            )
        error = self.slacks.get(name, np.zeros(width))
        self.values[name] = Expression(csr_array(matrix), np.zeros(width), error, simple=simple)
        self.layers[name] = LayerMap(
            low, high, row, column=column, negative=negative, triangle=triangle, equal=equal
        )

    def _triangles(self, positive: Index, negative: Index, high: Array, depth: Array) -> Index:
        """``depth/m · p + high/m · q ≤ high · depth / m`` with m the larger, right side up."""
        scale = np.maximum(high, depth)
        left, right = depth / scale, high / scale
        limit = np.nextafter(np.maximum(high * left, depth * right), np.inf)
        rows = np.arange(len(high))
        matrix = self.entries(rows, positive, left, len(high))
        matrix = matrix + self.entries(rows, negative, right, len(high))
        none = np.full(len(high), -np.inf)
        return self.add_rows(csr_array(matrix), none, limit, error=np.zeros(len(high)))

    def pool(self, name: str, windows: Index, z: Expression, bounds: tuple[Array, Array]) -> None:
        """Add a max-pool layer."""
        height = len(windows)
        inside = windows >= 0
        low = np.where(inside, bounds[0][windows], -np.inf)
        high = np.where(inside, bounds[1][windows], -np.inf)
        best = low.argmax(axis=1)
        floor, ceiling = low.max(axis=1), high.max(axis=1)
        candidate = inside & (high > floor[:, None])
        candidate[np.arange(height), best] = True
        single = candidate.sum(axis=1) == 1
        opened = np.flatnonzero(~single)
        decided = np.flatnonzero(single)
        columns = self.add_columns(floor[opened], ceiling[opened])
        winners = windows[decided, best[decided]]
        matrix = self.entries(decided, np.arange(len(decided)), np.ones(len(decided)), height)
        chosen = csr_array(matrix[:, : len(decided)] @ z.matrix[winners])
        constant, error = np.zeros(height), np.zeros(height)
        constant[decided], error[decided] = z.constant[winners], z.error[winners]
        own = self.selection(opened, columns, height)
        self.values[name] = Expression(
            csr_array(own.matrix + chosen), constant, error, simple=not decided.size
        )
        for k, window in enumerate(opened):
            which = candidate[window]
            members = windows[window][which]
            floors = low[window][which]
            size = len(members)
            parts = z.matrix[members]
            y = self.entries(np.arange(size), np.full(size, columns[k]), np.ones(size), size)
            rows = self.add_rows(
                csr_array(y - parts),
                z.constant[members],
                np.full(size, np.inf),
                error=z.error[members],
            )
            self.pools.append(OpenWindow(rows, ceiling[window] - floors))
            total = csr_array(np.ones((1, size))) @ parts
            limit = z.constant[members].sum() - floors.sum() + floors.max()
            slack = bare_gamma(size + 4) * (
                np.abs(z.constant[members]).sum()
                + 2 * np.abs(floors).sum()
                + z.reach(self.largest)[members].sum()
            )
            self.add_rows(
                csr_array(y[:1] - total),
                np.array([-np.inf]),
                np.array([limit]),
                error=np.array([z.error[members].sum() + slack]),
            )

    def finish(self, empty: Neuron | None) -> LinearSystem:
        size = len(self.column_lower)
        output = Expression(csr_array((0, size)), np.zeros(0), np.zeros(0))
        if empty is None:
            found = self.compose(self.network.output)
            output = Expression(csr_array(found.matrix[:, :size]), found.constant, found.error)
        matrix = csr_array((0, self.capacity))
        lower = upper = error = np.zeros(0)
        if self.rows:
            matrix = csr_array(vstack(self.rows, format="csr"))
            lower, upper, error = (
                np.concatenate([limit[k] for limit in self.limits]) for k in range(3)
            )
        return LinearSystem(
            self.inputs,
            csr_array(matrix[:, :size]),
            lower,
            row_upper=upper,
            row_error=error,
            column_lower=self.column_lower,
            column_upper=self.column_upper,
            output=output,
            layers=self.layers,
            pools=tuple(self.pools),
            half=self.half,
            empty=empty,
        )
