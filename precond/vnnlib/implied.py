"""Bounds of inputs that follow from linear constraints, for inputs that have none of their own.

First constraint by constraint, from the bounds that are known.  More may follow from several
together: ``x + y ≤ 1`` and ``x − y ≤ 1`` give ``x ≤ 1``.  A linear program finds which; the
multipliers are then solved for over the rationals, so that the bound is one that truly follows:
``x = Σ λ_k a_k·x ≤ Σ λ_k b_k`` with all ``λ_k ≥ 0``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from precond.network.graph import INPUT
from precond.vnnlib.formula import Atom
from precond.vnnlib.sort import Cell, TightestBounds

Row = tuple[dict[int, Fraction], Fraction]
"""Factors a by input, and b, of ``a·x ≤ b``."""
LARGEST = 500  # constraints and inputs of a linear program
TINY = 1e-9


def imply_bounds(bounds: TightestBounds, linear: Sequence[Atom], inputs: int) -> None:
    """Enters bounds of the inputs that lack one, as far as they follow from ``linear``."""
    every = range(inputs)
    lacking = [(i, 1) for i in every if (INPUT, i) not in bounds.upper]
    lacking += [(i, -1) for i in every if (INPUT, i) not in bounds.lower]
    if not linear or not lacking:
        return
    rows = [_row(atom) for atom in linear]
    rows += [({i: Fraction(1)}, v) for (n, i), (v, _) in bounds.upper.items() if n == INPUT]
    rows += [({i: Fraction(-1)}, -v) for (n, i), (v, _) in bounds.lower.items() if n == INPUT]
    _propagate(bounds, linear)
    if max(len(linear), inputs) > LARGEST:
        return
    for i, sign in lacking:
        limit = _limit(rows, {i: Fraction(sign)}, inputs)
        if limit is not None and sign > 0:
            bounds.at_most((INPUT, i), limit, strict=False)
        elif limit is not None:
            bounds.at_least((INPUT, i), -limit, strict=False)


def _propagate(bounds: TightestBounds, linear: Sequence[Atom]) -> None:
    """From ``c_j x_j + Σ c_i x_i + k ≤ 0``: ``c_j x_j ≤ −k − min Σ c_i x_i`` over known bounds."""
    changed = True
    while changed:
        changed = False
        for atom in linear:
            for cell, factor in atom.terms:
                mine = bounds.upper if factor > 0 else bounds.lower
                if cell in mine:
                    continue
                least = _least(bounds, atom, cell)
                if least is not None:
                    mine[cell] = ((-atom.constant - least) / factor, False)
                    changed = True


def _least(bounds: TightestBounds, atom: Atom, cell: Cell) -> Fraction | None:
    """The least that the other terms add up to; None where one has no bound."""
    total = Fraction(0)
    for other, factor in atom.terms:
        if other != cell:
            side = bounds.lower if factor > 0 else bounds.upper
            if other not in side:
                return None
            total += factor * side[other][0]
    return total


def _row(atom: Atom) -> Row:
    return {index: factor for (_, index), factor in atom.terms}, -atom.constant


def _limit(rows: Sequence[Row], goal: dict[int, Fraction], inputs: int) -> Fraction | None:
    """An upper bound of ``goal·x`` over the rows; None where none is found."""
    active = _active(rows, goal, inputs)
    shares = _solved([rows[k][0] for k in active], goal, inputs)
    if shares is None or any(share < 0 for share in shares):
        return None
    return sum((s * rows[k][1] for s, k in zip(shares, active, strict=True)), Fraction(0))


def _active(rows: Sequence[Row], goal: dict[int, Fraction], inputs: int) -> list[int]:
    """The rows that a linear program in floats takes; none where it has no solution."""
    from scipy.optimize import linprog  # few queries need it, and it takes long to import

    matrix = np.zeros((inputs, len(rows)))
    try:
        for k, (factors, _) in enumerate(rows):
            for i, factor in factors.items():
                matrix[i, k] = float(factor)
        limits = [float(b) for _, b in rows]
    except OverflowError:  # numbers that no float holds
        return []
    wanted = np.array([float(goal.get(i, Fraction(0))) for i in range(inputs)])
    found = linprog(limits, A_eq=matrix, b_eq=wanted, method="highs-ds")
    return [] if found.x is None else [k for k, value in enumerate(found.x) if value > TINY]


def _solved(
    columns: Sequence[dict[int, Fraction]], goal: dict[int, Fraction], inputs: int
) -> list[Fraction] | None:
    """Rationals λ with ``Σ λ_k columns[k] = goal``, free ones 0; None where there are none."""
    zero = Fraction(0)
    places = [i for i in range(inputs) if i in goal or any(i in column for column in columns)]
    table = [[*(c.get(i, zero) for c in columns), goal.get(i, zero)] for i in places]
    pivots: list[int] = []
    for k in range(len(columns)):
        start = len(pivots)
        at = next((r for r in range(start, len(table)) if table[r][k] != 0), None)
        if at is None:
            continue
        table[start], table[at] = table[at], table[start]
        table[start] = [value / table[start][k] for value in table[start]]
        for r, row in enumerate(table):
            if r != start and row[k] != 0:
                table[r] = [a - row[k] * b for a, b in zip(row, table[start], strict=True)]
        pivots.append(k)
    if any(row[-1] != 0 for row in table[len(pivots) :]):
        return None
    shares = [zero] * len(columns)
    for r, k in enumerate(pivots):
        shares[k] = table[r][-1]
    return shares
