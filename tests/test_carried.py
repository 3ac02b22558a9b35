"""Properties of outputs carried over to logits, against the activations in long decimals."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from precond.errors import QueryError
from precond.logit_property import carried, keeps, on_logits, require_kept
from precond.network.activation import OutputActivation
from precond.network.graph import Network
from precond.network.layers import Affine, Node
from precond.proof.restate.logits import activated
from precond.property import Property
from precond.region.inequality import Inequality

NONE, SIGMOID = OutputActivation.NONE, OutputActivation.SIGMOID
SOFTMAX, LOG_SOFTMAX = OutputActivation.SOFTMAX, OutputActivation.LOG_SOFTMAX
LOGITS = np.random.default_rng(0).normal(size=(400, 3)) * 2.0


def network(outputs: int, activation: OutputActivation) -> Network:
    layer = Affine(np.eye(outputs), np.zeros(outputs))
    return Network((Node("z", layer, ("input",)),), (outputs,), output_activation=activation)


def one(terms: dict[int, float], bound: float, strict: bool = False) -> Property:
    return Property(((Inequality(tuple(terms.items()), bound, strict),),))


def holds(terms: dict[int, float], bound: float, z: np.ndarray, kind: OutputActivation) -> bool:
    """``Σ terms · activation(z) ≥ bound``, the slow way."""
    with decimal.localcontext() as context:
        context.prec = 60
        y = activated([Decimal(float(v)) for v in z], kind)
        return sum(Decimal(c) * y[i] for i, c in terms.items()) >= Decimal(bound)


def cases() -> Iterator[tuple[OutputActivation, int, dict[int, float], float, bool]]:
    """Activation, outputs, an inequality, and whether its logits say exactly the same."""
    yield SIGMOID, 1, {0: 1.0}, 0.5, True
    for t in (0.1, 0.3, 0.731, 0.9):
        for sign in (1.0, -1.0, 2.5):
            yield SIGMOID, 1, {0: sign}, sign * t, False
            yield SIGMOID, 3, {1: sign}, sign * t, False
            yield SOFTMAX, 2, {1: sign}, sign * t, False
            yield SOFTMAX, 3, {1: sign}, sign * t, False
            yield LOG_SOFTMAX, 2, {0: sign}, -sign * t, False
    yield SOFTMAX, 2, {0: 3.0, 1: 1.0}, 1.7, False
    yield SOFTMAX, 3, {0: 1.0, 2: -1.0}, 0.0, True
    yield SIGMOID, 3, {0: -2.0, 2: 2.0}, 0.0, True
    yield LOG_SOFTMAX, 3, {0: 1.0, 1: 0.5, 2: -1.5}, 0.7, True


@pytest.mark.parametrize(("activation", "size", "terms", "bound", "exact"), list(cases()))
def test_logits_imply_the_outputs(
    activation: OutputActivation, size: int, terms: dict[int, float], bound: float, exact: bool
) -> None:
    said = on_logits(one(terms, bound), network(size, activation))
    assert said.exact is exact
    z = LOGITS[:, :size]
    for row, found in zip(z, said.property.holds(z), strict=True):
        true = holds(terms, bound, row, activation)
        assert true or not found
        if size < 3 or activation is not SOFTMAX or exact:
            assert found == true  # rounded by less than these differ from the threshold


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("share", ["0.3", "0.9999999999999999999999", "1e-200"])
def test_a_rounded_threshold_is_on_the_safe_side(size: int, share: str) -> None:
    activation = SIGMOID if size == 1 else SOFTMAX
    for sign in (1, -1):
        found = carried({0: Fraction(sign)}, sign * Fraction(share), activation, size)
        assert found is not None and not isinstance(found, bool)
        assert found.low < found.high
        with decimal.localcontext() as context:
            context.prec = 400
            shares = [
                activated([Decimal(end.numerator) / Decimal(end.denominator), Decimal(0)], SOFTMAX)
                for end in (sign * found.low, sign * found.high)
            ]
            narrow, wide = (Fraction(s[0]) for s in shares)
        assert sign * narrow < sign * Fraction(share) < sign * wide


@pytest.mark.parametrize(
    ("terms", "bound", "always"),
    [
        ({0: 1.0}, 0.0, True),
        ({0: 1.0}, 1.0, False),
        ({0: -1.0}, -1.0, True),
        ({0: -1.0}, 0.0, False),
        ({0: 1.0}, 5.0, False),
        ({0: 1.0}, -5.0, True),
    ],
)
@pytest.mark.parametrize("kind", [(SIGMOID, 1), (SOFTMAX, 2), (SOFTMAX, 3)])
def test_a_share_lies_between_0_and_1(
    kind: tuple[OutputActivation, int], terms: dict[int, float], bound: float, always: bool
) -> None:
    """Of real numbers, strictly; so the bound holds always or never, whatever the logits."""
    said = on_logits(one(terms, bound), network(kind[1], kind[0]))
    assert said.exact
    assert said.property.holds(LOGITS[:, : kind[1]]).tolist() == [always] * len(LOGITS)


@pytest.mark.parametrize(
    ("kind", "terms", "value"),
    [
        ((SOFTMAX, 1), {0: 1.0}, 1.0),
        ((SOFTMAX, 1), {0: -1e200}, -1e200),
        ((SOFTMAX, 2), {0: 3.0, 1: 3.0}, 3.0),
        ((SOFTMAX, 3), {0: -0.5, 1: -0.5, 2: -0.5}, -0.5),
        ((LOG_SOFTMAX, 1), {0: 7.0}, 0.0),
    ],
)
def test_what_no_logit_moves(
    kind: tuple[OutputActivation, int], terms: dict[int, float], value: float
) -> None:
    """All outputs of a softmax add up to 1; that of one class is 1, and its logarithm 0."""
    for bound, strict, always in (
        (value, False, True),
        (value, True, False),
        (value - abs(value) - 1, True, True),
        (value + abs(value) + 1, False, False),
    ):
        said = on_logits(one(terms, bound, strict), network(kind[1], kind[0]))
        assert said.exact
        assert said.property.holds(LOGITS[:, : kind[1]]).tolist() == [always] * len(LOGITS)
        given = {k: Fraction(v) for k, v in terms.items()}
        assert carried(given, Fraction(bound), *kind, strict) is always


def test_what_does_not_carry_over_is_refused_by_name() -> None:
    for activation, property in (
        (SOFTMAX, one({0: 1.0, 1: 1.0}, 0.7)),
        (SOFTMAX, one({0: 1.0, 1: -1.0}, 0.1)),
        (LOG_SOFTMAX, one({0: 1.0}, -1.0)),
        (SIGMOID, one({0: 1.0, 1: -2.0}, 0.0)),
    ):
        net = network(3, activation)
        with pytest.raises(QueryError, match=rf"ends in {activation.value}.*--outputs logits"):
            on_logits(property, net)
        with pytest.raises(QueryError, match=rf"ends in {activation.value}"):
            require_kept(net, property)
        require_kept(net.logits, property)
        assert on_logits(property, net.logits).property is property
    mixed = Property(((Inequality(((0, 1.0),), 0.5, inputs=((0, 1.0),)),),))
    with pytest.raises(QueryError, match=r"ends in sigmoid"):
        on_logits(mixed, network(3, SIGMOID))


def test_a_property_that_is_kept_word_for_word() -> None:
    assert keeps(Property.argmax(1, 3), SOFTMAX) and keeps(Property.argmax(1, 3), SIGMOID)
    assert keeps(one({0: 1.0, 1: -1.0}, 4.0), LOG_SOFTMAX)
    assert not keeps(one({0: 1.0, 1: -1.0}, 4.0), SOFTMAX)
    assert keeps(one({0: 1.0}, 4.0), NONE)


def test_clauses_are_multiplied_out() -> None:
    """p0 ≤ 0.4 of three outputs is a disjunction, p0 ≥ 0.2 a conjunction."""
    both = one({0: -1.0}, -0.4) | one({0: 1.0}, 0.2)
    some = Property((tuple(Inequality(((i, 1.0),), 0.2) for i in range(10)),))
    with pytest.raises(QueryError, match="3486784401 for one clause"):
        on_logits(some, network(10, SOFTMAX))
    said = on_logits(replace(both, name="p"), network(3, SOFTMAX))
    assert [len(clause) for clause in said.property.clauses] == [3, 3]
    assert "of the softmax" in str(said.property)
