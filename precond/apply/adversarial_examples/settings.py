"""Settings of the search for adversarial examples, and of retraining on them."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import count, option, positive, seconds
from precond.proof.effort import Effort
from precond.region.radius import FORMS, Radius, radius_option


@dataclass(frozen=True, kw_only=True)
class AdversarialSettings(Effort):
    """``radius``: of the balls that claims are about.  ``most``: training inputs at most."""

    radius: Radius | float = option(
        Radius(0.05, of_range=True),
        f"of the L∞ balls that claims are about: {FORMS}",
        parse=radius_option,
        metavar="R",
    )
    most: int = option(1000, "at most so many training inputs", parse=count)
    budget: float = option(
        60.0, "seconds for all claims together", parse=seconds, metavar="SECONDS"
    )
    each: float = option(2.0, "seconds for one claim", parse=seconds, metavar="SECONDS")


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """``epochs`` over the training inputs at learning rate ``rate``."""

    epochs: int = option(5, "0 for no retraining", parse=int, name="retrain", metavar="EPOCHS")
    rate: float = option(5e-4, "learning rate", parse=positive)
    device: str = "cpu"
    seed: int = 0
