"""Queries of many input boxes: most are closed in one pass, the rest one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from precond.network.graph import Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.deadline import FOREVER
from precond.proof.verdict import Status
from precond.vnnlib.read import parse_vnnlib
from precond.vnnlib.solution import Solution, solve
from precond.vnnlib.standard import Result

HEAD = "(declare-const X_0 Real)(declare-const Y_0 Real)"


def tent() -> Network:
    """y = |x|."""
    nodes = (
        Node("fc", Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), ("input",)),
        Node("relu", ReLU(), ("fc",)),
        Node("out", Affine(np.array([[1.0, 1.0]]), np.zeros(1)), ("relu",)),
    )
    return Network(nodes, (1,))


def ask(violations: Sequence[tuple[float, float, float]], exact: bool = False) -> Solution:
    """Whether y > limit for some x in [low, high], of the triples (low, high, limit)."""
    parts = "".join(
        f"(and (>= X_0 {low}) (<= X_0 {high}) (> Y_0 {limit}))" for low, high, limit in violations
    )
    query = parse_vnnlib(f"{HEAD}(assert (or {parts}))", tent())
    solution = solve(query, FOREVER, exact=exact)
    if solution.witness is not None:
        x = Fraction(float(solution.witness[0]))
        assert query.admits(solution.witness)
        assert any(Fraction(a) <= x <= Fraction(b) and abs(x) > t for a, b, t in violations)
    return solution


def strips(count: int) -> list[tuple[float, float, float]]:
    """[k, k + 1] with the limit k + 2, which holds."""
    return [(float(k), k + 1.0, k + 2.0) for k in range(count)]


def test_all_hold() -> None:
    solution = ask(strips(300))
    assert solution.result is Result.UNSAT
    assert Counter(v.engine for v in solution.verdicts.values()) == {"bounds": 300}


@pytest.mark.parametrize("place", [0, 1, 150, 299])
def test_one_does_not_hold(place: int) -> None:
    violations = strips(300)
    violations[place] = (float(place), place + 1.0, place + 0.25)
    assert ask(violations).result is Result.SAT


def test_what_bounds_leave_goes_to_engines() -> None:
    """|x| ≤ 1 over [−1, 1] is open for one pass with a strict limit of no room; it holds."""
    solution = ask([*strips(300), (-1.0, 1.0, 1.0)])
    assert solution.result is Result.UNSAT
    assert solution.verdicts[300].status is Status.PROVED
    assert len(solution.verdicts) == 301


def test_a_violation_at_one_point_only() -> None:
    """|x| > 1 − 2⁻⁵⁰ needs the corner."""
    solution = ask([*strips(40), (-1.0, 0.5, 1.0 - 2.0**-50)])
    assert solution.result is Result.SAT


def test_a_point_that_the_decimals_exclude_is_no_answer() -> None:
    """x ≤ 0.1 is read as x ≤ the next float above, at which |x| > 0.1; the decimals say never."""
    parts = "".join(f"(and (>= X_0 {k}) (<= X_0 {k}.1) (> Y_0 {k}.1))" for k in range(20))
    query = parse_vnnlib(f"{HEAD}(assert (or {parts}))", tent())
    solution = solve(query, FOREVER)
    assert solution.witness is None
    assert solution.result in {Result.UNKNOWN, Result.UNSAT}


def test_each_has_its_certificate() -> None:
    solution = ask(strips(12), exact=True)
    assert solution.result is Result.UNSAT
    assert all(verdict.certificate is not None for verdict in solution.verdicts.values())
