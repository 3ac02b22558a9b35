"""Rules: how the line from baseline to input is cut into points, cells or pieces."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from precond.errors import QueryError


class Rule(Enum):
    """How the line from baseline to input is cut into points."""

    GAUSS = "gauss"
    """Gauss–Legendre nodes and weights."""
    TRAPEZOID = "trapezoid"
    """Equidistant nodes, ends included, ends at half weight."""
    MIDPOINT = "midpoint"
    """The middles of equal cells."""
    SECANT = "secant"
    """Equal cells of a piecewise-linear network, in each of which every nonlinear unit is
    replaced by its secant (``secant.py``)."""
    EXACT = "exact"
    """Every linear piece of a piecewise-linear network."""

    @classmethod
    def named(cls, name: str | Rule) -> Rule:
        try:
            return cls(name)
        except ValueError:
            raise QueryError(
                "rule", expected=", ".join(r.value for r in cls), got=repr(name)
            ) from None


NETWORK_RULES = (Rule.SECANT, Rule.EXACT)
"""Rules that follow the layers of a piecewise-linear network instead of taking gradients at
points."""


def check_steps(rule: Rule, steps: int) -> None:
    """An error if ``rule`` cannot do with so few steps."""
    least = 2 if rule is Rule.TRAPEZOID else 1
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer):
        raise QueryError("steps", expected="a whole number", got=repr(steps))
    if rule is not Rule.EXACT and steps < least:
        raise QueryError(f"steps of the {rule.value} rule", expected=f"≥ {least}", got=str(steps))


def nodes(rule: Rule, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions in [0, 1] and weights that sum to 1, for ``steps`` points."""
    check_steps(rule, steps)
    if rule is Rule.GAUSS:
        position, weight = np.polynomial.legendre.leggauss(steps)
        return (position + 1) / 2, weight / 2
    if rule is Rule.MIDPOINT:
        return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    if rule in NETWORK_RULES:
        raise QueryError(
            f"points of the {rule.value} rule", expected="gauss, trapezoid or midpoint", got="none"
        )
    weight = np.full(steps, 1.0 / (steps - 1))
    weight[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weight
