"""``LinearSystem``: rows and bounds over columns, and rigorous bounds of linear forms on it.

For a form q·v + q₀ on {r ≤ M v ≤ R, l ≤ v ≤ u} and any multipliers y,

    q·v = y·(M v) + (q − Mᵀy)·v ≤ Σ yᵢ⁺ Rᵢ − yᵢ⁻ rᵢ + Σ ρⱼ⁺ uⱼ − ρⱼ⁻ lⱼ,   ρ = q − Mᵀy,

so a solver's row duals give a bound that needs no trust in the solver (Neumaier and
Shcherbina 2004).  Its own rounding, and how far the system may be from the network
(``error``), are added as γ-bounds, γ_n = n·2⁻⁵³ / (1 − n·2⁻⁵³).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, hstack, vstack

from precond.basics.shapes import Float, Int
from precond.network.evaluate import outputs
from precond.proof.bounds.rounding import TINY, bare_gamma
from precond.proof.claim import Conjunct, Problem
from precond.proof.linear.blocks import Sparse
from precond.proof.replay import in_region
from precond.region.pattern import Neuron

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Expression:
    """Values ``matrix · v + constant`` of the columns v, each within ``error`` of the truth.

    matrix (m, columns), constant (m,), error (m,).  ``simple``: each row is zero or one
    column with factor one, no column twice, so products with it are exact.
    """

    matrix: Sparse
    constant: Float[Array, " m"]
    error: Float[Array, " m"]
    simple: bool = False

    def reach(self, largest: Float[Array, " columns"]) -> Float[Array, " m"]:
        """A bound of every |value| where |v| ≤ ``largest``, (m,)."""
        size: Array = abs(self.matrix) @ largest + np.abs(self.constant) + self.error
        return size


@dataclass(frozen=True, eq=False)
class LayerMap:
    """Where a decision layer's neurons are in the system, (m,) each, −1 where they are not.

    ``low``, ``high``: bounds of z in the region.  ``row``: the row of a pattern literal.
    ``column``: z of a fixed neuron, or p of a free one;  ``negative``: q of a free neuron;
    ``triangle``: the row of a free neuron's relaxation;  ``equal``: the row that says what a
    column, or p − q, is.
    """

    low: Float[Array, " m"]
    high: Float[Array, " m"]
    row: Int[Index, " m"]
    column: Int[Index, " m"]
    negative: Int[Index, " m"]
    triangle: Int[Index, " m"]
    equal: Int[Index, " m"]

    @property
    def free(self) -> NDArray[np.bool_]:
        return self.negative >= 0


@dataclass(frozen=True, eq=False)
class OpenWindow:
    """A max-pool window with several possible winners: its rows ``y − xᵢ ≥ …`` and, for each,
    ``gap`` = max u − lᵢ, the most that y exceeds xᵢ by."""

    rows: Int[Index, " members"]
    gap: Float[Array, " members"]


@dataclass(frozen=True, eq=False)
class LinearSystem:
    """``row_lower ≤ matrix · v ≤ row_upper`` (true rows within ``row_error``),
    ``column_lower ≤ v ≤ column_upper`` (all finite).

    Columns 0..inputs−1 are the flat input x.  ``output``: the outputs over the columns.
    ``half``: the rows of the input's half-spaces.  ``empty`` names a pre-activation without a
    possible value: the region has no point and the rest of the system means nothing.
    """

    inputs: int
    matrix: Sparse
    row_lower: Float[Array, " rows"]
    row_upper: Float[Array, " rows"]
    row_error: Float[Array, " rows"]
    column_lower: Float[Array, " columns"]
    column_upper: Float[Array, " columns"]
    output: Expression
    layers: Mapping[str, LayerMap]
    pools: tuple[OpenWindow, ...]
    half: Int[Index, " halfspaces"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    empty: Neuron | None = None

    @property
    def is_finite(self) -> bool:
        """Whether no number of it has overflowed: else a solver's word says nothing."""
        parts = (self.matrix.data, self.row_error, self.column_lower, self.column_upper)
        expression = (self.output.matrix.data, self.output.constant, self.output.error)
        return all(bool(np.isfinite(part).all()) for part in (*parts, *expression))

    @property
    def open(self) -> int:
        """Number of free neurons and undecided max-pool windows; 0: the system is exact."""
        return sum(int(m.free.sum()) for m in self.layers.values()) + len(self.pools)

    @property
    def largest(self) -> Array:
        """Largest |v| of every column."""
        return np.maximum(np.abs(self.column_lower), np.abs(self.column_upper))

    def point(self, solution: Float[Array, " columns"]) -> Float[Array, " inputs"]:
        """The input x (n,) of a solution, inside the box."""
        x = solution[: self.inputs]
        return np.clip(x, self.column_lower[: self.inputs], self.column_upper[: self.inputs])

    def with_literals(self, present: Mapping[str, NDArray[np.bool_]]) -> LinearSystem:
        """A larger region: of the pattern's rows only those of the neurons ``present`` (m,)."""
        kept = np.ones(self.matrix.shape[0], dtype=np.bool_)
        for layer, part in self.layers.items():
            kept[part.row[(part.row >= 0) & ~present[layer]]] = False
        place = np.where(kept, np.cumsum(kept) - 1, -1)
        padded = np.append(place, -1)
        return replace(
            self,
            matrix=csr_array(self.matrix[np.flatnonzero(kept)]),
            row_lower=self.row_lower[kept],
            row_upper=self.row_upper[kept],
            row_error=self.row_error[kept],
            layers={
                layer: replace(
                    part,
                    row=padded[part.row],
                    triangle=padded[part.triangle],
                    equal=padded[part.equal],
                )
                for layer, part in self.layers.items()
            },
            half=place[self.half],
            pools=tuple(replace(pool, rows=place[pool.rows]) for pool in self.pools),
        )

    def margins(self, problem: Problem, conjunct: Conjunct) -> Expression:
        """``C y + E x − d`` over the columns: the conjunct holds where every row is ≥ 0."""
        outputs, inputs, bound = problem.rows(conjunct)
        columns = self.matrix.shape[1]
        direct = np.zeros((len(bound), columns))
        direct[:, : self.inputs] = inputs
        rows = outputs @ self.output.matrix + direct
        constant = outputs @ self.output.constant - bound
        reach = np.abs(outputs) @ self.output.reach(self.largest) + np.abs(bound)
        reach += np.abs(direct) @ self.largest
        error = np.abs(outputs) @ self.output.error
        error += bare_gamma(outputs.shape[1] + 4) * reach + TINY * (1 + self.largest.sum())
        return Expression(csr_array(rows), constant, error)


