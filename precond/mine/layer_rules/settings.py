"""Which layer rules are wanted, beside what a run may cost."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import count, option, seconds, share
from precond.proof.effort import Effort

LEAST = 10  # inputs that a rule must hold for where no number is given
PART = 500  # … and at least one in so many training inputs


@dataclass(frozen=True, kw_only=True)
class RuleSettings(Effort):
    """``minimum_precision``, ``minimum_support``: of a layer rule on training data."""

    budget: float = option(
        120.0, "seconds for layer rules, layer after layer", parse=seconds, metavar="SECONDS"
    )
    minimum_precision: float = option(
        1.0, "least training precision of a layer rule", parse=share, name="precision"
    )
    minimum_support: int | None = option(
        value=None,
        help="least training support of a layer rule",
        parse=count,
        name="support",
        default=f"{LEAST}, or 1 in {PART} training inputs",
    )

    def least_support(self, rows: int) -> int:
        """The least support among ``rows`` training inputs."""
        return self.minimum_support or max(LEAST, rows // PART)
