"""Multipliers in fractions for a region where every phase is decided.

There the network is affine, so "the conjunct holds" is a system of linear inequalities in the
input: g_j(x) ≥ 0, rows r_i(x) ≥ 0 (bounds of pre-activations, half-spaces), l ≤ x ≤ u.  It has no
solution if weights w, y ≥ 0 with Σ w = 1 make the largest value of ``Σ w g + Σ y r`` over the box
negative, or zero where a strict g has weight (Farkas).  The least such value is found by the
simplex method in fractions, Bland's rule; it starts from one g alone, whose corner is known.  Where
the rows exclude each other there is a ray without weights.

This decides claims that are true by equality, which no bound in floats can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.checker.certificate import Linear, Statement
from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU, MaxPool2d
from precond.network.sparse import affine_matrices, deviation_matrices
from precond.proof.deadline import Deadline
from precond.proof.trace import Leaf

Array = NDArray[Any]  # of fractions
WORD = 53  # bits of a float


@dataclass(frozen=True)
class LinearRow:
    """``form · x + constant ≥ 0``, (n,), of a pre-activation's ``side`` (0: z ≥, 1: z ≤)."""

    form: Array
    constant: Fraction
    layer: str = ""
    index: int = 0
    side: int = 0


def is_piecewise_linear(network: Network) -> bool:
    """Whether phases of decision layers alone make it affine, in constants that floats hold."""
    return not any(
        isinstance(node.layer, MaxPool2d)
        or (network.is_affine(node.name) and deviation_matrices(network, node.name) is not None)
        for node in network.nodes
    )


def affine_forms(network: Network, on: Mapping[str, NDArray[np.bool_]]) -> dict[str, Array]:
    """Every value as (m, n + 1) coefficients of the input and 1, with the phases ``on``."""
    size = network.input_size
    found = {INPUT: fractions(np.eye(size, size + 1))}
    for node in network.nodes:
        if node.name in on:
            slope = Fraction(node.layer.slope if isinstance(node.layer, LeakyReLU) else 0.0)
            slopes = np.array([Fraction(1) if phase else slope for phase in on[node.name]], object)
            found[node.name] = found[node.inputs[0]] * slopes[:, None]
            continue
        matrices, bias = affine_matrices(network, node.name)
        total = fractions(np.zeros((len(bias), size + 1)))
        total[:, -1] = fractions(np.asarray(bias, dtype=np.float64))
        for name, matrix in zip(node.inputs, matrices, strict=True):
            total = total + fractions(matrix.toarray()) @ found[name]
        found[node.name] = total
    return found


def fractions(values: NDArray[np.floating[Any]]) -> Array:
    """The numbers that floats are."""
    return np.array([Fraction(v) for v in values.ravel().tolist()], object).reshape(values.shape)


def rational_leaf(
    network: Network,
    statement: Statement,
    way: tuple[Linear, ...],
    state: NDArray[np.float64],
    on: Mapping[str, NDArray[np.bool_]],
    deadline: Deadline,
) -> Leaf | None:
    """Multipliers that show that ``way`` does not hold in the region ``state`` (2, coordinates),
    where phases are as ``on`` says; None if it may, or where time ends."""
    forms, size = affine_forms(network, on), network.input_size
    rows, first = [], size
    for layer in network.decision_layers:
        z = forms[network.pre_activation(layer)]
        for side, sign in ((0, 1), (1, -1)):
            own = state[side, first : first + len(z)]
            for k in np.flatnonzero(np.isfinite(own)).tolist():
                constant = sign * z[k, -1] - Fraction(float(own[k]))
                rows.append(LinearRow(sign * z[k, :-1], constant, layer, index=k, side=side))
        first += len(z)
    half = [
        LinearRow(-fractions(m), Fraction(float(b)))
        for m, b in zip(statement.matrix, statement.bound, strict=True)
    ]
    output = forms[network.output]
    goals = [_inequality(part, output, size) for part in way]
    box = [Fraction(v) for v in state[0, :size]], [Fraction(-v) for v in state[1, :size]]
    found = least_mix(goals, [*rows, *half], box, deadline=deadline)
    if found is None:
        return None
    value, mix = found
    weights = mix[: len(goals)]
    strict = any(w > 0 and part.strict for w, part in zip(weights, way, strict=True))
    if value > 0 or (value == 0 and not strict):
        return None
    numbers = as_floats(mix)
    low, high = ({k: np.zeros(network.width(k)) for k in on} for _ in range(2))
    for row, number in zip(rows, numbers[len(goals) :], strict=False):
        (low, high)[row.side][row.layer][row.index] = number
    return Leaf(numbers[: len(goals)], low=low, high=high, half=numbers[len(goals) + len(rows) :])


