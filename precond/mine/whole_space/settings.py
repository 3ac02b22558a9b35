"""``Search``: settings of the search for patterns over a whole domain."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import count, option, seconds, share
from precond.proof.effort import Effort


@dataclass(frozen=True, kw_only=True)
class Search(Effort):
    """``budget``: seconds for all classes of a run; the search for one is given its deadline.
    ``worst``: largest share of the class that one literal may shut out.  ``rounds``: of
    propose, attack, prove.  ``patterns``: at most so many for a class.  ``least``: smallest
    number of inputs a further pattern must add.  ``enough``: training recall at which a run tries
    no further cut.  ``picture``: (H, W) or (C, H, W) of an input; pictures moved by one pixel
    then count too where literals of the whole network are weighed (``shifts``).
    """

    budget: float = option(
        600.0, "seconds for all classes together", parse=seconds, metavar="SECONDS"
    )
    each: float = option(3.0, "seconds for one proof", parse=seconds, metavar="SECONDS")
    worst: float = option(0.1, "share of a class that one literal may shut out", parse=share)
    rounds: int = 300
    patterns: int = option(4, "patterns for a class at most", parse=count, name="per_class")
    least: int = 3
    enough: float = option(0.9, "training recall at which no other cut is tried", parse=share)
    picture: tuple[int, ...] | None = None
