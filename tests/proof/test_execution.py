"""Proofs that cover runs in floats, against runs in the worst orders that a search finds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from float_runs import Runner, inside
from small_networks import ABSOLUTE, layered, mixed, random_net

from precond.errors import ArgumentError
from precond.formats.lowering import basic as lowering
from precond.formats.lowering import images as lowering_images
from precond.formats.lowering.builder import NetworkBuilder
from precond.network.activation import OutputActivation
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, LeakyReLU, Node, ReLU, Scale, Sum
from precond.network.operators import operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.problem import region_of
from precond.proof.bounds.region import refine
from precond.proof.bounds.rounding import UNIT, bare_gamma, unit_gamma
from precond.proof.claim import Claim, HalfSpaces, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Engine
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.engines.refine_split.engine import RefineSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.engines.tighten_split import TightenSplitEngine
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.plans import Stage, default_stages, known_bounds
from precond.proof.prover.prove import prove
from precond.proof.prover.run import Run
from precond.proof.restate.exact_run import runs_exactly
from precond.proof.restate.runs import refusal
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

FLOAT32, FLOAT64, REAL = Arithmetic.FLOAT32, Arithmetic.FLOAT64, Arithmetic.REAL
FREE = DecisionPattern()
SOFTMAX = OutputActivation.SOFTMAX
FOREVER = Deadline(float("inf"))


def at_least(bound: float, index: int = 0) -> Property:
    """y[index] ≥ bound."""
    return Property(((Inequality(((index, 1.0),), bound),),))


LINEAR = HighsEngine(known_bounds, milp_neurons=0)
COUNTING: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        BoundsEngine(),
        InputSplitEngine(),
        RefineSplitEngine(),
        ReluSplitEngine(),
        LINEAR,
        LpSplitEngine(),
        TightenSplitEngine(LINEAR),
    )
}
"""Engines that count what a run rounds."""


def claim(network: Network, low: float, high: float, bound: float) -> Claim:
    return Claim(network, Box.uniform(network.input_size, low, high), FREE, at_least(bound))


def random_network(rng: np.random.Generator) -> Network:
    if rng.random() < 0.3:
        return mixed(rng)
    widths = [int(rng.integers(1, 4)), *rng.integers(2, 7, rng.integers(1, 4)).tolist(), 1]
    slope = 0.01 if rng.random() < 0.3 else None
    return random_net(rng, *widths, size=10.0 ** rng.uniform(-1, 1), slope=slope)


def random_box(network: Network, rng: np.random.Generator) -> Box:
    """Around a point of any size, from a point to a tenth of it wide; bounds are float32."""
    centre = rng.normal(size=network.input_size) * 10.0 ** rng.uniform(-3, 3)
    reach = np.abs(centre) * rng.choice([0.0, 10.0 ** rng.uniform(-6, -1)])
    sides = [(centre + sign * reach).astype(np.float32).astype(float) for sign in (-1, 1)]
    return Box(*sides)


@pytest.mark.parametrize("seed", range(40))
def test_layer_bounds_hold_for_every_value_of_every_run(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    box = random_box(network, rng)
    problem = Problem(network, box, {}, (), execution=FLOAT32)
    refined = region_of(problem)
    lower, upper = (torch.tensor(side)[None] for side in (box.lower, box.upper))
    ops = operators(network, "cpu", torch.float64)
    sizes = refine(ops, lower, upper, execution=FLOAT32).region.sizes
    runner = Runner(network)
    for _ in range(5):
        x = inside(rng.uniform(box.lower, box.upper), box)
        wanted = {n.name: rng.normal(size=network.width(n.name)) for n in network.nodes}
        values = runner.run(x, wanted, rng)
        for node in network.nodes:
            if node.name in refined.bounds:
                low, high = (side[0].numpy() for side in refined.bounds[node.name])
                z = values[node.inputs[0]].astype(float)
                assert (low <= z).all() and (z <= high).all()
            if node.name in sizes:
                assert (np.abs(values[node.name]) <= sizes[node.name][0].flatten().numpy()).all()


@pytest.mark.parametrize("name", COUNTING)
def test_no_run_breaks_what_an_engine_proves(name: str) -> None:
    """Claims a few roundings below the least output; `benchmarks/float_execution.py` attacks
    thousands."""
    rng = np.random.default_rng(len(name))
    form, proved = np.ones(1), 0
    for _ in range(5):
        network = random_net(rng, 2, 4, 3, 1, size=10.0 ** rng.uniform(-1, 1))
        box = random_box(network, rng)
        pattern = FREE
        if rng.random() < 0.5:
            whole = record(network, rng.uniform(box.lower, box.upper)[None])
            pattern = DecisionPattern.of_row(whole, 0).only(network.decision_layers[:1])
        runner = Runner(network, pattern)
        least, where = runner.worst(box, form, rng, starts=1, steps=6)
        if not np.isfinite(least):
            continue
        loss = max(float(region_of_point(network, where)), 1e-30)
        for roundings in (0.3, 3.0):
            asked = Claim(network, box, pattern, at_least(least - roundings * loss))
            problem = replace(asked.problem, execution=FLOAT32)
            verdict = Run(asked, problem, 0.3, None, [Stage(COUNTING[name])], "cpu", 0).run()
            if verdict.is_proved:
                proved += 1
                assert verdict.holds_in == {REAL, FLOAT64, FLOAT32}
                again, _ = runner.worst(box, form, rng, starts=1, steps=6)
                assert again >= least - roundings * loss
    assert proved > 0


def region_of_point(network: Network, x: np.ndarray) -> float:
    """What a run at x loses at most by its roundings, about: the width of the output's bounds."""
    box = Box(x.astype(float), x.astype(float))
    blank = Problem(network, box, {}, at_least(0.0).negation(), execution=FLOAT32)
    answers = [
        BoundsEngine(steps=0).solve(replace(blank, execution=arithmetic), FOREVER)[0].bound or 0.0
        for arithmetic in (REAL, FLOAT32)
    ]
    return answers[0] - answers[1]