def safe_upper(
    system: LinearSystem,
    form: Expression,
    weights: Float[Array, " k"],
    duals: Float[Array, " rows"],
) -> float:
    """An upper bound, valid for the true network, of ``weights · form`` over the region.

    ``form`` (k rows), ``weights`` (k,) ≥ 0, ``duals`` (rows,): any numbers; those on an
    absent side of a row count as zero.
    """
    y = np.where(np.isfinite(duals), duals, 0.0)
    y = np.where((y > 0) & ~np.isfinite(system.row_upper), 0.0, y)
    y = np.where((y < 0) & ~np.isfinite(system.row_lower), 0.0, y)
    limit = np.where(y > 0, system.row_upper, np.where(y < 0, system.row_lower, 0.0))
    reduced = form.matrix.T @ weights - system.matrix.T @ y
    magnitude = abs(form.matrix).T @ weights + abs(system.matrix).T @ np.abs(y)
    ends = np.where(reduced > 0, system.column_upper, system.column_lower)
    total = y @ limit + reduced @ ends + weights @ form.constant
    size = np.abs(y) @ np.abs(limit) + magnitude @ system.largest + weights @ np.abs(form.constant)
    error = np.abs(y) @ system.row_error + weights @ form.error
    terms = 2 * (len(y) + len(ends) + len(weights)) + 8
    error += bare_gamma(terms) * size + TINY * (1 + system.largest.sum())
    return float(np.nextafter(total + error * (1 + 1e-9), np.inf))


def satisfies(problem: Problem, conjunct: Conjunct, x: Float[Array, " inputs"]) -> bool:
    """Whether x (n,) lies in the region and the conjunct holds there, in float64: a filter
    of candidates, not a proof."""
    if not bool(in_region(problem, x[None])[0]):
        return False
    y = outputs(problem.network, x[None])
    margins = [(float(i.margin(y, x[None])[0]), i.strict) for i in conjunct]
    return all(margin > 0 if strict else margin >= 0 for margin, strict in margins)


