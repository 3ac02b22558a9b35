"""Numbers of few digits for people, which do not say more than was proved.

The nearest number of four digits may be above a proved margin or radius, and below a proved limit
of an error.  So whatever is at least v is said with a number that is no larger, and whatever is at
most v with one that is no smaller.  A float that few digits write, as 0.29, is said so: what reads
back as the very float that was proved about is not rounded.
"""

from __future__ import annotations

import math
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, ROUND_FLOOR, Context, Decimal


def at_least(value: float, digits: int, *, times: int = 1) -> str:
    """The largest number of so many digits that is no larger than ``times`` · ``value``."""
    return _said(value, digits, times, rounding=ROUND_FLOOR)


def at_most(value: float, digits: int, *, times: int = 1) -> str:
    """The smallest number of so many digits that is no smaller than ``times`` · ``value``."""
    return _said(value, digits, times, rounding=ROUND_CEILING)


def _said(value: float, digits: int, times: int, rounding: str) -> str:
    if not math.isfinite(value):
        return f"{value:g}"
    nearest = f"{times * value:.{digits}g}"
    if float(nearest) / times == value:
        return nearest
    context = Context(prec=digits, rounding=rounding, Emin=MIN_EMIN, Emax=MAX_EMAX)
    return f"{float(context.multiply(Decimal(value), Decimal(times))):.{digits}g}"