def test_engines_that_reason_about_real_numbers_refuse() -> None:
    """Each engine of the default order counts roundings, only looks for witnesses, or refuses."""
    halves = HalfSpaces(np.ones((1, 2)), np.ones(1))
    for extra in ({}, {"halfspaces": halves}):
        network = layered(([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0]))
        asked = Claim(network, Box.uniform(2, 0.0, 1.0), FREE, at_least(0.0), **extra)
        problem = replace(asked.problem, execution=FLOAT32)
        for stage in default_stages(problem):
            engine = stage.engine
            if engine.name not in (*COUNTING, "bounds-optimised", "attack"):
                assert "real numbers" in str(engine.unsupported(problem))


def worst_sum(count: int) -> Network:
    """x0 + 2^-24 (x1 + … + xn): at ones, from left to right, every further term is lost."""
    return layered(([[1.0, *[2.0**-24] * count]], [0.0]))


def test_account_is_no_larger_than_the_worst_run_needs() -> None:
    """1 + n u is the real value, 1 the worst run's; γ_n is n u to the last digits."""
    count = 64
    network = worst_sum(count)
    real = 1.0 + count * 2.0**-24
    assert (
        Runner(network).least(np.ones(count + 1, np.float32), np.ones(1), np.random.default_rng(0))
        == 1.0
    )
    above = claim(network, 1.0, 1.0, 1.0 + 2.0**-24)
    assert prove(above, budget=5.0, execution=FLOAT32).holds_in == {REAL}
    below = claim(network, 1.0, 1.0, real - 1.1 * count * 2.0**-24 * real)
    assert FLOAT32 in prove(below, budget=5.0, execution=FLOAT32).holds_in


def absorbing() -> Network:
    """((x + 2^25) − 2^25): real x, in float32 a multiple of 4."""
    return Network(
        (
            Node("up", Scale(np.array(1.0), np.array(2.0**25)), (INPUT,)),
            Node("down", Scale(np.array(1.0), np.array(-(2.0**25))), ("up",)),
        ),
        (1,),
    )


def one_sum() -> Network:
    """2^25 x0 + x1 − 2^25 x0 as one sum: its order decides whether x1 is lost."""
    return layered(([[2.0**25, 1.0, -(2.0**25)]], [0.0]))


def guarded() -> Network:
    """relu(1 − relu(big + x − big)): a trigger that opens only where x was absorbed."""
    return layered(
        ([[2.0**26, 1.0, -(2.0**26)]], [0.0]),
        ([[-1.0]], [1.0]),
        ([[1.0]], [0.0]),
    )


def mean_of_many() -> Network:
    """2^24 x0 + x1 + … + x16 − 2^24 x0: left to right it loses all ones, in lanes few."""
    return layered(([[2.0**24, *[1.0] * 16, -(2.0**24)]], [0.0]))


