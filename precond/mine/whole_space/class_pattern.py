"""The pattern of one class that a search returns, with its proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.mine.whole_space.candidates import Flags
from precond.mine.whole_space.settings import Search as Search
from precond.proof.verdict import Verdict
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassPattern:
    """A pattern with its proof.

    ``verdict`` is that of the whole claim, reached through the tail after ``cut``.
    ``inside`` (N,): which of the class's inputs satisfy the pattern.  ``rounds`` of the
    search, ``proofs`` asked and ``seconds`` spent; ``witnesses`` (k, m): counterexamples met,
    as values of the cut layer.
    """

    pattern: DecisionPattern
    verdict: Verdict
    cut: str
    inside: Flags
    rounds: int
    proofs: int
    seconds: float
    witnesses: Array
