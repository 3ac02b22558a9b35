"""``InputPrecondition``: what relaxation made of one input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from precond.mine.input_preconditions.units import Size
from precond.proof.verdict import Verdict
from precond.region.pattern import DecisionPattern, Neuron

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class InputPrecondition:
    """What relaxation made of one input.

    ``pattern`` is None when the full signature did not prove; ``verdict`` is then that
    claim's.  ``layer``: where whole layers stopped being free ("" if none is constrained).
    ``proofs``: claims put to the prover, and times that a bisection of its own was begun or
    opened again; ``batches``: propagations and searches over many patterns at once.
    ``minimal``: every single drop at ``layer`` was refuted, or failed to prove from a pattern
    with at least as many literals; False when time ran out before.
    ``witnesses``: per neuron of ``layer`` an input (n,) without the property that only this
    literal excludes, where one is known (core-guided); exact arithmetic has confirmed it.
    ``size``: of a pattern relaxed by units, the smallest in which it is minimal, None if in none;
    ``by_units`` says whether it was; ``out_of_time``: whether there was too little to prove it;
    ``essential``: seconds without which it would not have been proved.
    """

    pattern: DecisionPattern | None
    verdict: Verdict
    layer: str
    proofs: int
    minimal: bool
    batches: int = 0
    witnesses: Mapping[Neuron, Array] = field(default_factory=dict)
    by_units: bool = False
    size: Size | None = None
    out_of_time: bool = False
    essential: float = 0.0

    @property
    def unfinished(self) -> str:
        """What was not tried, in words; "" where every single drop was."""
        if self.minimal or self.pattern is None:
            return ""
        if not self.by_units:
            return "time ran out before every drop was tried"
        if self.size is None:
            return "time ran out before every layer was tried alone"
        sizes = list(Size)
        smaller = sizes[sizes.index(self.size) + 1]
        done = "no layer" if self.size is Size.LAYER else f"none of its {self.size.value}"
        return f"{done} can be dropped; time ran out among its {smaller.value}"