@pytest.mark.parametrize(
    ("network", "bound"),
    [
        pytest.param(absorbing(), 0.5, id="absorbed by a shift"),
        pytest.param(one_sum(), 0.5, id="absorbed in one sum"),
        pytest.param(mean_of_many(), 8.0, id="sixteen ones lost one by one"),
    ],
)
def test_backdoor_holds_in_real_numbers_alone(network: Network, bound: float) -> None:
    """Over [1, 1.5]^n the real value is at least 1 (16 for the long sum); some float32 run gives 0.

    Zombori et al. 2021; Jia and Rinard 2021.
    """
    asked = Claim(network, Box.uniform(network.input_size, 1.0, 1.0), FREE, at_least(bound))
    x = np.ones(network.input_size, dtype=np.float32)
    assert Runner(network).least(x, np.array([1.0]), np.random.default_rng(0)) < bound
    verdict = prove(asked, budget=10.0, execution=FLOAT32)
    assert verdict.is_proved
    assert FLOAT32 not in verdict.holds_in
    assert "float32" in verdict.reason
    assert FLOAT64 in prove(asked, budget=10.0, execution=FLOAT64).holds_in


def test_backdoor_behind_a_gate() -> None:
    """relu(1 − x) = 0 at x = 1; where 2^26 + x − 2^26 is 0, the gate is fully open."""
    network = guarded()
    below = Property(((Inequality(((0, -1.0),), -0.5),),))  # y ≤ 1/2
    asked = Claim(network, Box.uniform(3, 1.0, 1.0), FREE, below)
    run = Runner(network).least(np.ones(3, np.float32), np.array([-1.0]), np.random.default_rng(0))
    assert run == -1.0
    verdict = prove(asked, budget=10.0, execution=FLOAT32)
    assert verdict.is_proved
    assert verdict.holds_in == {REAL}


# Where a run is the real network, and where nothing can be said of it.


@pytest.mark.parametrize(
    ("network", "low", "high", "exact"),
    [
        pytest.param(layered(([[2.0]], [0.0])), -1.0, 1.0, True, id="doubling"),
        pytest.param(layered(([[0.5]], [0.0])), -1.0, 1.0, False, id="halving may underflow"),
        pytest.param(layered(([[1.0]], [1.0])), -1.0, 1.0, False, id="a sum"),
        pytest.param(layered(([[1.0]], [1.0])), 1.0, 1.0, True, id="a sum at a point"),
        pytest.param(layered(([[1.0]], [2.0**24])), 1.0, 1.0, False, id="a sum of 25 bits"),
        pytest.param(layered(([[1.0]], [2.0**24])), 2.0, 2.0, True, id="a sum of even numbers"),
        pytest.param(layered(([[3.0, -5.0]], [7.0])), 2.0, 2.0, True, id="whole numbers"),
        pytest.param(layered(([[0.1, 1.0]], [0.0])), 1.0, 1.0, False, id="0.1 is no float32"),
    ],
)
def test_exact_runs(network: Network, low: float, high: float, exact: bool) -> None:
    box = Box.uniform(network.input_size, low, high)
    assert runs_exactly(network, box, FLOAT32) is exact


def test_a_sum_past_the_format_is_no_exact_run() -> None:
    """2^53 + 1 rounds to 2^53 in float64: its run gives y0 = y1, where the real y0 is larger.  The
    sum that judges this is computed in float64 as well."""

    network = layered(([[1.0, 1.0], [1.0, 0.0]], [0.0, 0.0]))
    point = Box(np.array([2.0**53, 1.0]), np.array([2.0**53, 1.0]))
    assert not runs_exactly(network, point, FLOAT64)
    larger = Property(((Inequality(((0, 1.0), (1, -1.0)), 0.0, strict=True),),))
    verdict = prove(Claim(network, point, FREE, larger), budget=10.0, execution=FLOAT64)
    assert verdict.is_proved and FLOAT64 not in verdict.holds_in
    half = Box(np.array([2.0**52, 1.0]), np.array([2.0**52, 1.0]))
    assert runs_exactly(network, half, FLOAT64)


