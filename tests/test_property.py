"""Properties: and/or, the one negation, helpers, what they hold of."""

from __future__ import annotations

import json

import numpy as np
import pytest

from precond.errors import QueryError
from precond.property import Property
from precond.region.inequality import Inequality


def test_helpers_by_hand() -> None:
    y = np.array([[3.0, 1.0, 2.0], [2.0, 2.0, 0.0], [0.0, 1.0, 2.0]])
    assert Property.argmax(0, 3).holds(y).tolist() == [True, False, False]  # a tie is no maximum
    assert Property.argmin(1, 3).holds(y).tolist() == [True, False, False]
    assert Property.argmin(0, 3).holds(y).tolist() == [False, False, True]
    assert Property.between(2, 0.0, 2.0).holds(y).tolist() == [True, True, True]
    assert Property.between(0, 2.0, 2.5).holds(y).tolist() == [False, True, False]
    assert Property.between(0, 2.0, 2.0).holds(y).tolist() == [False, True, False]
    assert str(Property.argmax(0, 3)) == "argmax = 0"


def test_strict_and_not() -> None:
    y = np.array([[1.0]])
    assert not Property(((Inequality(((0, 1.0),), 1.0, strict=True),),)).holds(y)[0]
    assert Property(((Inequality(((0, 1.0),), 1.0),),)).holds(y)[0]


def test_input_terms() -> None:
    """y₀ − x₁ ≥ 0.5."""
    prop = Property(((Inequality(((0, 1.0),), 0.5, inputs=((1, -1.0),)),),))
    y, x = np.array([[1.0], [1.0]]), np.array([[9.0, 0.5], [9.0, 0.6]])
    assert prop.holds(y, x).tolist() == [True, False]
    with pytest.raises(QueryError, match="inequality over inputs: expected the inputs"):
        prop.holds(y)


def random_property(rng: np.random.Generator) -> Property:
    """Random clauses with small integer numbers, so that ties happen."""
    return Property(
        tuple(
            tuple(
                Inequality(
                    tuple((int(k), float(rng.integers(-2, 3))) for k in range(3)),
                    float(rng.integers(-2, 3)),
                    bool(rng.integers(2)),
                )
                for _ in range(rng.integers(1, 4))
            )
            for _ in range(rng.integers(1, 4))
        )
    )


@pytest.mark.parametrize("seed", range(20))
def test_negation_is_the_complement(seed: int) -> None:
    """A point violates the property iff all inequalities of some negated conjunct hold."""
    rng = np.random.default_rng(seed)
    prop = random_property(rng)
    y = rng.integers(-2, 3, size=(200, 3)).astype(np.float64)
    violated = np.zeros(len(y), dtype=bool)
    for conjunct in prop.negation():
        every = np.ones(len(y), dtype=bool)
        for i in conjunct:
            total = sum((v * y[:, k] for k, v in i.outputs), np.zeros(len(y)))
            every &= (total > i.bound) if i.strict else (total >= i.bound)
        violated |= every
    assert (prop.holds(y) == ~violated).all()


@pytest.mark.parametrize("seed", range(10))
def test_and_or_against_booleans(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    a, b = random_property(rng), random_property(rng)
    y = rng.integers(-2, 3, size=(200, 3)).astype(np.float64)
    assert ((a & b).holds(y) == (a.holds(y) & b.holds(y))).all()
    assert ((a | b).holds(y) == (a.holds(y) | b.holds(y))).all()


def test_json_round_trip() -> None:
    prop = Property.argmax(1, 3) | Property(
        ((Inequality(((0, 0.1),), 1 / 3, True, ((2, -1e-300),)),),), "small"
    )
    again = Property.from_json(json.loads(json.dumps(prop.to_json())))
    assert again == prop
    with pytest.raises(QueryError, match="property: expected"):
        Property.from_json({"all_of": [{"any_of": [{"outputs": [[0]]}]}]})
    with pytest.raises(QueryError, match="property: expected"):
        Property.from_json({})


def test_numbers_are_normalised() -> None:
    """Whole numbers, repeated and zero terms make no other inequality."""
    assert Inequality(((1, 2), (0, 1), (1, -1), (2, 0)), 1) == Inequality(((0, 1.0), (1, 1.0)), 1.0)
    assert Inequality(((0, 1),), 1).margin(np.array([[1.5]])).tolist() == [0.5]
    assert Inequality(((0, 1.0),), 0.5).negated().negated() == Inequality(((0, 1.0),), 0.5)
    assert str(Inequality(((0, 1.0), (2, -0.5)), 3.0, strict=True)) == "y0 - 0.5 y2 > 3"


def test_bad_properties() -> None:
    with pytest.raises(QueryError, match=r"label: expected an output in 0\.\.2, got 3"):
        Property.argmax(3, 3)
    with pytest.raises(QueryError, match="two outputs or more"):
        Property.argmin(0, 1)
    with pytest.raises(QueryError, match=r"expected low ≤ high, got \[2, 1\]"):
        Property.between(0, 2.0, 1.0)
    with pytest.raises(QueryError, match="expected an inequality in every clause"):
        Property(((),))
    with pytest.raises(QueryError, match="expected finite numbers"):
        Inequality(((0, float("nan")),), 0.0)
    with pytest.raises(QueryError, match=r"property on output 4: expected an index in 0\.\.2"):
        Property(((Inequality(((4, 1.0),), 0.0),),)).check(3, 2)
    with pytest.raises(QueryError, match=r"property on input 2: expected an index in 0\.\.1"):
        Property(((Inequality((), 0.0, inputs=((2, 1.0),)),),)).check(3, 2)
