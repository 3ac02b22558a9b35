"""What is known of balls around inputs: certified, attacked, unknown, or wrong to begin with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from precond.basics.notebook import NotebookPage
from precond.network.graph import Network
from precond.region.radius import Radius

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


class BallOutcome(Enum):
    """What is known of one ball; the value is the word used in files and reports."""

    CERTIFIED = "certified"
    ATTACKED = "attacked"
    UNKNOWN = "unknown"
    WRONG = "wrong"


@dataclass(frozen=True, eq=False)
class Ball:
    """The answer for one input at one radius.

    ``engine`` gave it; ``confirmed`` False marks answers that rest on one float solver;
    ``margin``: the best proved lower bound of the class's margin, where known;
    ``witness`` (n,) where attacked.
    """

    outcome: BallOutcome
    engine: str = ""
    confirmed: bool = True
    margin: float | None = None
    witness: Array | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Robustness(NotebookPage):
    """``balls[k][i]`` answers ``inputs[i]``, input ``rows[i]``, at ``radii[k]`` (ascending).

    ``interrupted``: Ctrl-C ended the search; what was not settled by then is unknown.
    """

    network: Network
    inputs: Array
    rows: Rows
    classes: Rows
    radii: tuple[Radius, ...]
    balls: tuple[tuple[Ball, ...], ...]
    seconds: float
    interrupted: bool = False

    def __repr__(self) -> str:
        counts = [
            f"{r:g}: {self.count(k, BallOutcome.CERTIFIED)}" for k, r in enumerate(self.radii)
        ]
        return f"Robustness({len(self.rows)} inputs, certified at {', '.join(counts)})"

    def count(self, k: int, outcome: BallOutcome) -> int:
        """How many inputs have ``outcome`` at the k-th radius."""
        return sum(ball.outcome is outcome for ball in self.balls[k])

    def engines(self, k: int) -> Counter[str]:
        """How many balls of the k-th radius each engine certified."""
        return Counter(b.engine for b in self.balls[k] if b.outcome is BallOutcome.CERTIFIED)

    def unconfirmed(self, k: int) -> int:
        """Certified balls of the k-th radius that rest on one float solver."""
        return sum(b.outcome is BallOutcome.CERTIFIED and not b.confirmed for b in self.balls[k])
