"""Candidate literals, what they cost, and covers of counterexamples by them."""

from __future__ import annotations

from itertools import chain as chained
from itertools import combinations

import numpy as np
import pytest

from precond.mine.whole_space.candidates import LiteralPool, cheapest_cover
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures


def recorded(values: np.ndarray, layer: str = "a") -> Signatures:
    """A recording of these pre-activations (N, m)."""
    bits = {layer: np.packbits(values > 0, axis=1)}
    return Signatures(
        layers=(layer,),
        widths={layer: values.shape[1]},
        bits=bits,
        outputs=np.zeros((len(values), 2)),
        pre_activations={layer: values},
    )


# Four inputs: neuron 0 is always on, 1 always off, 2 on for one of four, 3 on for half.
FOUR = recorded(
    np.array(
        [
            [1.0, -1.0, 2.0, 3.0],
            [1.0, -1.0, -2.0, 3.0],
            [1.0, -1.0, -2.0, -3.0],
            [1.0, -1.0, -2.0, -3.0],
        ]
    )
)


def test_literals_that_a_share_of_the_inputs_has() -> None:
    pool = LiteralPool.of(FOUR, ["a"], 0.25)
    assert pool.literals == (("a", 1, False), ("a", 2, False), ("a", 0, True))
    assert pool.cost.tolist() == [0, 1, 0]
    assert pool.scale == pytest.approx([1, 2, 1])
    assert LiteralPool.of(FOUR, ["a"], 0.1).cost.tolist() == [0, 0]
    # With a half, neuron 3 is a candidate, in one phase only.
    assert [i for _, i, _ in LiteralPool.of(FOUR, ["a"], 0.5).literals] == [1, 2, 3, 0]


def test_what_a_choice_means() -> None:
    pool = LiteralPool.of(FOUR, ["a"], 0.25)
    chosen = np.array([False, True, True])
    assert pool.pattern(chosen) == DecisionPattern(
        on=frozenset({("a", 0)}), off=frozenset({("a", 2)})
    )
    assert pool.shut_out(chosen).tolist() == [True, False, False, False]
    assert (pool.shut_out(chosen) == ~pool.pattern(chosen).holds(FOUR)).all()
    assert not pool.shut_out(np.zeros(3, dtype=bool)).any()


def test_depths_are_in_units_of_the_literals_size() -> None:
    pool = LiteralPool.of(FOUR, ["a"], 0.25)
    points = np.array([[-0.5, 0.25, 1.0, 0.0], [1.0, -1.0, -1.0, 0.0], [0.0, 0.0, 9.0, 0.0]])
    assert pool.depths({"a": points}) == pytest.approx(
        np.array([[0.25, 0.5, 0.5], [0, 0, 0], [0, 1, 0]])
    )
    assert not pool.depths({"b": points}).any()  # no values, nothing excluded


def random_pool(rng: np.random.Generator, candidates: int, inputs: int) -> LiteralPool:
    literals = tuple(("a", k, True) for k in range(candidates))
    violated = rng.random((candidates, inputs)) < 0.2
    return LiteralPool(literals, violated, np.ones(candidates))


@pytest.mark.parametrize("seed", range(20))
def test_a_cover_covers_and_needs_what_it_adds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pool = random_pool(rng, 9, 12)
    depths = np.where(rng.random((15, 9)) < 0.4, rng.random((15, 9)), 0.0)
    base = rng.random(9) < 0.15
    chosen = cheapest_cover(depths, pool, base)
    excluded = depths > 0
    if not excluded.any(1).all():
        assert chosen is None
        return
    assert chosen is not None
    assert (chosen | ~base).all()  # the base is kept
    assert excluded[:, chosen].any(1).all()
    for index in np.flatnonzero(chosen & ~base):
        without = chosen.copy()
        without[index] = False
        assert not excluded[:, without].any(1).all()
    # Not far from the best of all covers.
    every = range(9)
    best = min(
        pool.shut_out(flags).sum()
        for subset in chained.from_iterable(combinations(every, k) for k in range(10))
        if (flags := base | np.isin(every, subset)).any() and excluded[:, flags].any(1).all()
    )
    assert pool.shut_out(chosen).sum() <= best + 6


def test_a_free_literal_is_taken_before_a_dear_one() -> None:
    violated = np.array([[True, True, False], [False, False, False]])
    pool = LiteralPool((("a", 0, True), ("a", 1, True)), violated, np.ones(2))
    chosen = cheapest_cover(np.array([[1.0, 0.5]]), pool, np.zeros(2, dtype=bool))
    assert chosen is not None and chosen.tolist() == [False, True]


def test_nothing_to_exclude_takes_nothing() -> None:
    pool = random_pool(np.random.default_rng(0), 4, 5)
    chosen = cheapest_cover(np.zeros((0, 4)), pool, np.zeros(4, dtype=bool))
    assert chosen is not None and not chosen.any()
