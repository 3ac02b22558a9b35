"""What a phase search tells a ``Recorder``, in the recorder's arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from precond.proof.bounds.backward import Multipliers, Region
from precond.proof.bounds.layer_record import LayerRecord
from precond.proof.engines.base import Answer
from precond.proof.engines.relu_split.blocks import Subdomains, take
from precond.proof.engines.relu_split.phases import Phases
from precond.proof.gate import excludes
from precond.proof.trace import Leaves, Recorder


class PhaseRecord:
    """``tree``: the splits, and the subdomains that were closed."""

    def __init__(self, phases: Phases, limit: float) -> None:
        self.phases = phases
        self.tree = Recorder(limit)

    def splits(self, block: Subdomains, neuron: Tensor, first: int) -> None:
        """Subdomains split at neurons (G,); the first off child has the number ``first``."""
        names = [self.phases.name_of(n) for n in neuron.tolist()]
        index = np.array([i for _, i in names], dtype=np.int64)
        self.tree.fix(_array(block.node), [name for name, _ in names], index, first=first)

    def empty(self, block: Subdomains, empty: Tensor) -> None:
        """Subdomains that their phases alone leave empty, (G,)."""
        if bool(empty.any()):
            nodes, conjuncts = _array(block.node[empty]), _array(block.conjunct[empty])
            self.tree.close(Leaves(nodes, conjuncts, empty=True))

    def closed(
        self, block: Subdomains, region: Region, found: Multipliers | None, closed: Tensor
    ) -> None:
        """Leaves of the subdomains ``closed`` (k,), by the multipliers ``found``.

        A bound that is positive by its last digits may come out otherwise in another batch:
        then those that the search began with are tried.
        """
        for used in (found, block.start, None):
            closed = self._close(block, region, used, which=closed)

    def _close(
        self, block: Subdomains, region: Region, used: Multipliers | None, which: Tensor
    ) -> Tensor:
        """Record those of ``which`` that ``used`` closes; the others."""
        if not len(which):
            return which
        chosen, own = block.rows(which), take(used, which)
        bound = self.phases.bound(region.take(which), own, chosen.conjunct)
        strict = self.phases.rows.own(chosen.conjunct).strict
        value = torch.where(strict & (bound.value == 0), 1e-300, bound.value)
        best, row = value.nan_to_num(nan=-torch.inf).max(1)
        good = excludes(best).nonzero().squeeze(1)
        for conjunct in torch.unique(chosen.conjunct[good]).tolist():
            at = good[chosen.conjunct[good] == conjunct]
            self.tree.close(
                self._leaves(chosen, own, row, at=at, size=self.phases.rows.size(conjunct))
            )
        return which[best <= 0]

    def _leaves(
        self, block: Subdomains, used: Multipliers | None, row: Tensor, at: Tensor, size: int
    ) -> Leaves:
        """Leaves of the subdomains ``at`` of one conjunct with ``size`` rows, each by its row."""

        def arrays(values: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
            return {n: _array(v.expand(-1, most, -1)[at, row[at]]) for n, v in values.items()}

        most = self.phases.rows.padded.shape[1]
        used = used or Multipliers()
        # Padding repeats the first row.
        weights = torch.nn.functional.one_hot(torch.where(row[at] < size, row[at], 0), size)
        return Leaves(
            _array(block.node[at]),
            _array(block.conjunct[at]),
            _array(weights.to(torch.float64)),
            alpha=arrays(used.alpha),
            low=arrays(used.low),
            high=arrays(used.high),
            half=None if used.half is None else _array(used.half.expand(-1, most, -1)[at, row[at]]),
        )


def _array(values: Tensor) -> np.ndarray:
    return np.asarray(values.cpu().numpy())


def within(record: LayerRecord | None, answer: Answer) -> Answer:
    """An answer whose trace, if it has one, stands behind the bounds at the root."""
    if record is None or answer.trace is None:
        return answer
    return replace(answer, trace=record.around(answer.trace))
