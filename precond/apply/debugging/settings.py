"""``DebugSettings``: what looking into wrong predictions may cost, and which of them."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import count, option, seconds
from precond.mine.layer_rules.settings import RuleSettings
from precond.region.radius import FORMS, Radius, radius_option


@dataclass(frozen=True, kw_only=True)
class DebugSettings(RuleSettings):
    """``radius``: of the ball around a wrong input that is tried first.  ``findings``: wrong
    inputs examined one by one."""

    budget: float = option(
        120.0,
        "seconds for everything: up to half for rules, the rest for what the wrong inputs rest on",
        parse=seconds,
        metavar="SECONDS",
    )
    each: float = 2.0
    radius: Radius | float = option(
        Radius(0.1, of_range=True),
        f"of the ball around a wrong input that is tried first (halved until it proves): {FORMS}",
        parse=radius_option,
        metavar="R",
    )
    findings: int = option(500, "at most so many pages", parse=count, name="pages")
