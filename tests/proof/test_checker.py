"""The checker of certificates: known answers, and never "valid" of what is false."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, csr_array
from small_networks import ABSOLUTE, IDENTITY, layered, mixed, random_net

from precond.checker import words
from precond.checker.certificate import (
    FRAME,
    LEAF,
    SPLIT,
    Certificate,
    Linear,
    PreActivationBound,
    Refinements,
    Statement,
    Tree,
)
from precond.checker.exact import CheckResult, check
from precond.checker.fast import check_fast
from precond.network.dyadic import DyadicMatrix, exact
from precond.network.evaluate import values_at
from precond.network.exact import exact_values
from precond.network.graph import Network
from precond.network.operators import operators
from precond.network.sparse import affine_matrices

Judge = Callable[[Certificate, Network], CheckResult]
CHECKS = pytest.mark.parametrize("judge", [check, check_fast])


def at_least(output: int, bound: float, strict: bool = False) -> Linear:
    return Linear(((output, 1.0),), (), bound, strict)


def at_most(output: int, bound: float, strict: bool = False) -> Linear:
    return Linear(((output, -1.0),), (), -bound, strict)


def statement(
    network: Network,
    low: float,
    high: float,
    *clauses: Linear,
    literals: tuple[PreActivationBound, ...] = (),
    vacuous: bool = False,
    half: tuple[list[list[float]], list[float]] = ([], []),
) -> Statement:
    n = network.input_size
    return Statement(
        network=network.hash,
        origin="test",
        lower=np.full(n, low),
        upper=np.full(n, high),
        literals=literals,
        clauses=tuple((clause,) for clause in clauses),
        matrix=np.array(half[0], dtype=float).reshape(-1, n),
        bound=np.array(half[1], dtype=float),
        vacuous=vacuous,
    )


def tree(kinds: str, *splits: tuple[int, float], way: int = 0, weight: float = 1.0) -> Tree:
    """``kinds`` in preorder: s split, l leaf, S and L with layer bounds of their own."""
    codes = {"s": SPLIT, "S": SPLIT + FRAME, "l": LEAF, "L": LEAF + FRAME}
    places = iter([k for k, _ in splits])
    leaves = sum(k in "lL" for k in kinds)
    return Tree(
        (way,),
        np.array([codes[k] for k in kinds], dtype=np.uint8),
        np.array([next(places) if k in "sS" else -1 for k in kinds]),
        np.array([value for _, value in splits], dtype=float),
        np.full((leaves, 1), weight),
        np.full((leaves, 1), -1),
    )


def certificate(
    network: Network, stated: Statement, *trees: Tree, bits: int = 27, **more: Any
) -> Certificate:
    records = csr_array((0, 3 * network.neurons + len(stated.bound)))
    return Certificate(statement=stated, bits=bits, trees=trees, **{"records": records, **more})


@CHECKS
def test_intervals_alone(judge: Judge) -> None:
    """relu(x) + relu(−x) ≤ 2 on [−1, 1] by intervals: each term is at most 1."""
    stated = statement(ABSOLUTE, -1, 1, at_most(0, 2.5))
    assert judge(certificate(ABSOLUTE, stated, tree("l")), ABSOLUTE).valid


@CHECKS
def test_a_split_of_the_input_is_needed(judge: Judge) -> None:
    """|x| ≤ 1.25 on [−1, 1]: whole, the lines give |x| ≤ relu(x) + relu(−x) ≤ 1 + … = 1; with
    a frame they do, while plain intervals give 2 and need the cut at 0."""
    stated = statement(ABSOLUTE, -1, 1, at_most(0, 1.25))
    cut = statement(ABSOLUTE, -1, 1, at_most(0, 0.9))
    assert judge(certificate(ABSOLUTE, stated, tree("L")), ABSOLUTE).valid
    assert judge(certificate(ABSOLUTE, stated, tree("sll", (0, 0.0))), ABSOLUTE).valid
    assert not judge(certificate(ABSOLUTE, cut, tree("sll", (0, 0.0))), ABSOLUTE).valid


@CHECKS
def test_phases_split_as_inputs_do(judge: Judge) -> None:
    """relu(x) + relu(−x) ≤ 1.5 on [−1, 2] fails (it is 2); ≤ 2.1 by neuron 0's phases: off,
    relu(x) = 0 and relu(−x) ≤ (2 − x)/3 ≤ 1; on, z = x ≤ 2 and relu(−x) ≤ (2 − x)/3."""
    true = statement(ABSOLUTE, -1, 2, at_most(0, 2.1))
    false = statement(ABSOLUTE, -1, 2, at_most(0, 1.5))
    cut = tree("Sll", (1, 0.0))
    assert judge(certificate(ABSOLUTE, true, cut), ABSOLUTE).valid
    assert not judge(certificate(ABSOLUTE, false, cut), ABSOLUTE).valid


def test_equality_is_enough_where_the_failure_is_strict() -> None:
    """|x| ≥ 0: the failure |x| < 0 is strict, and its bound is exactly 0."""
    true = statement(ABSOLUTE, -1, 1, at_least(0, 0.0))
    false = statement(ABSOLUTE, -1, 1, at_least(0, 0.0, strict=True))  # |0| > 0 fails
    assert check(certificate(ABSOLUTE, true, tree("L")), ABSOLUTE).valid
    assert not check(certificate(ABSOLUTE, false, tree("L")), ABSOLUTE).valid


@CHECKS
def test_beta_of_a_literal(judge: Judge) -> None:
    """y = relu(x) − relu(−x) with x ≤ 1/4 by a literal.  Over [−1, 1/4] relu(x) ≤ (x + 1)/5, and
    relu(−x) ≥ 0 with slope 0, so −y ≥ −x/5 − 1/5 ≥ −1/4 with β = 1/5 on z ≤ 1/4."""
    stated = statement(
        IDENTITY, -1, 1, at_most(0, 0.3), literals=(PreActivationBound("relu0", 0, False, 0.25),)
    )
    free = statement(IDENTITY, -1, 1, at_most(0, 0.3))
    slopes_only, with_beta = csr_array((1, 6)), csr_array(np.array([[0, 0, 0, 0, 0.2, 0]]))
    leaf = _recorded(tree("L"), 0)
    assert judge(certificate(IDENTITY, stated, leaf, records=with_beta), IDENTITY).valid
    assert not judge(certificate(IDENTITY, stated, leaf, records=slopes_only), IDENTITY).valid
    assert not judge(certificate(IDENTITY, free, leaf, records=with_beta), IDENTITY).valid


@CHECKS
def test_a_half_space_has_a_multiplier(judge: Judge) -> None:
    """x ≤ 1/4 as a half-space.  On: y ≤ x, and −x + 1·(x − 1/4) = −1/4 ≥ −0.3; off: y ≤ 0."""
    half = statement(IDENTITY, -1, 1, at_most(0, 0.3), half=([[1.0]], [0.25]))
    used = csr_array(np.array([[0, 0, 0, 0, 0, 0, 1.0], [0] * 7]))
    cut = tree("Sll", (1, 0.0))
    whole = certificate(IDENTITY, half, _recorded(cut, 1, 0), records=used)
    assert judge(whole, IDENTITY).valid
    none = certificate(IDENTITY, half, _recorded(cut, 1, 1), records=used)
    assert not judge(none, IDENTITY).valid


def _recorded(given: Tree, *numbers: int) -> Tree:
    return replace(given, record=np.array(numbers)[:, None])


@CHECKS
def test_no_input_at_all(judge: Judge) -> None:
    """x in [0.5, 1] with relu0[0] off (x ≤ 0): vacuous.  With x in [−1, 1] it is not."""
    off = (PreActivationBound("relu0", 0, False, 0.0),)
    leaf = Tree(
        (0,), *(np.array(k) for k in ([FRAME], [-1], [])), np.zeros((1, 0)), np.array([[-1]])
    )
    empty = statement(ABSOLUTE, 0.5, 1, literals=off, vacuous=True)
    some = statement(ABSOLUTE, -1, 1, literals=off, vacuous=True)
    assert judge(certificate(ABSOLUTE, empty, leaf), ABSOLUTE).valid
    assert not judge(certificate(ABSOLUTE, some, leaf), ABSOLUTE).valid


def test_badly_scaled_weights_need_long_numbers() -> None:
    """y = 1e12·relu(x) − 1e12·relu(x) + relu(x) ≥ −0.5: short numbers lose the last term, integers
    of any length, which a certificate asks for with ``bits`` 0, do not."""
    weights = [[1e24, -1e24, 1.0]]
    network = layered(([[1e-12], [1e-12], [1.0]], [0.0] * 3), (weights, [0.0]))
    stated = statement(network, 1, 2, at_least(0, 0.5))
    assert check(certificate(network, stated, tree("L"), bits=0), network).valid
    assert not check(certificate(network, stated, tree("L")), network).valid


RULES = {
    "another network": lambda c: (c, ABSOLUTE),
    "of any tree|not closed": lambda c: (_with(c, trees=()), IDENTITY),
    "ends before": lambda c: (_with(c, trees=(tree("s", (0, 0.0)),)), IDENTITY),
    "after its last leaf": lambda c: (_with(c, trees=(tree("LL"),)), IDENTITY),
    "which there is not": lambda c: (_with(c, trees=(tree("sll", (3, 0.0)),)), IDENTITY),
    "negative": lambda c: (_with(c, trees=(tree("L", weight=-1.0),)), IDENTITY),
    "not finite": lambda c: (_with(c, trees=(tree("L", weight=np.nan),)), IDENTITY),
}


def _with(given: Certificate, **changed: Any) -> Certificate:
    return Certificate(**{**vars(given), **changed})


@CHECKS
@pytest.mark.parametrize("message", RULES)
def test_every_rule_is_kept(judge: Judge, message: str) -> None:
    stated = statement(IDENTITY, -1, 1, at_most(0, 5.0))
    changed, network = RULES[message](certificate(IDENTITY, stated, tree("L")))
    result = judge(changed, network)
    assert not result.valid
    assert any(part in result.where for part in message.split("|"))


def random_certificate(
    rng: np.random.Generator, network: Network, stated: Statement, cuts: int
) -> Certificate:
    """Random splits, frames, slopes and β."""
    coordinates = network.input_size + network.neurons
    kinds, items, at = [0], [-1], []
    for _ in range(cuts):
        leaf = int(rng.choice([k for k, kind in enumerate(kinds) if kind == 0]))
        kinds[leaf : leaf + 1], items[leaf : leaf + 1] = [SPLIT, 0, 0], [-2, -1, -1]
    for k, kind in enumerate(kinds):
        if kind & SPLIT:
            items[k] = int(rng.integers(coordinates))
            at.append(float(rng.normal() * 0.1))
    frames = rng.uniform(size=len(kinds)) < 0.5
    leaves = sum(kind == 0 for kind in kinds)
    count = 4
    numbers = rng.uniform(size=(count, 3 * network.neurons + len(stated.bound)))
    numbers[:, network.neurons :] *= rng.uniform(size=numbers[:, network.neurons :].shape) < 0.1
    grown = Tree(
        (0,),
        np.array(
            [kind + FRAME * frame for kind, frame in zip(kinds, frames, strict=True)], np.uint8
        ),
        np.array(items),
        np.array(at),
        np.ones((leaves, 1)),
        rng.integers(-1, count, size=(leaves, 1)),
    )
    nodes = np.flatnonzero(frames)[:2]
    refined = Refinements(
        np.zeros(len(nodes), np.int64),
        nodes,
        rng.integers(2 * network.neurons, size=len(nodes)),
        rng.integers(count, size=len(nodes)),
    )
    bits = int(rng.choice([20, 27]))
    return Certificate(
        statement=stated,
        bits=bits,
        trees=(grown,),
        records=csr_array(numbers),
        refinements=refined,
    )


def networks(rng: np.random.Generator) -> list[Network]:
    return [
        random_net(rng, 3, 6, 6, 2),
        random_net(rng, 2, 5, 5, 5, 1, slope=0.1),
        random_net(rng, 2, 5, 5, 1, size=30.0),
        mixed(rng),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_what_is_false_is_never_valid(seed: int) -> None:
    """Any splits and multipliers: a bound just above a value the network takes is not proved,
    one far below what it takes is, and what words prove exact numbers prove."""
    rng = np.random.default_rng(seed)
    for network in networks(rng):
        n = network.input_size
        points = rng.uniform(-0.2, 0.2, (40, n))
        values = [exact_values(network, x)[network.output].fractions()[0] for x in points]
        least = min(values)
        above = float(least) + 1e-9 * max(1.0, abs(float(least)))
        assert Fraction(above) > least
        far = float(least) - 1e5 * max(1.0, abs(float(least)))
        for bound, holds in ((above, False), (far, True)):
            stated = statement(network, -0.2, 0.2, at_least(0, bound))
            for _ in range(4):
                given = random_certificate(rng, network, stated, int(rng.integers(4)))
                assert check_fast(given, network).valid is holds
                assert check(given, network).valid is holds


@pytest.mark.slow
def test_words_and_long_numbers_agree() -> None:
    """Near the bound that a certificate shows, exact numbers prove a little more, never less."""
    rng = np.random.default_rng(3)
    for network in networks(rng):
        low, high = -1e6, 1e6
        drawn = random_certificate(rng, network, statement(network, -0.1, 0.1), 2)

        for _ in range(40):
            middle = (low + high) / 2
            fast = _shows(drawn, network, middle, check_fast)
            low, high = (middle, high) if fast else (low, middle)
        assert _shows(drawn, network, low, check)
        assert not _shows(drawn, network, low + 1e-3 * max(1.0, abs(low)), check)


def _shows(drawn: Certificate, network: Network, bound: float, judge: Judge) -> bool:
    """Whether the splits and multipliers of ``drawn`` show y0 ≥ bound."""
    stated = statement(network, -0.1, 0.1, at_least(0, bound))
    return judge(_with(drawn, statement=stated, bits=27), network).valid


def test_sparse_matrices_are_the_layers() -> None:
    rng = np.random.default_rng(0)
    network = mixed(rng)
    ops = operators(network, "cpu", torch.float64)
    for name, operator in ops.affine.items():
        matrices, bias = affine_matrices(network, name)
        inputs = [rng.normal(size=(1, *network.shapes[s])) for s in network.node[name].inputs]
        expected = operator.apply([torch.tensor(x) for x in inputs]).numpy().reshape(-1)
        found = bias + sum(m @ x.reshape(-1) for m, x in zip(matrices, inputs, strict=True))
        assert np.allclose(found, expected, atol=1e-12)


def _fractions(n: np.ndarray, e: int) -> list[Fraction]:
    return [Fraction(int(v)) * Fraction(2) ** e for v in n.reshape(-1)]


def test_dyadic_arithmetic_is_exact() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 5)) * 10.0 ** rng.integers(-30, 30, (3, 5))
    m = rng.normal(size=(5, 4))
    found = DyadicMatrix(m).product(exact(x))
    for i in range(3):
        for j in range(4):
            true = sum(Fraction(x[i, k]) * Fraction(m[k, j]) for k in range(5))
            assert Fraction(int(found.n[i, j])) * Fraction(2) ** found.e == true
    ends = DyadicMatrix(m.T).image(exact(np.stack([x[0], -x[1]]) - 100.0))
    assert ends.n.shape == (2, 4)


def test_words_round_down_by_less_than_they_say() -> None:
    rng = np.random.default_rng(2)
    for size in (1e-9, 1.0, 1e7):
        x = words.read(rng.normal(size=(2, 3, 6)), 27)
        weights = size * rng.normal(size=(6, 4)) * 10.0 ** rng.integers(-6, 1, (6, 4))
        found = words.Matrix(coo_array(weights), 27).product(x)
        y = words.read(rng.normal(size=(2, 1, 6)), 50)
        dots = words.dot(x, y)
        unit = Fraction(2) ** found.e
        for g in range(2):
            for r in range(3):
                row = _fractions(x.n[g, r], x.e)
                for j in range(4):
                    true = sum(a * Fraction(w) for a, w in zip(row, weights[:, j], strict=True))
                    gap = true - Fraction(int(found.n[g, r, j])) * unit
                    assert 0 <= gap < words.Matrix.ERROR * unit
                other = _fractions(y.n[g, 0], y.e)
                true = sum(a * b for a, b in zip(row, other, strict=True))
                gap = true - Fraction(int(dots.n[g, r])) * Fraction(2) ** dots.e
                assert 0 <= gap < 2 * Fraction(2) ** dots.e


def test_small_negative_numbers_are_not_rounded_to_zero() -> None:
    assert words.read(np.array([-5e-324, 1e300]), 27).n.tolist()[0] == -1.0


def test_the_checker_loads_no_engine_and_no_torch() -> None:
    code = "import sys, precond.checker.exact; print([m for m in sys.modules if m.startswith(("
    code += "'torch', 'precond.proof', 'highspy', 'z3'))])"
    root = Path(__file__).parents[2]
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert shown.stdout.strip() == "[]"
    assert len((root / "precond" / "checker" / "exact.py").read_text().splitlines()) <= 300


def test_values_lie_in_the_checkers_bounds() -> None:
    """Bounds of every value hold for inputs of the box."""
    from precond.checker.certificate import region
    from precond.checker.exact import Checker

    rng = np.random.default_rng(4)
    for network in networks(rng):
        stated = statement(network, -0.3, 0.3)
        checker = Checker(network, certificate(network, stated))
        bounds = checker.derive(region(stated, network), refine={})
        x = rng.uniform(-0.3, 0.3, (50, network.input_size))
        for name, ends in bounds.values.items():
            low, high = ([float(v) for v in _fractions(row, ends.e)] for row in ends.n)
            value = values_at(network, x, name) if name != "input" else x
            value = value.reshape(len(x), -1)
            slack = 1e-9 * (1 + np.abs(value))
            assert (value >= np.array(low) - slack).all()
            assert (-value >= np.array(high) - slack).all()
