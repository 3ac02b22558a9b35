"""How sure one may be, from calibration rows, that early answers lose no more than is allowed.

A row is *lost* where the network is right and the early answer wrong, *won* where it is the other
way round.  Let each be drawn with probabilities b and c; the loss is b − c.  ``p_value`` is the
chance, at most, of counting what was counted if the loss were above the limit a.  No distribution
is assumed but that rows are drawn independently, as inputs in use will be.  Where it is at most δ,
the loss is at most a, but for a chance of δ.

Without credit for wins the lost rows alone are counted: b ≥ b − c > a, and P(Bin(n, a) ≤ lost)
is exact (Clopper and Pearson 1934).

With credit the statistic is S = lost − won, whose distribution depends on q = b + c too.  Let
q̄ be an upper confidence bound on q that fails with probability γ; then p = γ + P(S ≤ s) at
b − c = a, b + c = q̄ (Berger and Boos 1994).  That bounds the chance for every q below q̄:

* a larger loss moves probability from −1 to +1, which makes small S rarer;
* d/dq P(S ≤ s) = n/2 · (P(S' = s + 1) − P(S' = s)), S' being S of n − 1 rows.  For q ≤ ½ the
  polynomial b z² + (1 − q) z + c has real roots only, so S' is a shifted sum of independent zeros
  and ones, and by Darroch (1964) its mode is next to its mean (n − 1) a: the difference is not
  negative at s + 1 ≤ ⌊(n − 1) a⌋.  Where s is larger, or q̄ above ½, nothing is claimed: p = 1.

Source: Angelopoulos, Bates, Candès, Jordan, Lei 2021 (learn then test); thresholds are tested in
an order that calibration rows do not decide, each at δ, until one fails (fixed-sequence testing).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import beta, binom

from precond.apply.distillation.settings import Promise

GUARD = 0.1  # of δ: the chance that the bound on lost and won rows together fails
LEFT_OUT = 1e-12  # chance of counts that are not summed over, which is added


def p_value(promise: Promise, lost: int, won: int, rows: int, *, credit: bool) -> float:
    """See above; ``credit``: whether won rows make up for lost ones."""
    if not rows or promise.limit <= 0:
        return 1.0
    if not credit:
        return float(binom.cdf(lost, rows, promise.limit))
    guard = GUARD * promise.delta
    return min(1.0, guard + _difference(lost, won, rows, limit=promise.limit, guard=guard))


def kept(promise: Promise, lost: int, won: int, rows: int, *, credit: bool) -> bool:
    """Whether counts over ``rows`` calibration rows vouch for the promise."""
    return p_value(promise, lost, won, rows=rows, credit=credit) <= promise.delta


def credit_helps(promise: Promise, lost: int, won: int, rows: int) -> bool:
    """Whether such counts would pass more easily with credit for wins."""
    plain, credited = (
        p_value(promise, lost, won, rows=rows, credit=credit) for credit in (False, True)
    )
    return credited < plain


def fewest_rows(promise: Promise) -> int | None:
    """Rows without which nothing is promised even if none of them is lost; None: no number is
    enough for a loss of 0."""
    if promise.limit <= 0:
        return None
    return math.ceil(math.log(promise.delta) / math.log1p(-promise.limit))


def least_loss(rows: int, delta: float) -> float:
    """The least percentage points that so many rows can promise, none of them being lost."""
    return 100 * -math.expm1(math.log(delta) / max(rows, 1))


def _difference(lost: int, won: int, rows: int, *, limit: float, guard: float) -> float:
    """P(S ≤ lost − won) where S is largest in spread: b − c = limit, b + c = its upper bound."""
    apart, given = lost + won, lost - won
    either = float(beta.ppf(1 - guard, apart + 1, rows - apart)) if apart < rows else 1.0
    either = max(either, limit)
    if either > 0.5 or given + 1 > math.floor((rows - 1) * limit):
        return 1.0
    most = int(binom.isf(LEFT_OUT, rows, either))
    counts = np.arange(most + 1)
    chances = binom.pmf(counts, rows, either)
    of_lost = (either + limit) / (2 * either)
    # S = 2 B − N for B lost of N rows apart.
    below = binom.cdf(np.floor((given + counts) / 2), counts, of_lost)
    return float((chances * below).sum()) + LEFT_OUT
