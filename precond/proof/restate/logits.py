"""Claims about outputs behind a last activation, answered by claims about the logits.

The claim on logits implies the one on outputs; where it is refuted, its witness is looked at
again, through the activation itself, in decimals that are long enough to tell.
"""

from __future__ import annotations

import decimal
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray

from precond.logit_property import on_logits
from precond.network.activation import OutputActivation
from precond.network.enclosed import enclosed_values
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.restate.restatement import Restatement
from precond.property import Property
from precond.region.inequality import Inequality

DIGITS = 100
SURE = Decimal(10) ** -60  # a margin closer to 0 than this is not told from 0


def through_logits(claim: Claim) -> Restatement:
    """A claim on a network that ends in an activation, asked of its logits."""
    said = on_logits(claim.property, claim.network)
    return Restatement(
        original=claim,
        claim=replace(claim, network=claim.network.logits, property=said.property),
        refutes=said.exact,
        confirms=partial(violates, claim.property, claim.network),
        reason=f"the property of logits that implies it ({said.property.clauses_text}) is "
        "refuted, by an input that has the property itself",
    )


def violates(property: Property, network: Network, point: NDArray[np.float64]) -> bool:
    """Whether the outputs at ``point`` (n,) surely lack the property."""
    ends = enclosed_values(network, point)[network.output].ends()
    with decimal.localcontext() as context:
        context.prec = DIGITS
        context.Emin, context.Emax = decimal.MIN_EMIN, decimal.MAX_EMAX
        low, high = ([_decimal(pair[side]) for pair in ends] for side in (0, 1))
        y = _ends(low, high, network.output_activation)
        x = [Decimal(v) for v in point.tolist()]
        return any(
            all(_fails(inequality, y, x) for inequality in clause) for clause in property.clauses
        )


def activated(logits: list[Decimal], activation: OutputActivation) -> list[Decimal]:
    """Outputs of logits, to the digits of the context."""
    match activation:
        case OutputActivation.NONE:
            return logits
        case OutputActivation.SIGMOID:
            return [(1 / (1 + (-abs(z)).exp())) if z >= 0 else _share(z) for z in logits]
    most = max(logits)
    powers = [(z - most).exp() for z in logits]
    total = sum(powers, Decimal(0))
    if activation is OutputActivation.SOFTMAX:
        return [power / total for power in powers]
    return [z - most - total.ln() for z in logits]


def _share(z: Decimal) -> Decimal:
    power = z.exp()
    return power / (1 + power)


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _ends(
    low: list[Decimal], high: list[Decimal], activation: OutputActivation
) -> list[tuple[Decimal, Decimal]]:
    """Between which numbers each output lies: it grows with its own logit and with no other."""
    if low == high:
        return [(value, value) for value in activated(low, activation)]

    def at(k: int, own: list[Decimal], others: list[Decimal]) -> Decimal:
        return activated([*others[:k], own[k], *others[k + 1 :]], activation)[k]

    return [(at(k, low, high), at(k, high, low)) for k in range(len(low))]


def _fails(inequality: Inequality, y: list[tuple[Decimal, Decimal]], x: list[Decimal]) -> bool:
    """Whether the inequality fails wherever in their ends the outputs are."""
    terms = [max(Decimal(c) * end for end in y[i]) for i, c in inequality.outputs]
    terms += [Decimal(c) * x[i] for i, c in inequality.inputs]
    bound = Decimal(inequality.bound)
    scale = max([abs(bound), *(abs(term) for term in terms)])
    return sum(terms, Decimal(0)) - bound < -SURE * scale
