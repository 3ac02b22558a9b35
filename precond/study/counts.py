"""The support of a pattern in a run's data: how many inputs satisfy it, and how often rightly."""

from __future__ import annotations

import numpy as np

from precond.mine.support import wilson
from precond.proof.precondition import Support
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures
from precond.study.analysis import Data
from precond.study.goals import Goal


def support_of(
    pattern: DecisionPattern,
    label: int,
    goal: Goal,
    signatures: Signatures,
    data: Data,
    box: Box,
    *,
    recalled: Box | None = None,
) -> Support:
    """Support of a pattern among the inputs that its claim is about: those in ``box``.

    Recall is a share of the label's inputs: of all, or of those in the box ``recalled``.
    """
    flat = np.asarray(data.inputs).reshape(len(data.inputs), -1)
    inside = pattern.holds(signatures) & box.contains(flat)
    carries = goal.labels == label
    wanted = carries if recalled is None else carries & recalled.contains(flat)
    held, train = inside[data.held_out], inside[data.train]
    hits = int((held & carries[data.held_out]).sum())
    total = int(wanted[data.held_out].sum())
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
