"""``Training``: how the weighted rules of a fast path are learned."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import count, option
from precond.basics.options import seed as whole_seed

ROWS = 400_000  # inputs seen in all
MAX_LOSS = 0.1  # percentage points of accuracy that may be lost


@dataclass(frozen=True, kw_only=True)
class Training:
    """How votes are learned: ``rules`` weighted rules over ``levels`` decisions a neuron,
    ``rows`` inputs seen in all, pictures moved by up to ``shift`` pixels, everything drawn with
    ``seed``."""

    rules: int = option(64, "weighted rules at each exit", parse=count, name="size", metavar="H")
    rows: int = ROWS
    levels: int = 1
    rate: float = 2e-3
    shift: int = option(0, "learn on pictures moved so far", parse=int, metavar="PIXELS")
    seed: int = option(0, "of everything that is drawn", parse=whole_seed, metavar="N")
