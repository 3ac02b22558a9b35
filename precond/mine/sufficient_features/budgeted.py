"""The largest set of units that costs no more than there is, for several budgets at once.

A linear bound of each rival's margin gives it a ``room`` (the margin when nothing moves) and
each unit a worst ``cost``.  Units may be freed together while for every rival the costs sum up
to less than the room: a knapsack with one constraint a rival, in which every unit is worth the
same.  Its linear relaxation has at most as many fractional units as there are rivals, so
rounding it down and filling up loses next to nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from precond.mine.sufficient_features.units import Flags

Array = NDArray[np.float64]
SAFE = 1e-9  # share of a room that is left to rounding


def largest_set(room: Array, cost: Array, allowed: Flags) -> Flags:
    """As many of the ``allowed`` (m,) units as ``room`` (R,) and ``cost`` (R, m) ≥ 0 let be
    freed; none where a room is not positive."""
    chosen = np.zeros(len(allowed), dtype=np.bool_)
    index = np.flatnonzero(allowed)
    if not len(index) or not (np.isfinite(room).all() and (room > 0).all()):
        return chosen
    if not np.isfinite(cost[:, index]).all():
        return chosen
    share = cost[:, index] / (room * (1 - SAFE))[:, None]
    bounding = share.sum(1) > 1
    if not bounding.any():
        chosen[index] = True
        return chosen
    share = share[bounding]
    order = np.argsort(share.max(0), kind="stable")
    taken = np.zeros(len(index), dtype=np.bool_)
    if len(share) > 1:
        solved = linprog(-np.ones(len(index)), A_ub=share, b_ub=np.ones(len(share)), bounds=(0, 1))
        if solved.x is not None:
            taken = solved.x > 1 - 1e-9
            order = np.argsort(-solved.x + 1e-6 * share.max(0), kind="stable")
    left = 1 - share[:, taken].sum(1)
    if (left < 0).any():
        taken[:] = False
        left = np.ones(len(share))
    for place in order[~taken[order]].tolist():
        if (share[:, place] <= left).all():
            taken[place] = True
            left = left - share[:, place]
    chosen[index[taken]] = True
    return chosen


def weight(room: Array, cost: Array) -> Array:
    """How much of the scarcest room each unit takes, (m,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = cost / np.maximum(room, 1e-300)[:, None]
    return np.asarray(share.max(0, initial=0.0))
