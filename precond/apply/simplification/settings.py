"""``SimplifySettings``: what the search for fixed neurons may cost, and whether to merge."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import option, seconds
from precond.proof.effort import Effort


@dataclass(frozen=True, kw_only=True)
class SimplifySettings(Effort):
    """``each``: for the proof that one neuron is fixed.  ``merge``: also merge what makes new
    weights, whose rounding moves the outputs by at most a proved bound."""

    budget: float = option(
        60.0,
        "seconds for the proofs that neurons are fixed",
        parse=seconds,
        metavar="SECONDS",
    )
    each: float = option(
        2.0, "seconds for the proof that one neuron is fixed", parse=seconds, metavar="SECONDS"
    )
    merge: bool = False
