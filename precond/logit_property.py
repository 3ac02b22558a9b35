"""Properties of outputs carried over to logits, where the last activation lets them be.

For y = activation(z), an inequality of y becomes one of z that says the same:

* all K outputs of a softmax add up to 1, and one log-softmax is 0: what speaks of nothing else is
  always so, or never;
* softmax, sigmoid: y_i ≥ y_j is z_i ≥ z_j; log-softmax: Σ c y ≥ b is Σ c z ≥ b if Σ c = 0;
* sigmoid: y_i ≥ t is z_i ≥ logit t; two outputs of a softmax: y_i ≥ t is z_i − z_j ≥ logit t, and
  of a log-softmax: y_i ≥ s is z_i − z_j ≥ logit exp s; beyond (0, 1) it is always so, or never.

Of three outputs or more a softmax's threshold is only implied, by
y_i ≥ t ⇐ z_i − z_j ≥ log((K − 1) t / (1 − t)) for all j, and
y_i ≤ t ⇐ z_j − z_i ≥ log((1 − t) / t) for some j.

A logit is no float (nor a rational, but for logit ½ = 0): it is enclosed by two rationals, and
rounded to the side on which the inequality of z implies that of y.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

from precond.errors import QueryError
from precond.network.activation import OutputActivation
from precond.network.graph import Network
from precond.property import Property
from precond.region.inequality import Inequality

DIGITS = 60  # of an enclosed logit, beyond those of the threshold
REMEDY = "Ask about the logits: --outputs logits, or in Python the network's .logits"
MOST = 100_000  # clauses over logits that one clause over outputs may become
ALWAYS, NEVER = Inequality((), -1.0), Inequality((), 1.0)
Clauses = tuple[tuple[Inequality, ...], ...]


@dataclass(frozen=True)
class LogitBound:
    """``Σ terms · z ≥ b`` (> if the inequality was strict), with low ≤ b ≤ high."""

    terms: Mapping[int, Fraction]
    low: Fraction
    high: Fraction


@dataclass(frozen=True)
class OnLogits:
    """A ``property`` of logits that implies one of outputs; ``exact``: and is implied by it."""

    property: Property
    exact: bool


def carried(
    terms: Mapping[int, Fraction],
    bound: Fraction,
    activation: OutputActivation,
    outputs: int,
    strict: bool = False,
) -> LogitBound | bool | None:
    """``Σ terms · y ≥ bound`` (> where ``strict``) in terms of logits: a bound, always or never
    so, or None where it cannot be carried over exactly."""
    if activation is OutputActivation.NONE or not terms:
        return LogitBound(terms, bound, bound)
    constant = _constant(terms, activation, outputs)
    if constant is not None:
        return constant > bound or (constant == bound and not strict)
    pair = len(terms) == 2 and sum(terms.values()) == 0
    if activation is OutputActivation.LOG_SOFTMAX:
        if sum(terms.values()) == 0:
            return LogitBound(terms, bound, bound)
    elif pair and bound == 0:
        return LogitBound(terms, bound, bound)
    elif activation is OutputActivation.SOFTMAX and outputs == 2 and len(terms) == 2:
        terms, bound = {0: terms[0] - terms[1]}, bound - terms[1]  # as y_1 = 1 − y_0
    if len(terms) > 1 or (activation is not OutputActivation.SIGMOID and outputs != 2):
        return None
    ((index, factor),) = terms.items()
    value = bound / factor
    always, never = (True, False) if factor > 0 else (False, True)
    if activation is OutputActivation.LOG_SOFTMAX:
        ends = None if value >= 0 else _logit_of_exp(value)
        outside = never
    else:
        ends = logit(value) if 0 < value < 1 else None
        outside = always if value <= 0 else never
    if ends is None:
        return outside if activation is not OutputActivation.LOG_SOFTMAX or value >= 0 else None
    sign = Fraction(1 if factor > 0 else -1)
    over = {index: sign}
    if activation is not OutputActivation.SIGMOID:
        over[1 - index] = -sign
    low, high = sorted((sign * ends[0], sign * ends[1]))
    return LogitBound(over, low, high)


def _constant(
    terms: Mapping[int, Fraction], activation: OutputActivation, outputs: int
) -> Fraction | None:
    """``Σ terms · y``, where it is one number whatever the logits are."""
    if activation is OutputActivation.LOG_SOFTMAX and outputs == 1:
        return Fraction(0)
    every = len(terms) == outputs and len(set(terms.values())) == 1
    return terms[0] if activation is OutputActivation.SOFTMAX and every else None


def logit(share: Fraction) -> tuple[Fraction, Fraction]:
    """Two rationals around log(t / (1 − t)), 0 < t < 1."""
    return _log_ratio(share.numerator, share.denominator - share.numerator)


def _log_ratio(top: int, bottom: int) -> tuple[Fraction, Fraction]:
    """Two rationals around log(top / bottom); both are it where it is 0."""
    with decimal.localcontext() as context:
        context.prec = DIGITS + len(str(top)) + len(str(bottom))
        return _around((decimal.Decimal(top) / decimal.Decimal(bottom)).ln())


def _logit_of_exp(value: Fraction) -> tuple[Fraction, Fraction] | None:
    """Two rationals around logit(exp s) = −log(exp(−s) − 1), s < 0; None for an s too large."""
    if value < -1000:
        return None
    with decimal.localcontext() as context:
        context.prec = DIGITS + 500 + len(str(value.numerator)) + len(str(value.denominator))
        exponent = -decimal.Decimal(value.numerator) / decimal.Decimal(value.denominator)
        return _around(-(exponent.exp() - 1).ln())


def _around(value: decimal.Decimal) -> tuple[Fraction, Fraction]:
    exact = Fraction(value)
    slack = abs(exact) * Fraction(1, 10 ** (DIGITS - 10))
    return exact - slack, exact + slack


def keeps(property: Property, activation: OutputActivation) -> bool:
    """Whether the property says the same of outputs and of logits, word for word."""
    return all(
        _is_kept(inequality, activation) for clause in property.clauses for inequality in clause
    )


def _is_kept(inequality: Inequality, activation: OutputActivation) -> bool:
    if activation is OutputActivation.NONE or not inequality.outputs:
        return True
    total = sum(Fraction(value) for _, value in inequality.outputs)
    if total != 0:
        return False
    if activation is OutputActivation.LOG_SOFTMAX:
        return True
    return len(inequality.outputs) == 2 and inequality.bound == 0 and not inequality.inputs


def require_kept(network: Network, property: Property) -> None:
    """QueryError for a property that the network's last activation changes."""
    if not keeps(property, network.output_activation):
        raise changed(str(property), network)