@pytest.mark.parametrize("execution", [FLOAT32, FLOAT64])
def test_the_error_of_sums_too_long_to_count_is_infinite(execution: Arithmetic) -> None:
    """γ = n u / (1 − n u) would be negative, and add to a bound what it should take away."""
    longest = int(1 / execution.unit)
    assert 0 < execution.gamma(longest // 2) < math.inf
    assert execution.gamma(longest) == execution.gamma(2 * longest) == math.inf
    assert unit_gamma(longest, execution.unit) == math.inf
    assert bare_gamma(int(1 / UNIT)) == math.inf


def test_ties_are_decided_where_nothing_is_rounded() -> None:
    """3·2 − 5·2 + 7 = 3 in every order; just above it the claim is false."""
    network = layered(([[3.0, -5.0]], [7.0]))
    verdict = prove(claim(network, 2.0, 2.0, 3.0), budget=10.0, execution=FLOAT32)
    assert verdict.is_proved and FLOAT32 in verdict.holds_in
    above = prove(claim(network, 2.0, 2.0, 3.0000001), budget=10.0, execution=FLOAT32)
    assert above.status is Status.REFUTED and not above.holds_in


def test_a_batch_normalisation_is_another_program() -> None:
    """(x − m) + m reads as x, and absorbs x where m is 2^25."""
    mean = np.array([2.0**25])
    builder = NetworkBuilder("memory", (1,), batched=True, open_batch=True)
    ones = np.ones(1)
    value = lowering_images.batch_norm(builder, builder.input, [ones, mean, mean, ones], 0.0)
    value = builder.emit(Affine(np.ones((1, 1)), np.zeros(1)), [value])
    network = builder.finish(value)
    verdict = prove(claim(network, 1.0, 1.5, 0.5), budget=5.0, execution=FLOAT32)
    assert verdict.holds_in == {REAL}
    assert "a batch normalisation" in verdict.reason
    same = replace(network, other_arithmetic=())  # the same real network, and another program
    assert same.hash == network.hash
    assert claim(same, 1.0, 1.5, 0.5).key != claim(network, 1.0, 1.5, 0.5).key


def test_a_division_may_run_as_a_product() -> None:
    """41 / 41 is 1, and 41 times the float32 nearest to 1/41 is 1 − 2^-24."""
    builder = NetworkBuilder("memory", (1,), batched=True, open_batch=True)
    network = builder.finish(lowering.divide(builder, builder.input, np.array([41.0])))
    assert np.float32(41) * np.float32(1 / 41) < 1
    for less, holds in ((1e-9, {REAL}), (2e-7, FLOAT32.covers)):
        asked = claim(network, 41.0, 41.0, 1.0 - less)
        assert not runs_exactly(network, asked.box, FLOAT32)
        assert prove(asked, budget=5.0, execution=FLOAT32).holds_in == holds


@pytest.mark.parametrize(
    ("network", "low", "high"),
    [
        pytest.param(layered(([[1e30]], [0.0]), ([[1.0]], [0.0])), 0.0, 1e30, id="product"),
        pytest.param(layered(([[1e-30]], [1e39])), 0.0, 1.0, id="constant"),
        pytest.param(layered(([[1.0]], [0.0])), 0.0, 1e39, id="input"),
        pytest.param(layered(([[3e38, 3e38, -3e38]], [0.0])), 0.0, 1.0, id="partial sum"),
    ],
)
def test_runs_that_may_overflow_are_refused(network: Network, low: float, high: float) -> None:
    asked = claim(network, low, high, -1e60)
    assert "may exceed the range of float32" in (refusal(asked.problem, FLOAT32) or "")
    assert refusal(asked.problem, FLOAT64) is None
    if high < 1e39:
        assert prove(asked, budget=5.0, execution=FLOAT32).holds_in == {REAL}


def test_underflow_is_counted() -> None:
    """1e-30 · 1e-20 is 0 in float32: 'y > 0' holds of real numbers alone."""
    small = float(np.float32(1e-30))
    network = layered(([[small]], [0.0]))
    strict = Property(((Inequality(((0, 1.0),), 0.0, strict=True),),))
    x = float(np.float32(1e-20))
    asked = Claim(network, Box.uniform(1, x, x), FREE, strict)
    assert prove(asked, budget=5.0, execution=FLOAT32).holds_in == {REAL}
    assert FLOAT64 in prove(asked, budget=5.0, execution=FLOAT64).holds_in


def test_constants_that_are_rounded_first_are_counted() -> None:
    """0.1 x at 1: float32 holds 0.1 as 0.1 + 1.5e-9, so y ≤ 0.1 + 1e-9 is no claim of its run."""
    network = layered(([[0.1]], [0.0]))
    for above, holds in ((1e-9, False), (2e-8, True)):
        below = Property(((Inequality(((0, -1.0),), -0.1 - above),),))
        asked = Claim(network, Box.uniform(1, 1.0, 1.0), FREE, below)
        assert (FLOAT32 in prove(asked, budget=5.0, execution=FLOAT32).holds_in) is holds


def test_literals_are_about_computed_signs() -> None:
    """z = 2^25 x − 2^25 x + 1 is 1, but computed it may be 0: a claim given z ≤ 0 has no real
    input, and some run has one."""
    network = Network(
        (
            Node("z", Affine(np.array([[2.0**25, 1.0, -(2.0**25)]]), np.zeros(1)), (INPUT,)),
            Node("a", ReLU(), ("z",)),
            Node("y", Affine(np.array([[1.0]]), np.array([-1.0])), ("a",)),
        ),
        (3,),
    )
    off = DecisionPattern(off=frozenset({("a", 0)}))
    asked = Claim(network, Box.uniform(3, 1.0, 1.0), off, at_least(0.0))
    run = Runner(network, off).least(np.ones(3, np.float32), np.ones(1), np.random.default_rng(0))
    assert run == -1.0
    verdict = prove(asked, budget=5.0, execution=FLOAT32)
    assert verdict.status is Status.VACUOUS and verdict.holds_in == {REAL}


def test_leaky_slopes_and_means_are_rounded_too() -> None:
    """0.01 x and x / 3, at a point where float32 rounds them."""
    leaky = Network((Node("a", LeakyReLU(0.01), (INPUT,)),), (1,))
    third = Network((Node("m", Sum((0,), True, 1.0 / 3.0), (INPUT,)),), (3,))
    for network, x, value in ((leaky, -1.0, -0.01), (third, 1.0, 1.0)):
        tight = claim(network, x, x, value - 1e-12)
        assert FLOAT32 not in prove(tight, budget=2.0, execution=FLOAT32).holds_in
        loose = claim(network, x, x, value - 1e-6)
        assert FLOAT32 in prove(loose, budget=5.0, execution=FLOAT32).holds_in


# What is kept of it.


def test_verdict_in_json_and_rows_of_older_ledgers() -> None:
    verdict = Verdict(Status.PROVED, "bounds", holds_in=FLOAT32.covers)
    assert verdict.to_json()["holds_in"] == ["real", "float64", "float32"]
    assert Verdict.from_json(verdict.to_json()).holds_in == FLOAT32.covers
    older = verdict.to_json()
    del older["holds_in"]
    assert Verdict.from_json(older).holds_in == {REAL}
    assert not replace(verdict, status=Status.UNKNOWN).holds_in


def test_ledger_serves_only_what_was_shown(tmp_path: Path) -> None:
    """A proof about real numbers is no answer about runs; one about runs is kept beside it."""
    asked = claim(layered(([[1.0]], [1.0])), 0.0, 1.0, 0.5)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert prove(asked, budget=5.0, ledger=ledger).holds_in == {REAL}
        found = prove(asked, budget=5.0, ledger=ledger, execution=FLOAT32)
        assert found.holds_in == FLOAT32.covers
        for execution in Arithmetic:
            assert prove(asked, ledger=ledger, execution=execution).holds_in == FLOAT32.covers
        assert len(ledger) == 1


def test_a_last_activation_is_not_counted() -> None:
    """What is carried over to logits is shown of real numbers; the logits' view says so too."""
    network = replace(layered(([[1.0], [-1.0]], [0.0, 0.0])), output_activation=SOFTMAX)
    for asked in (network, network.logits):
        first = Claim(asked, Box.uniform(1, 1.0, 2.0), FREE, Property.argmax(0, 2))
        verdict = prove(first, budget=5.0, execution=FLOAT32)
        assert verdict.is_proved and verdict.holds_in == {REAL}


def test_sides_of_both_signs_of_zero() -> None:
    """A box from 0 to −0 is the point 0, where y = relu(0) + 1."""
    network = layered(([[1.0]], [0.0]), ([[1.0]], [1.0]))
    asked = Claim(network, Box(np.array([0.0]), np.array([-0.0])), FREE, at_least(0.5))
    assert prove(asked, budget=5.0, execution=FLOAT32).holds_in == FLOAT32.covers


def test_execution_is_one_of_the_arithmetics() -> None:
    with pytest.raises(ArgumentError, match="execution: expected an Arithmetic"):
        prove(claim(ABSOLUTE, -1.0, 1.0, 0.0), execution="float32")  # type: ignore[arg-type]


def test_both_sides_of_an_absolute_value() -> None:
    """|x| ≥ −1e-6 over [−1, 1], where float sums of relu(x) and relu(−x) are exact but counted."""
    verdict = prove(claim(ABSOLUTE, -1.0, 1.0, -1e-6), budget=5.0, execution=FLOAT32)
    assert verdict.holds_in == FLOAT32.covers
