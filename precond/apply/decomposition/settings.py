"""``DecompositionSettings``: what a proof in two halves may cost."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import option, seconds
from precond.proof.effort import Effort


@dataclass(frozen=True, kw_only=True)
class DecompositionSettings(Effort):
    """``budget``: seconds for a claim, or for all claims of a query together.  ``direct``: prove
    each whole too, within another ``budget``, for comparison."""

    budget: float = option(
        60.0,
        "seconds for each query; the whole proof beside it may take as long again",
        parse=seconds,
        metavar="SECONDS",
    )
    direct: bool = False
