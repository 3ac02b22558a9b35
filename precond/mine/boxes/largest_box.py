"""Under-approximation boxes: the largest box inside a closed pattern's polytope around X.

A box [l, u] lies in ``A x ≤ b`` iff ``A⁺ u − A⁻ l ≤ b`` (A = A⁺ − A⁻), which is linear in its
corners; X inside means ``l ≤ X ≤ u``.  The sum of widths gives thin boxes, so it is
followed by a few linear programs that maximise the linearised ``Σ log(width + ε)``.
A pattern with too many rows for that gets the largest box of its domain's shape: the domain drawn
towards X by one factor, which is a minimum over the rows.
Containment is then re-checked by rigorous bounds; the box is drawn towards X until it is.

Source: Gopinath et al. 2019, section 4 (under-approximation boxes).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.optimize import linprog

from precond.basics.arguments import numbers, require_kind
from precond.errors import QueryError
from precond.network.graph import Network
from precond.network.operators import operators
from precond.proof.bounds.region import refine
from precond.proof.deadline import FOREVER, Deadline
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.polytope import Polytope, polytope

Array = NDArray[np.float64]
LONGEST = 1e6  # seconds
LARGE = 5_000_000  # numbers in the rows, from which no linear program is solved


def underapproximation_box(
    network: Network,
    pattern: DecisionPattern,
    point: ArrayLike,
    domain: Box,
    *,
    rounds: int = 3,
    deadline: Deadline = FOREVER,
) -> Box:
    """A large box inside ``pattern`` ∩ ``domain`` that contains ``point`` (n,).

    ``rounds``: linear programs after the first, for the logarithms.  QueryError if the
    pattern is not closed, ``point`` is not in the region, or there is no time for it.
    """
    require_kind("network", network, Network, fix="load(model) gives one")
    require_kind("pattern", pattern, DecisionPattern)
    require_kind("domain", domain, Box, fix="Box(lower, upper) makes one")
    x = numbers("point", point).reshape(-1)
    if x.size != domain.size:
        raise QueryError("point", expected=f"{domain.size} values", got=str(x.size))
    if deadline.passed:
        raise QueryError("under-approximation box", expected="time to make one", got="none left")
    region = polytope(network, pattern)
    if not bool(domain.contains(x[None])[0]) or not bool(region.contains(x[None], 1e-9)[0]):
        raise QueryError(
            "under-approximation box", expected="a point of the region", got="one outside it"
        )
    if region.matrix.size > LARGE:
        box = _drawn(region, x, domain)
    else:
        box = _largest(
            region.matrix, region.bound, x, domain=domain, rounds=rounds, deadline=deadline
        )
    for _ in range(60):
        if deadline.passed:
            break
        if implies_pattern(network, box, pattern):
            return box
        box = Box(x + (box.lower - x) * 0.98, x + (box.upper - x) * 0.98)
    point_box = Box(x, x)
    if implies_pattern(network, point_box, pattern):
        return point_box
    raise QueryError(
        "under-approximation box",
        expected="a point strictly inside the pattern",
        got="one within rounding of its border",
        fix="Take another input",
    )


def implies_pattern(network: Network, box: Box, pattern: DecisionPattern) -> bool:
    """Whether rigorous bounds show that every input of ``box`` satisfies ``pattern``'s closure."""
    ops = operators(network, "cpu", torch.float64)
    lower, upper = torch.tensor(box.lower)[None], torch.tensor(box.upper)[None]
    with torch.no_grad():
        bounds = refine(ops, lower, upper).bounds
    for layer, (low, high) in pattern.intervals(network).items():
        least, most = (bound[0].numpy() for bound in bounds[layer])
        if not ((least >= low).all() and (most <= high).all()):  # NaN proves nothing
            return False
    return True


def _drawn(region: Polytope, x: Array, domain: Box) -> Box:
    """The domain drawn towards ``x`` by the largest factor at which no row is violated."""
    above, below = domain.upper - x, x - domain.lower
    reach = np.maximum(region.matrix, 0) @ above + np.maximum(-region.matrix, 0) @ below
    slack = np.maximum(region.bound - region.matrix @ x, 0.0)
    factor = min(1.0, np.divide(slack, reach, out=np.ones_like(slack), where=reach > 0).min())
    if factor <= 0:
        ties = int(((slack <= 0) & (reach > 0)).sum())
        raise QueryError(
            "under-approximation box",
            expected="a point strictly inside the pattern",
            got=f"one on the border of {ties} of its {len(slack)} literals",
            fix="Drop these literals, such as comparisons of equal entries of a max-pool",
        )
    return Box(x - factor * below, x + factor * above)


def _largest(
    matrix: Array, bound: Array, x: Array, domain: Box, rounds: int, deadline: Deadline
) -> Box:
    size = x.size
    scale = np.abs(matrix).max(axis=1, initial=0.0)
    used = scale > 0
    rows, limits = matrix[used] / scale[used, None], bound[used] / scale[used]
    # Rows that no corner of the domain can violate are redundant.
    worst = np.maximum(rows, 0) @ domain.upper + np.minimum(rows, 0) @ domain.lower
    needed = worst > limits
    rows, limits = rows[needed], limits[needed]
    slack = np.maximum(limits - rows @ x, 0.0)
    # In widths from x: p = u − x, q = x − l, both ≥ 0:  A⁺ p + A⁻ q ≤ b − A x.
    system = sparse.csr_matrix(np.hstack([np.maximum(rows, 0), np.maximum(-rows, 0)]))
    room = np.concatenate([domain.upper - x, x - domain.lower])
    spread = np.maximum(domain.width, 1e-12)
    weight = 1.0 / np.concatenate([spread, spread])
    step = np.zeros(2 * size)
    for _ in range(rounds + 1):
        if deadline.passed:
            break
        solved = linprog(
            -weight,
            A_ub=system if len(rows) else None,
            b_ub=slack if len(rows) else None,
            bounds=np.stack([np.zeros(2 * size), room], axis=1),
            method="highs",
            options={"time_limit": min(deadline.left, LONGEST)},
        )
        if solved.x is None:
            break
        target = np.clip(solved.x, 0.0, room)
        step = target if not step.any() else 0.5 * step + 0.5 * target
        width = (step[:size] + step[size:]) / spread
        gain = 1.0 / (width + 0.02) / spread
        weight = np.concatenate([gain, gain])
    lower = np.maximum(x - step[size:], domain.lower)
    upper = np.minimum(x + step[:size], domain.upper)
    return Box(np.minimum(lower, x), np.maximum(upper, x))