def multipliers(
    system: LinearSystem,
    problem: Problem,
    y: Float[Array, " rows"],
    reduced: Float[Array, " columns"],
) -> tuple[dict[str, tuple[Array, Array]], dict[str, Array]]:
    """β of the literals and α of the free neurons, from row duals and reduced costs.

    p = max(z, 0) ≥ 0 is the line through the origin's left part, q ≥ 0 the identity: with
    multipliers μ₀ and μ_z the combined lower line has slope μ_z / (μ₀ + μ_z).
    """
    beta: dict[str, tuple[Array, Array]] = {}
    alpha: dict[str, Array] = {}
    padded_rows = np.append(y, 0.0)
    padded_columns = np.append(reduced, 0.0)
    for layer, where in system.layers.items():
        row = padded_rows[where.row]
        column = padded_columns[where.column]
        negative = padded_columns[where.negative]
        if layer in problem.intervals:
            low, high = problem.intervals[layer]
            below = np.where(where.free, np.maximum(negative, 0.0), np.maximum(-column, 0.0))
            above = np.maximum(column, 0.0)
            below = np.where(where.low == low, below, 0.0) + np.maximum(-row, 0.0)
            above = np.where(where.high == high, above, 0.0) + np.maximum(row, 0.0)
            beta[layer] = (below, above)
        if where.free.any():
            flat, steep = np.maximum(-column, 0.0), np.maximum(-negative, 0.0)
            used = flat + steep
            default = np.where(where.high > -where.low, 1.0, 0.0)
            slope = np.where(used > 0, steep / np.where(used > 0, used, 1.0), default)
            alpha[layer] = np.where(where.free, slope, np.nan)
    return beta, alpha


def with_binaries(system: LinearSystem) -> tuple[Sparse, Array, Array, int]:
    """The exact region: (matrix, lower, upper, number of binary columns, put last).

    Free neuron: p ≤ u δ, q ≤ |l| (1 − δ).  Window: y ≤ xᵢ + gapᵢ (1 − δᵢ), Σ δᵢ = 1.
    """
    columns = system.matrix.shape[1]
    free = [(w, np.flatnonzero(w.free)) for w in system.layers.values()]
    positive = np.concatenate([w.column[i] for w, i in free] or [np.zeros(0, dtype=np.int64)])
    negative = np.concatenate([w.negative[i] for w, i in free] or [np.zeros(0, dtype=np.int64)])
    high, depth = system.column_upper[positive], system.column_upper[negative]
    neurons = len(positive)
    members = np.concatenate([p.rows for p in system.pools] or [np.zeros(0, dtype=np.int64)])
    gaps = np.concatenate([p.gap for p in system.pools] or [np.zeros(0)])
    owner = np.repeat(np.arange(len(system.pools)), [len(p.rows) for p in system.pools])
    count = neurons + len(members)

    def rows(height: int, width: int, column: Index, data: Array, row: Index) -> Sparse:
        return csr_array(coo_array((data, (row, column)), shape=(height, width)))

    each, binary = np.arange(neurons), neurons + np.arange(len(members))
    one = np.ones(neurons)
    blocks = [
        (system.matrix, csr_array((system.matrix.shape[0], count))),
        (rows(neurons, columns, positive, one, each), rows(neurons, count, each, -high, each)),
        (rows(neurons, columns, negative, one, each), rows(neurons, count, each, depth, each)),
        (system.matrix[members], rows(len(members), count, binary, gaps, binary - neurons)),
        (
            csr_array((len(system.pools), columns)),
            rows(len(system.pools), count, binary, np.ones(len(members)), owner),
        ),
    ]
    whole = vstack([hstack(pair, format="csr") for pair in blocks], format="csr")
    lower = [system.row_lower, np.full(2 * neurons + len(members), -np.inf)]
    upper = [system.row_upper, np.zeros(neurons), depth, system.row_lower[members] + gaps]
    once = np.ones(len(system.pools))
    return (
        csr_array(whole),
        np.concatenate([*lower, once]),
        np.concatenate([*upper, once]),
        count,
    )
