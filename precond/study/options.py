"""Settings of a run of ``precond analyze``."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import count, option, seconds
from precond.mine.input_preconditions.order import Order
from precond.mine.layer_rules.settings import RuleSettings


@dataclass(frozen=True, kw_only=True)
class Options(RuleSettings):
    """``per_class``: input preconditions wanted for each label.  ``values``: mine value
    thresholds beside decisions.  ``order``: of the literals that an input precondition drops."""

    budget: float = option(
        120.0,
        "seconds for the whole run: up to 0.3 of it for layer rules, 0.75 for input "
        "preconditions, the rest for proofs of layer rules",
        parse=seconds,
        metavar="SECONDS",
    )
    values: bool = option(False, "mine value thresholds beside on/off decisions")
    per_class: int = option(5, "input preconditions wanted for each class", parse=count)
    order: Order = option(
        Order.INFLUENCE,
        "which literals of an input precondition go first: those of least influence on the "
        "property's margin, of least multiplier in the proof, with the smallest "
        "|pre-activation|, or by index",
    )
