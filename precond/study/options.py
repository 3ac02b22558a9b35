"""Settings of a run of ``precond analyze``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from precond.basics.options import count, option, seconds
from precond.mine.input_preconditions.order import Order
from precond.mine.layer_rules.settings import RuleSettings
from precond.region.radius import FORMS, Radius, radius_option

AUTO = "auto"


def radius(text: str) -> Radius | None:
    """A radius, or None for one that is chosen."""
    if text == AUTO:
        return None
    try:
        return radius_option(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error} (or {AUTO})") from None


@dataclass(frozen=True, kw_only=True)
class Options(RuleSettings):
    """``per_class``: input preconditions wanted for each label.  ``values``: mine value
    thresholds beside decisions.  ``order``: of the literals that an input precondition drops.
    ``support_radius``: of the balls around a layer rule's inputs, None for one that is chosen."""

    budget: float = option(
        120.0,
        "seconds for the whole run: up to 0.3 of it for layer rules, 0.2 for proving them near "
        "data, 0.25 for rules that hold for every input, together at most half; at least half for "
        "input preconditions, the rest for layer rules over the whole domain",
        parse=seconds,
        metavar="SECONDS",
    )
    values: bool = option(value=False, help="mine value thresholds beside on/off decisions")
    per_class: int = option(5, "input preconditions wanted for each class", parse=count)
    support_radius: Radius | None = option(
        value=None,
        help="layer rules are proved in balls of this radius around the inputs that support them: "
        f"{FORMS}",
        parse=radius,
        metavar=f"R|{AUTO}",
        default=f"{AUTO}, the largest at which plain bounds prove nine in ten claims",
    )
    order: Order = option(
        Order.INFLUENCE,
        "which literals of an input precondition go first: those of least influence on the "
        "property's margin, of least multiplier in the proof, with the smallest "
        "|pre-activation|, or by index",
    )
