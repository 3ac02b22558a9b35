"""Violators of one box: its worst corners, then descent from these and from earlier violators."""

from __future__ import annotations

import numpy as np

from precond.mine.sufficient_features.asking import Inquiry
from precond.mine.sufficient_features.changes import descend_all
from precond.mine.sufficient_features.corners import Corners
from precond.mine.sufficient_features.question import Array
from precond.mine.sufficient_features.units import Flags

STARTS = 16  # violators of other sets that an attack starts from


def attacked(inquiry: Inquiry, free: Flags, corners: Corners, *, most: int) -> Array:
    """Violators (k, n) of the box of ``free`` (m,) units, k ≤ ``most``, those first that violate
    most; ``corners`` are the box's."""
    question = inquiry.question
    low = np.flatnonzero(corners.margin < 0)
    if len(low):
        return corners.points[low[np.argsort(corners.margin[low], kind="stable")[:most]]]
    pool = inquiry.pool.points[-STARTS:]
    nearest = np.where(question.units.features(free), pool, question.x)
    middle = (question.x + corners.points) / 2
    starts = np.concatenate([corners.points, middle, nearest])
    tried = descend_all(
        question, np.repeat(free[None], len(starts), 0), starts, deadline=inquiry.deadline
    )
    order = np.argsort(tried.margin, kind="stable")[:most]
    return tried.points[order[tried.margin[order] < 0]]
