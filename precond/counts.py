"""The support of a pattern in a run's data: how many inputs satisfy it, and how often rightly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precond.analysis import Data
from precond.goals import Goal
from precond.mine.support import wilson
from precond.proof.precondition import Support
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures


def support_of(
    pattern: DecisionPattern,
    label: int,
    box: Box,
    *,
    data: Data,
    flat: NDArray[np.float64],
    signatures: Signatures,
    goal: Goal,
) -> Support:
    """Support among the inputs the claim is about: those in its ``box``.  ``flat`` (N, n)."""
    inside = pattern.holds(signatures) & box.contains(flat)
    carries = goal.labels == label
    held, train = inside[data.held_out], inside[data.train]
    hits = int((held & carries[data.held_out]).sum())
    total = int(carries[data.held_out].sum())
    covered = int(held.sum())
    return Support(
        int(train.sum()),
        covered,
        hits / covered if covered else None,
        hits / total if total else None,
        wilson(hits, covered) if covered else None,
        wilson(hits, total) if total else None,
        float(carries[data.train][train].mean()) if train.any() else None,
    )
