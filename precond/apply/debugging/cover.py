"""Which conditions are causes: one greedy cover, one score, whatever kind a condition is of.

The score of a condition is how much it says about errors that no earlier cause explains, in bits:

    new · weight · log₂ min(lift, share / usual) − log₂ tried

- *new*: errors of the finding half that meet it and that no cause explains yet, less those that the
  condition was fitted to (the centre of a cluster, the error that a limit was put at);
- *weight*: 1 for an edit that mends more errors than it breaks right predictions, as what it mends
  is thereby shown to come from there; ½ for all else;
- *lift*: how many times more common the condition is among errors than among right inputs
  (``Count.lift``), so what right inputs have as well, or what an edit breaks, says little;
- *share*: of the finding half's errors that meet it, and *usual* the mean of this over its like
  (all units of a layer, all classes), as an input near a border is tipped over by many a unit;
- *tried*: conditions of its kind that were looked at, as among many some fit errors by chance.

The condition of largest score is the next cause, as long as it explains two errors or more.  Causes
end with the first score that is not positive, but not before there are ``FIRST``: what is said
then could be chance (``Cause.weak``), and the other half of the errors tells.  A condition that all
errors of an earlier cause meet is that cause said more widely, and no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.cases import Cases, Flags
from precond.apply.debugging.conditions import Condition, SwitchedUnit, UsualRegion

Array = NDArray[np.float64]
MOST = 20  # causes
FIRST = 5  # of them are looked at more closely
LEAST = 2  # errors that a cause explains
TWICE = 0.5  # bits of an error at least: twice as common among errors, at that weight
MET_WITH = 0.5  # weight of a condition that is no edit, or one that breaks more than it mends


@dataclass(frozen=True, eq=False)
class PossibleCause:
    """A ``condition``, the cases (M,) that meet it, and how many of its kind were ``tried``.

    ``usual``: the mean share of the finding half's errors that meet one of its like (0: it has no
    like).  ``fitted``: errors that meet it because it was made of them."""

    condition: Condition
    inside: Flags
    tried: int
    usual: float = 0.0
    fitted: int = 0


@dataclass(frozen=True, eq=False)
class Covered:
    """A candidate that was chosen, its score in bits, and the cases (M,) that it explains and no
    earlier one does: errors of both halves."""

    candidate: PossibleCause
    bits: float
    explained: Flags


def cover(candidates: Sequence[PossibleCause], cases: Cases) -> tuple[Covered, ...]:
    """Causes, the one that says most first."""
    if not candidates:
        return ()
    wrong = cases.wrong & cases.finding
    errors = np.array([c.inside[wrong] for c in candidates])
    tried = np.array([c.tried for c in candidates], dtype=np.float64)
    fitted = np.array([c.fitted for c in candidates])
    each = np.array([_bits(c, cases) for c in candidates])
    left, unexplained = np.ones(int(wrong.sum()), dtype=np.bool_), cases.wrong.copy()
    wider = np.zeros(len(candidates), dtype=np.bool_)
    chosen: list[Covered] = []
    while len(chosen) < MOST:
        new = (errors & left).sum(axis=1)
        may = (new >= LEAST) & (each >= TWICE) & ~wider
        bits = np.where(may, (new - fitted) * each - np.log2(tried), -np.inf)
        best = int(bits.argmax())
        if not may[best] or (bits[best] <= 0 and len(chosen) >= FIRST):
            break
        explained = candidates[best].inside & unexplained
        chosen.append(Covered(candidates[best], float(bits[best]), explained))
        left &= ~errors[best]
        wider |= (errors | ~errors[best]).all(axis=1)
        unexplained &= ~explained
    return tuple(chosen)


def _bits(candidate: PossibleCause, cases: Cases) -> float:
    """What one error says that meets the condition."""
    count = cases.count(candidate.inside, cases.finding)
    count = replace(count, errors=max(0, count.errors - candidate.fitted))
    times = count.lift
    if candidate.usual:
        times = min(times, count.errors / count.of_errors / candidate.usual)
    mends = isinstance(candidate.condition, SwitchedUnit | UsualRegion) and count.net > 0
    weight = 1.0 if mends else MET_WITH
    return float(weight * np.log2(max(times, 1e-12)))
