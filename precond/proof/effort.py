"""``Effort``: what a run may cost, and what its chance depends on.

The settings of every use that proves claims are an ``Effort`` with fields and defaults of
their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import option, seconds, seed


@dataclass(frozen=True, kw_only=True)
class Effort:
    """``budget``: seconds in all.  ``each``: seconds for one proof at most.  ``device``: cpu or
    cuda.  ``seed``: of everything that is drawn."""

    budget: float = option(60.0, "seconds for everything", parse=seconds, metavar="SECONDS")
    each: float = option(5.0, "seconds for one proof", parse=seconds, metavar="SECONDS")
    device: str = option("cpu", "where tensors are computed", choices=("cpu", "cuda"))
    seed: int = option(0, "of everything that is drawn", parse=seed, metavar="N")
