"""``RobustnessSettings``: which balls are looked at, and what that may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from precond.basics.options import option, seconds
from precond.proof.effort import Effort
from precond.region.radius import FORMS, Radius, radius_option

if TYPE_CHECKING:
    from precond.region.value_ranges import ValueRanges


@dataclass(frozen=True, kw_only=True)
class RobustnessSettings(Effort):
    """``radii``: of the L∞ balls, numbers or all of them shares of ranges.  ``natural``: the range
    of one value, or of each, that balls are cut to (None: they are not cut).  ``each``: for one
    ball in the complete prover."""

    radii: tuple[Radius | float, ...] = option(
        (Radius(0.02, of_range=True),),
        f"of the L∞ balls, one or more: {FORMS}",
        parse=radius_option,
        name="radius",
        nargs="+",
        metavar="R",
    )
    natural: ValueRanges | tuple[float, float] | None = None
    budget: float = option(
        120.0,
        "seconds for all balls, or all properties, together",
        parse=seconds,
        metavar="SECONDS",
    )
    each: float = option(
        5.0, "seconds for one ball in the complete prover", parse=seconds, metavar="SECONDS"
    )
