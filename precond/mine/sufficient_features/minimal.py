"""One unit at a time: each unit that is kept has a violator that changes it and free units only,
or a proof that failed.

All units are tried together: at the worst corners with the unit moved too, then by descent,
then by bounds of all boxes in one propagation.  Units that bounds free are freed together as far
as they prove.  What nothing decides is put to the prover, least influential first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from precond.mine.sufficient_features.asking import Inquiry
from precond.mine.sufficient_features.budgeted import weight
from precond.mine.sufficient_features.changes import descend_all, with_each
from precond.mine.sufficient_features.corners import Corners, through, worst_corners
from precond.mine.sufficient_features.question import Array
from precond.mine.sufficient_features.units import Flags
from precond.proof.verdict import Status


class Needed(Enum):
    """Why a unit is kept."""

    VIOLATOR = "violator"
    """An input that changes it and free units only lacks the property."""
    UNPROVED = "no proof"
    """The claim without it was put to the prover and not proved."""
    NOT_ASKED = "not asked"
    """Time ended before."""


@dataclass(eq=False)
class Minimised:
    """``free`` (m,) units; for each unit kept why it is, and its violator where there is one."""

    free: Flags
    why: dict[int, Needed] = field(default_factory=dict)
    violators: dict[int, Array] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return all(why is not Needed.NOT_ASKED for why in self.why.values())


def minimised(inquiry: Inquiry, free: Flags) -> Minimised:
    """``free`` (m,) units that are proved, and more of them while that proves."""
    state = Minimised(free | inquiry.question.still)
    _find_violators(inquiry, state, worst_corners(inquiry.question, state.free))
    _free_by_bounds(inquiry, state)
    order = _order(inquiry, state)
    for unit in order:
        if inquiry.deadline.passed or state.free[unit] or unit in state.violators:
            continue
        _ask(inquiry, state, unit)
    for unit in np.flatnonzero(~state.free).tolist():
        if unit in state.violators:
            state.why[unit] = Needed.VIOLATOR
        else:
            state.why.setdefault(unit, Needed.NOT_ASKED)
    for unit in np.flatnonzero(state.free).tolist():
        state.why.pop(unit, None)
        state.violators.pop(unit, None)
    return state


def _open(state: Minimised) -> Flags:
    """Units that are neither free nor known to be needed."""
    result = ~state.free
    result[list(state.violators)] = False
    result[[unit for unit, why in state.why.items() if why is Needed.UNPROVED]] = False
    return result


def _take(inquiry: Inquiry, state: Minimised, points: Array) -> None:
    """Violators among ``points`` that change one kept unit each."""
    inquiry.pool.add(points)
    kept = ~state.free
    for unit in np.flatnonzero(inquiry.pool.critical(kept)).tolist():
        if unit not in state.violators:
            state.violators[unit] = inquiry.pool.forcing(kept, unit)[0]


def _find_violators(inquiry: Inquiry, state: Minimised, corners: Corners) -> None:
    """Violators that change one kept unit, from ``corners`` of the box of the free ones."""
    question = inquiry.question
    _take(inquiry, state, np.zeros((0, question.x.size)))
    rest = _open(state)
    if not rest.any() or inquiry.deadline.passed:
        return
    sets, tried = with_each(question, corners, state.free, added=rest)
    _take(inquiry, state, tried.points[tried.margin <= 0])
    still = _open(state)[rest]
    if still.any():
        more = descend_all(question, sets[still], tried.points[still], deadline=inquiry.deadline)
        _take(inquiry, state, more.points[more.margin <= 0])


def _from_witness(inquiry: Inquiry, state: Minimised, witness: Array) -> None:
    """A violator for one unit is near to one for others: put its kept unit back, move another."""
    question = inquiry.question
    base = np.where(question.units.features(state.free), witness, question.x)[None]
    row = question.margins(base).argmin(1)
    _find_violators(inquiry, state, through(question, state.free, base, row=row))


def _free_by_bounds(inquiry: Inquiry, state: Minimised) -> None:
    """Free what bounds free, together as far as that proves."""
    while not inquiry.deadline.passed:
        index = np.flatnonzero(_open(state))
        if not len(index):
            return
        sets = np.repeat(state.free[None], len(index), 0)
        sets[np.arange(len(index)), index] = True
        lines = inquiry.lines(sets)
        single = [unit for unit, line in zip(index.tolist(), lines, strict=False) if line.least > 0]
        if not single:
            return
        together = state.free.copy()
        together[single] = True
        (line,) = inquiry.lines(together[None]) or (None,)
        larger = line.subset | state.free if line is not None else state.free
        check = inquiry.lines(larger[None])
        if larger.sum() > state.free.sum() and check and check[0].least > 0:
            state.free = larger
        else:
            state.free = state.free.copy()
            state.free[single[0]] = True
        if len(single) == 1:
            return


def _order(inquiry: Inquiry, state: Minimised) -> list[int]:
    """Open units, the least influential first."""
    index = np.flatnonzero(_open(state))
    if not len(index):
        return []
    corners = worst_corners(inquiry.question, state.free)
    share = weight(corners.room, corners.cost)
    return [int(unit) for unit in index[np.argsort(share[index], kind="stable")]]


def _ask(inquiry: Inquiry, state: Minimised, unit: int) -> None:
    more = state.free.copy()
    more[unit] = True
    verdict = inquiry.ask(more)
    if verdict.is_proved:
        state.free = more
    elif verdict.status is Status.REFUTED and verdict.witness is not None:
        state.violators[unit] = verdict.witness
        _from_witness(inquiry, state, verdict.witness)
    else:
        state.why[unit] = Needed.UNPROVED
