"""The arithmetic a network runs in: the real numbers, or IEEE 754 floats.

A float network is a real one whose every affine value carries an error: where L, b and the
inputs x̂ are what the program holds, it computes ``ŷ = L x̂ + b + e``.  Rounding to nearest
gives each product and each addition a relative error of at most u, so a sum in which no term
passes more than r of them has ``|e| ≤ γ_r (|L||x̂| + |b|)``, ``γ_r = r u / (1 − r u)``, in any
order of sums, blocked, in pairs, fused or not (Higham 2002, section 3.1); products that fall
below the normal numbers add half the least positive number each.  Maxima are exact.

A proof about all networks with such errors covers the real one (e = 0) and every float format
with smaller errors.  It says nothing of algorithms that do not sum products (Winograd, FFT,
Strassen), of shortened formats (TF32, bfloat16) and of numbers flushed to zero.
"""

from __future__ import annotations

import math
from enum import Enum


class Arithmetic(Enum):
    """The value is the word used in files and reports."""

    REAL = "real"
    FLOAT64 = "float64"
    FLOAT32 = "float32"

    @property
    def unit(self) -> float:
        """u, the largest relative error of one operation."""
        return {"real": 0.0, "float64": 2.0**-53, "float32": 2.0**-24}[self.value]

    @property
    def least(self) -> float:
        """The least positive number."""
        return {"real": 0.0, "float64": 2.0**-1074, "float32": 2.0**-149}[self.value]

    @property
    def largest(self) -> float:
        """The largest finite number."""
        float64 = (2.0 - 2.0**-52) * 2.0**1023
        float32 = (2.0 - 2.0**-23) * 2.0**127
        return {"real": float("inf"), "float64": float64, "float32": float32}[self.value]

    @property
    def covers(self) -> frozenset[Arithmetic]:
        """What a proof about executions in this arithmetic holds for."""
        order = (Arithmetic.REAL, Arithmetic.FLOAT64, Arithmetic.FLOAT32)
        return frozenset(order[: order.index(self) + 1])

    def gamma(self, roundings: int) -> float:
        """γ_r, rounded up; 0 for none."""
        return share_lost(roundings * self.unit) * (1.0 + 1e-10)


def share_lost(steps: float) -> float:
    """s / (1 − s), Higham's γ of s = n u; infinite from s = 1 on, where it bounds nothing."""
    return steps / (1.0 - steps) if steps < 1.0 else math.inf


def words(known: frozenset[Arithmetic]) -> tuple[str, ...]:
    """In the order real, float64, float32."""
    return tuple(arithmetic.value for arithmetic in Arithmetic if arithmetic in known)
