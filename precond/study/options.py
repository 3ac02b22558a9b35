"""Settings of a run."""

from __future__ import annotations

from dataclasses import dataclass

from precond.mine.input_preconditions.relax import Order


@dataclass(frozen=True)
class Options:
    """Settings of a run.

    ``budget``: seconds in all.  ``each``: seconds for one proof.  ``per_class``: input
    preconditions wanted for each label.  ``minimum_precision``/``minimum_support``: of layer
    rules on training data.  ``values``: mine value thresholds beside decisions.
    """

    budget: float = 120.0
    each: float = 5.0
    per_class: int = 5
    minimum_precision: float = 1.0
    minimum_support: int = 10
    values: bool = False
    order: Order = Order.INFLUENCE
    device: str = "cpu"
    seed: int = 0
