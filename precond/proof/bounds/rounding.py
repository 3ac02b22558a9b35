"""The a-priori error of float64 sums, Higham's γ.

A sum of n products computed in any order differs from the real one by at most
``γ_n Σ|products|`` with ``γ_n = n u / (1 − n u)``, u = 2⁻⁵³ (Higham 2002, section 3.1); a
fused multiply-add only makes it smaller.  A sparsely used constant factor covers the few
extra operations (products with slopes, additions of partial sums).
"""

from __future__ import annotations

from precond.proof.arithmetic import share_lost

UNIT = 2.0**-53
TINY = 1e-300  # more than any sum of products loses by underflow (2⁻¹⁰²² a product)


def bare_gamma(terms: int) -> float:
    """γ of exactly ``terms`` products: for sums whose operations are counted one by one."""
    return share_lost(terms * UNIT)


def unit_gamma(terms: int, unit: float) -> float:
    """``gamma`` of numbers with another unit roundoff."""
    return share_lost((terms + 8) * unit) * (1.0 + 1e-10)


def gamma(terms: int) -> float:
    """γ for sums of ``terms`` products, with room for eight more operations, rounded up."""
    return unit_gamma(terms, UNIT)
