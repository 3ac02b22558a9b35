"""``Training``: how the weighted rules of a fast path are learned; ``Promise``: what is lost."""

from __future__ import annotations

from dataclasses import dataclass

from precond.basics.options import checked, count, option
from precond.basics.options import seed as whole_seed

ROWS = 400_000  # inputs seen in all


@dataclass(frozen=True, kw_only=True)
class Training:
    """How votes are learned: ``rules`` weighted rules over ``levels`` decisions a neuron,
    ``rows`` inputs seen in all, pictures moved by up to ``shift`` pixels, everything drawn with
    ``seed``."""

    rules: int = option(64, "weighted rules at each exit", parse=count, name="size", metavar="H")
    rows: int = ROWS
    levels: int = 1
    rate: float = 2e-3
    shift: int = option(0, "learn on pictures moved so far", parse=int, metavar="PIXELS")
    seed: int = option(0, "of everything that is drawn", parse=whole_seed, metavar="N")


def points(text: str) -> float:
    return checked(text, float, lambda v: 0 <= v < 100, expected="percentage points from 0 to 100")


def chance(text: str) -> float:
    return checked(text, float, lambda v: 0 < v < 1, expected="a chance between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class Promise:
    """At most ``max_loss`` percentage points of accuracy are lost on new inputs like the
    calibration rows, but for a chance of ``delta`` that these rows mislead."""

    max_loss: float = option(
        0.1, "percentage points of accuracy that may be lost", parse=points, metavar="POINTS"
    )
    delta: float = option(
        0.1, "chance that calibration rows mislead and more is lost", parse=chance, metavar="CHANCE"
    )

    @property
    def limit(self) -> float:
        """The loss allowed, as a share of all inputs."""
        return self.max_loss / 100
