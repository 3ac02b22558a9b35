"""``RobustnessSettings``: which balls are looked at, and what that may cost."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import option, positive, seconds
from precond.proof.effort import Effort


@dataclass(frozen=True, kw_only=True)
class RobustnessSettings(Effort):
    """``radii``: of the L∞ balls.  ``natural``: the range of one value that balls are cut to
    (None: they are not cut).  ``each``: for one ball in the complete prover."""

    radii: tuple[float, ...] = option(
        (0.02,), "of the L∞ balls, one or more", parse=positive, name="radius", nargs="+"
    )
    natural: tuple[float, float] | None = None
    budget: float = option(
        120.0,
        "seconds for all balls, or all properties, together",
        parse=seconds,
        metavar="SECONDS",
    )
    each: float = option(
        5.0, "seconds for one ball in the complete prover", parse=seconds, metavar="SECONDS"
    )
