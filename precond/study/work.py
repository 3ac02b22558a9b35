"""``Work``: what the parts of a run share, and the support of a pattern in its data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from precond.basics.progress import Progress
from precond.network.graph import Network
from precond.proof.precondition import Support
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures
from precond.study.analysis import Data, Domain
from precond.study.counts import support_of
from precond.study.goals import Goal
from precond.study.options import Options
from precond.workers.pool import Pool


@dataclass(frozen=True, eq=False)
class Work:
    """``signatures`` covers all rows of ``data.inputs``, over all decision layers."""

    network: Network
    data: Data
    domain: Domain
    signatures: Signatures
    goal: Goal
    options: Options
    pool: Pool
    progress: Progress

    @cached_property
    def flat(self) -> NDArray[np.float64]:
        """The inputs, (N, n)."""
        return np.asarray(self.data.inputs).reshape(len(self.data.inputs), -1)

    def support(self, pattern: DecisionPattern, label: int, box: Box) -> Support:
        """Support among the inputs in ``box``."""
        return support_of(pattern, label, self.goal, self.signatures, self.data, box)
