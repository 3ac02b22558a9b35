"""What a search that refines layer bounds tells a ``Recorder``, in the recorder's arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from precond.proof.bounds.backward import Multipliers
from precond.proof.bounds.mixtures import Candidates
from precond.proof.engines.refine_split.subdomains import RefinedSubdomains
from precond.proof.trace import Leaves, Recorder, Trace
from precond.region.pattern import Neuron


class RefineRecord:
    """The splits, and how the conjuncts were closed.  A leaf has no bounds of its layers: whoever
    checks it computes them by default slopes.  The first candidates are the inequalities."""

    def __init__(self, candidates: Candidates, limit: float) -> None:
        self.rows, self.weights = candidates.rows, candidates.weights
        self.tree = Recorder(limit)

    def split(self, block: RefinedSubdomains, neurons: Sequence[Neuron], first: int) -> None:
        """Subdomains split at ``neurons``; the first off child has the number ``first``."""
        names, index = [name for name, _ in neurons], np.array([i for _, i in neurons], np.int64)
        self.tree.fix(_array(block.node), names, index, first=first)

    def empty(self, block: RefinedSubdomains, closed: Tensor) -> None:
        """Pairs ``closed`` (G, conjuncts) that layer bounds alone show to have no input."""
        where, conjunct = closed.nonzero(as_tuple=True)
        if len(where):
            self.tree.close(Leaves(_array(block.node[where]), _array(conjunct), empty=True))

    def excluded(
        self, block: RefinedSubdomains, closed: Tensor, value: Tensor, *, used: Multipliers
    ) -> None:
        """Pairs ``closed`` (G, conjuncts), each by the candidate of the largest ``value``
        (G, candidates)."""
        for conjunct in closed.any(0).nonzero().squeeze(1).tolist():
            own = (self.rows.owner == conjunct).nonzero().squeeze(1)
            at = closed[:, conjunct].nonzero().squeeze(1)
            row = own[value[at][:, own].argmax(1)]

            def arrays(
                values: Mapping[str, Tensor], at: Tensor = at, row: Tensor = row
            ) -> dict[str, np.ndarray]:
                count = len(value), value.shape[1], -1
                return {n: _array(v.expand(*count)[at, row]) for n, v in values.items()}

            weights = self.weights[row][:, own[own < self.weights.shape[1]]]
            half = None if used.half is None else arrays({"half": used.half})["half"]
            self.tree.close(
                Leaves(
                    _array(block.node[at]),
                    np.full(len(at), conjunct),
                    _array(weights),
                    alpha=arrays(used.alpha),
                    low=arrays(used.low),
                    high=arrays(used.high),
                    half=half,
                )
            )

    def graft(self, node: int, conjunct: int, trace: Trace | None) -> None:
        """A pair that something else has closed."""
        if trace is not None:
            self.tree.graft(node, conjunct, trace)


def _array(values: Tensor) -> np.ndarray:
    return np.asarray(values.cpu().numpy())
