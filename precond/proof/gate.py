"""The gate: where a number becomes "there is no violation here", and nowhere else.

Every engine asks these few questions of its bounds: does a bound exclude a violation, are
two bounds of one value crossed (so that a region is empty), is a neuron stable.  A number
that is not finite answers none of them with yes: a bound that overflowed is no bound, and
inf − inf says nothing.  Each comparison is written so that what is not shown stays open.

The functions take torch tensors, NumPy arrays and plain floats alike.
"""

from __future__ import annotations

from typing import Any

INFINITY = float("inf")


def excludes(bound: Any, strict: Any = False) -> Any:
    """Whether ``−g ≥ bound`` shows that ``g ≥ 0`` (``g > 0`` where ``strict``) holds nowhere."""
    return ((bound > 0) | ((bound == 0) & strict)) & (bound < INFINITY)


def crossed(low: Any, high: Any) -> Any:
    """Whether ``low ≤ value ≤ high`` leaves no value."""
    return (low > high) & (low < INFINITY) & (high > -INFINITY)


def is_on(low: Any) -> Any:
    """Whether a pre-activation of at least ``low`` is never negative."""
    return (low >= 0) & (low < INFINITY)


def is_off(high: Any) -> Any:
    """Whether a pre-activation of at most ``high`` is never positive."""
    return (high <= 0) & (high > -INFINITY)