def changed(what: str, network: Network) -> QueryError:
    """The error for what does not carry over to logits."""
    name = network.output_activation.value
    return QueryError(
        f"{what}: {network.origin} ends in {name}",
        expected=f"what its {name} lets carry over to logits, as comparisons of two outputs",
        got="another property of its outputs",
        fix=REMEDY,
    )


def on_logits(property: Property, network: Network) -> OnLogits:
    """A property of ``network.logits`` that implies ``property`` of its outputs; QueryError
    where there is none."""
    if keeps(property, network.output_activation):
        return OnLogits(property, exact=True)
    exact = True
    clauses: list[tuple[Inequality, ...]] = []
    for clause in property.clauses:
        parts: list[Clauses] = []
        for inequality in clause:
            found, same = _of_logits(inequality, network)
            exact &= same
            parts.append(found)
        if (count := math.prod(map(len, parts))) > MOST:
            raise QueryError(
                f"property of the {network.output_activation.value}",
                expected=f"one that is at most {MOST} clauses over logits",
                got=f"{count} for one clause",
                fix="State it as several claims",
            )
        clauses += [tuple(i for part in choice for i in part) for choice in product(*parts)]
    name = f"{property} of the {network.output_activation.value}"
    return OnLogits(Property(tuple(clauses), name), exact)


def _of_logits(inequality: Inequality, network: Network) -> tuple[Clauses, bool]:
    """Clauses over logits that imply an inequality of outputs, and whether they say the same."""
    activation, size = network.output_activation, network.output_size
    if _is_kept(inequality, activation):
        return ((inequality,),), True
    if inequality.inputs:
        raise changed(str(inequality), network)
    terms = {k: Fraction(v) for k, v in inequality.outputs}
    bound = Fraction(inequality.bound)
    found = carried(terms, bound, activation, outputs=size, strict=inequality.strict)
    if isinstance(found, bool):
        return (((ALWAYS if found else NEVER),),), True
    if found is not None:
        rounded = _upward(found.high)
        outputs = tuple((k, float(v)) for k, v in found.terms.items())
        made = replace(inequality, outputs=outputs, bound=rounded)
        return ((made,),), found.low == Fraction(rounded)
    if activation is not OutputActivation.SOFTMAX or len(terms) != 1:
        raise changed(str(inequality), network)
    ((index, factor),) = terms.items()
    share = bound / factor
    if not 0 < share < 1:
        so = (share <= 0) == (factor > 0)
        return (((ALWAYS if so else NEVER),),), True
    others = [j for j in range(size) if j != index]
    top, bottom = share.numerator, share.denominator - share.numerator
    if factor > 0:
        least = _upward(_log_ratio((size - 1) * top, bottom)[1])
        return tuple(
            (_difference(index, j, least, strict=inequality.strict),) for j in others
        ), False
    least = _upward(_log_ratio(bottom, top)[1])
    return (tuple(_difference(j, index, least, strict=inequality.strict) for j in others),), False


def _difference(large: int, small: int, least: float, strict: bool) -> Inequality:
    return Inequality(((large, 1.0), (small, -1.0)), least, strict)


def _upward(value: Fraction) -> float:
    """The smallest float that is at least ``value``."""
    found = float(value)
    return found if Fraction(found) >= value else math.nextafter(found, math.inf)


def with_threshold(network: Network, threshold: float) -> Network:
    """The network whose one output says class 1 above ``threshold``: a probability where it ends
    in a sigmoid, else a logit."""
    if not network.classes.binary:
        raise QueryError(
            "--threshold",
            expected="a network of one output",
            got=f"{network.output_size} outputs, of which the largest is the class",
        )
    if OutputActivation.SIGMOID not in (network.output_activation, network.logits_of):
        if not math.isfinite(threshold):
            raise QueryError("--threshold", expected="a number", got=str(threshold))
        return replace(network, threshold=(threshold, threshold))
    if not 0 < threshold < 1:
        raise QueryError(
            "--threshold",
            expected="a probability above 0 and below 1, as the network ends in a sigmoid",
            got=f"{threshold:g}",
        )
    low, high = logit(Fraction(threshold))
    return replace(network, threshold=(-_upward(-low), _upward(high)))