def _inequality(part: Linear, output: Array, size: int) -> LinearRow:
    form = fractions(np.zeros(size + 1))
    for k, v in part.outputs:
        form = form + Fraction(v) * output[k]
    for k, v in part.inputs:
        form[k] += Fraction(v)
    return LinearRow(form[:-1], form[-1] - Fraction(part.bound))


def as_floats(mix: Sequence[Fraction]) -> NDArray[np.float64]:
    """Multiples of ``mix``: as integers where floats hold them, else rounded."""
    common = lcm(*(f.denominator for f in mix))
    whole = [f.numerator * (common // f.denominator) for f in mix]
    largest = max(max(whole, default=0), 1)
    if largest.bit_length() <= WORD:
        return np.array(whole, dtype=np.float64)
    return np.array([float(Fraction(n, largest)) for n in whole])


def least_mix(
    goals: Sequence[LinearRow],
    rows: Sequence[LinearRow],
    box: tuple[Any, Any],
    *,
    deadline: Deadline,
) -> tuple[Fraction, list[Fraction]] | None:
    """The least of the largest values of ``Σ w g + Σ y r`` over the box, Σ w = 1 (of the rows where
    there are no goals), with (w, y); a ray has a negative value.  None where time ends."""
    every, n = [*goals, *rows], len(box[0])
    if not every:
        return None
    unit = len(goals) or len(rows)
    table = fractions(np.zeros((n + 1, len(every) + 2 * n + 1)))
    cost = fractions(np.zeros(len(every) + 2 * n + 1))
    for j, row in enumerate(every):
        table[:n, j], cost[j] = row.form, row.constant
        table[n, j] = Fraction(int(j < unit))
    for i in range(n):  # an upper bound's multiplier p, then a lower one's: form − p + q = 0
        for k, (sign, end) in enumerate(((-1, box[1][i]), (1, -box[0][i]))):
            table[i, len(every) + 2 * i + k], cost[len(every) + 2 * i + k] = Fraction(sign), end
    table[n, -1] = Fraction(1)
    basis = [len(every) + 2 * i + int(every[0].form[i] < 0) for i in range(n)] + [0]
    for i in [n, *range(n)]:
        _pivot(table, cost, row=i, column=basis[i])
    while True:
        entering = next((j for j, c in enumerate(cost[:-1]) if c < 0), None)
        if deadline.passed:
            return None
        if entering is None:
            mix = [Fraction(0)] * len(cost)
            for i, j in enumerate(basis):
                mix[j] = table[i, -1]
            return -cost[-1], mix[: len(every)]
        column = table[:, entering]
        ratios = [(table[i, -1] / column[i], basis[i], i) for i in range(n + 1) if column[i] > 0]
        if not ratios:
            mix = [Fraction(0)] * len(cost)
            mix[entering] = Fraction(1)
            for i, j in enumerate(basis):
                mix[j] = -column[i]
            return cost[entering], mix[: len(every)]
        _, _, leaving = min(ratios)
        basis[leaving] = entering
        _pivot(table, cost, row=leaving, column=entering)


def _pivot(table: Array, cost: Array, *, row: int, column: int) -> None:
    """The column becomes the row's unit vector, in place."""
    table[row] = table[row] / table[row, column]
    for i in range(len(table)):
        if i != row and table[i, column]:
            table[i] = table[i] - table[i, column] * table[row]
    if cost[column]:
        cost -= cost[column] * table[row]
