"""Linear bounds against exact rational minima: never above, whatever the scale."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from clocks import slow_but
from known import KNOWN, Known
from scipy.optimize import linprog

from precond.network.exact import exact_values
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Sum,
)
from precond.network.operators import operators
from precond.proof.bounds.backward import Multipliers, lower_bound
from precond.proof.bounds.multipliers import improve
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.problem import region_of
from precond.proof.bounds.region import refine
from precond.proof.claim import Claim, HalfSpaces, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.base import Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

SCALES = ("normal", "rows", "small", "ties", "huge", "mixed")


def weights(rng: np.random.Generator, scale: str, *shape: int) -> np.ndarray:
    """Weights of one kind of size; ``huge`` and ``mixed`` spread over many powers of ten."""
    if scale == "ties":
        return rng.integers(-2, 3, size=shape).astype(np.float64)
    values = rng.normal(size=shape)
    rows = (shape[0], *[1] * (len(shape) - 1))
    match scale:
        case "rows":
            return values * 10.0 ** rng.uniform(-3, 3, size=rows)
        case "small":
            return values * 1e-3
        case "huge":
            return values * 10.0 ** rng.uniform(-20, 20, size=rows)
        case "mixed":
            return values * 10.0 ** rng.uniform(-8, 8, size=shape)
    return values


def affine(name: str, rng: np.random.Generator, scale: str, m: int, n: int, source: str) -> Node:
    weight, bias = weights(rng, scale, m, n), weights(rng, scale, m)
    return Node(name, Affine(weight, bias), (source,))


def line_network(rng: np.random.Generator, scale: str, leaky: bool) -> Network:
    """One input, two layers of activations, one output, with a skip connection."""
    act = LeakyReLU(0.1) if leaky else ReLU()
    return Network(
        (
            affine("z0", rng, scale, 4, 1, INPUT),
            Node("a0", act, ("z0",)),
            affine("z1", rng, scale, 4, 4, "a0"),
            Node("sum", Add((1.0, -0.75)), ("z1", "z0")),
            Node("a1", act, ("sum",)),
            affine("y", rng, scale, 1, 4, "a1"),
        ),
        (1,),
    )


def pieces(network: Network, low: Fraction, high: Fraction) -> list[Fraction]:
    """Breakpoints of a one-input network in [low, high], exactly: layer by layer the zeros of
    every pre-activation, which is linear between the breakpoints found so far."""
    points = [low, high]
    for layer in network.decision_layers:
        source = network.pre_activation(layer)
        values = [rational(network, x)[source] for x in points]
        found = set(points)
        for (x0, z0), (x1, z1) in zip(
            zip(points, values, strict=True),
            list(zip(points, values, strict=True))[1:],
            strict=False,
        ):
            for a, b in zip(z0, z1, strict=True):
                if a * b < 0:
                    found.add(x0 + (x1 - x0) * a / (a - b))
        points = sorted(found)
    return points


def rational(network: Network, x: Fraction) -> dict[str, list[Fraction]]:
    """Every value of a ``line_network`` at a rational input, by the definition."""
    values = {INPUT: [x]}
    for node in network.nodes:
        sources = [values[s] for s in node.inputs]
        match node.layer:
            case Affine(weight, bias):
                values[node.name] = [
                    sum((Fraction(float(w)) * v for w, v in zip(row, sources[0], strict=True)), b)
                    for row, b in zip(weight, [Fraction(float(b)) for b in bias], strict=True)
                ]
            case Add(coefficients):
                values[node.name] = [
                    sum(
                        (Fraction(c) * v for c, v in zip(coefficients, part, strict=True)),
                        Fraction(0),
                    )
                    for part in zip(*sources, strict=True)
                ]
            case ReLU():
                values[node.name] = [max(v, Fraction(0)) for v in sources[0]]
            case LeakyReLU(slope):
                values[node.name] = [v if v > 0 else Fraction(slope) * v for v in sources[0]]
    return values


def output_bounds(problem: Problem, form: np.ndarray, steps: int) -> np.ndarray:
    refined = region_of(problem)
    rows = torch.tensor(form, dtype=torch.float64)[None]
    constant = torch.zeros(1, len(form), dtype=torch.float64)
    bound, _ = improve(
        refined.region,
        Objective(problem.network.output, rows, constant),
        steps=steps,
        deadline=Deadline.after(600.0),
        goal=float("inf"),
    )
    return bound.value[0].numpy()


ALWAYS = Property(((Inequality(((0, 1.0),), 0.0),),))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("leaky", [False, True])
def test_never_above_the_exact_minimum_on_a_line(scale: str, leaky: bool) -> None:
    """Exact minimum and maximum of y: at a breakpoint or an end, in fractions."""
    rng = np.random.default_rng(SCALES.index(scale))
    for trial in range(12):
        network = line_network(rng, scale, leaky)
        centre, width = rng.normal(), 10.0 ** rng.uniform(-9, 1)
        box = Box(np.array([centre]), np.array([centre + width]))
        points = pieces(network, Fraction(box.lower[0]), Fraction(box.upper[0]))
        values = [rational(network, x)["y"][0] for x in points]
        problem = Claim(network, box, DecisionPattern(), ALWAYS).problem
        below, above = output_bounds(problem, np.array([[1.0], [-1.0]]), 5 * (trial % 2))
        assert Fraction(float(below)) <= min(values)
        assert Fraction(-float(above)) >= max(values)


@pytest.mark.parametrize(
    "scale", slow_but(("normal", "mixed"), ("normal", "rows", "ties", "mixed"))
)
def test_pattern_multipliers_never_pass_the_exact_minimum(scale: str) -> None:
    """The region is cut by literals; any β ≥ 0 keeps the bound below the minimum in it."""
    rng = np.random.default_rng(10)
    checked = 0
    for _ in range(25):
        network = line_network(rng, scale, False)
        box = Box.uniform(1, -1.0, 1.0)
        layer = network.decision_layers[int(rng.integers(2))]
        pattern = DecisionPattern.of_row(record(network, box.sample(1, rng)), 0, [layer])
        points = pieces(network, Fraction(-1), Fraction(1))
        low, high = pattern.intervals(network)[layer]
        inside = []
        for x in points:
            values = rational(network, x)
            z = values[network.pre_activation(layer)]
            if all(a <= v <= b for a, v, b in zip(low, z, high, strict=True)):
                inside.append(values["y"][0])
        if not inside:
            continue
        checked += 1
        problem = Claim(network, box, pattern, ALWAYS).problem
        refined = region_of(problem)
        assert not bool(refined.empty[0])
        size = network.width(layer)
        for factor in (0.0, 0.1, 1.0, 100.0):
            beta = [torch.tensor(factor * rng.random(size))[None, None] for _ in range(2)]
            chosen = Multipliers(low={layer: beta[0]}, high={layer: beta[1]})
            form = torch.ones(1, 1, 1, dtype=torch.float64)
            bound = lower_bound(refined.region, Objective("y", form, torch.zeros(1, 1)), chosen)
            assert Fraction(float(bound.value[0, 0])) <= min(inside)
        assert Fraction(float(output_bounds(problem, np.ones((1, 1)), 20)[0])) <= min(inside)
    assert checked >= 10


def picture_network(rng: np.random.Generator, scale: str) -> Network:
    """Every layer kind once: conv, scale, max-pool with padding, select, concat, sum, add."""
    pool = MaxPool2d((2, 2), (1, 1), (1, 0, 0, 1))
    order = rng.permutation(9)
    order[0] = -1  # one entry comes from padding
    return Network(
        (
            Node("conv", Conv2d(weights(rng, scale, 1, 1, 2, 2), weights(rng, scale, 1)), (INPUT,)),
            Node("scale", Scale(weights(rng, scale, 1, 1, 1), weights(rng, scale, 1)), ("conv",)),
            Node("a0", LeakyReLU(0.25), ("scale",)),
            Node(
                "padded",
                Conv2d(
                    weights(rng, scale, 1, 1, 2, 2), weights(rng, scale, 1), padding=(1, 1, 1, 1)
                ),
                ("a0",),
            ),
            Node("a1", ReLU(), ("padded",)),
            Node("pool", pool, ("a1",)),
            Node("taken", Select(order, (9,), 0.5), ("pool",)),
            Node("flat", Reshape((4,)), ("a0",)),
            Node("both", Concat(0), ("taken", "flat")),
            Node("sum", Sum((0,), True, 0.3), ("both",)),
            affine("z", rng, scale, 1, 13, "both"),
            Node("last", Add((1.0, 1.0)), ("z", "sum")),
            Node("a2", ReLU(), ("last",)),
            affine("y", rng, scale, 2, 1, "a2"),
        ),
        (1, 3, 3),
    )


@pytest.mark.parametrize("scale", SCALES)
def test_every_layer_bound_contains_exact_values(scale: str) -> None:
    """All intervals, and a bound of every output, against exact values at corners and inside."""
    rng = np.random.default_rng(SCALES.index(scale))
    for _ in range(4):
        network = picture_network(rng, scale)
        centre = rng.normal(size=9)
        width = 10.0 ** rng.uniform(-8, 0)
        box = Box(centre - width, centre + width)
        problem = Claim(network, box, DecisionPattern(), ALWAYS).problem
        refined = region_of(problem)
        corners = np.where(rng.random((12, 9)) < 0.5, box.lower, box.upper)
        below = output_bounds(problem, np.concatenate([np.eye(2), -np.eye(2)]), 3)
        for x in np.concatenate([corners, box.sample(6, rng)]):
            values = exact_values(network, x)
            for name, (low, high) in refined.bounds.items():
                exact = values[network.node[name].inputs[0]].fractions()
                for v, a, b in zip(exact, low[0].tolist(), high[0].tolist(), strict=True):
                    assert Fraction(a) <= v <= Fraction(b)
            y = values["y"].fractions()
            for k in range(2):
                assert Fraction(float(below[k])) <= y[k] <= Fraction(-float(below[2 + k]))


def test_half_space_multipliers_reach_the_optimum() -> None:
    """x₀ + x₁ on [0, 1]² under x₀ + 2 x₁ ≥ 1: 1/2 at (0, 1/2)."""
    network = Network((Node("y", Affine(np.ones((1, 2)), np.zeros(1)), (INPUT,)),), (2,))
    half = HalfSpaces(np.array([[-1.0, -2.0]]), np.array([-1.0]))
    problem = Claim(network, Box.uniform(2, 0.0, 1.0), DecisionPattern(), ALWAYS, half).problem
    for steps in (0, 300):
        (value,) = output_bounds(problem, np.ones((1, 1)), steps)
        assert 0.5 - 1e-9 < value <= 0.5


@pytest.mark.parametrize("seed", range(3))
def test_the_best_multiplier_of_one_half_space_is_the_linear_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    forms, row = rng.integers(-3, 4, (20, 6)).astype(float), rng.integers(-2, 3, 6).astype(float)
    limit = float(row @ rng.random(6))
    network = Network((Node("y", Affine(forms, np.zeros(20)), (INPUT,)),), (6,))
    half = HalfSpaces(row[None], np.array([limit]))
    problem = Claim(network, Box.uniform(6, 0.0, 1.0), DecisionPattern(), ALWAYS, half).problem
    values = output_bounds(problem, np.eye(20), 0)
    for form, value in zip(forms, values, strict=True):
        solved = linprog(form, A_ub=row[None], b_ub=[limit], bounds=(0, 1))
        assert solved.fun - 1e-9 < value <= solved.fun + 1e-12


def test_a_half_space_bounds_the_first_layer() -> None:
    """Of ten numbers in [0, 1] that sum up to 9 or more the sum less 8.5 is never negative."""
    nodes = (
        Node("z", Affine(np.ones((1, 10)), np.array([-8.5])), (INPUT,)),
        Node("a", ReLU(), ("z",)),
    )
    half = HalfSpaces(-np.ones((1, 10)), np.array([-9.0]))
    problem = Claim(
        Network(nodes, (10,)), Box.uniform(10, 0.0, 1.0), DecisionPattern(), ALWAYS, half
    ).problem
    for used, least in ((True, 0.5), (False, -8.5)):
        low, high = region_of(problem, half=used).bounds["a"]
        assert float(low) == pytest.approx(least) and float(low) <= least
        assert float(high) == pytest.approx(1.5)


def test_negative_multipliers_count_as_zero() -> None:
    network = Network((Node("y", Affine(np.ones((1, 2)), np.zeros(1)), (INPUT,)),), (2,))
    half = HalfSpaces(np.array([[1.0, 1.0]]), np.array([1.0]))
    problem = Claim(network, Box.uniform(2, 0.0, 1.0), DecisionPattern(), ALWAYS, half).problem
    region = region_of(problem).region
    wrong = Multipliers(half=torch.full((1, 1, 1), -5.0, dtype=torch.float64))
    form = torch.ones(1, 1, 1, dtype=torch.float64)
    bound = lower_bound(region, Objective("y", form, torch.zeros(1, 1)), wrong)
    assert float(bound.value[0, 0]) <= 0.0


def test_empty_half_space_is_seen() -> None:
    """x₀ + x₁ ≥ 3 has no point in [0, 1]²."""
    network = Network((Node("y", Affine(np.ones((1, 2)), np.zeros(1)), (INPUT,)),), (2,))
    half = HalfSpaces(np.array([[-1.0, -1.0]]), np.array([-3.0]))
    problem = Claim(network, Box.uniform(2, 0.0, 1.0), DecisionPattern(), ALWAYS, half).problem
    assert bool(region_of(problem).empty[0])


@pytest.mark.parametrize("known", [pytest.param(k, id=k.name) for k in KNOWN])
def test_an_empty_region_is_only_called_so_when_it_is(known: Known) -> None:
    if bool(region_of(known.claim.problem).empty[0]):
        assert known.status.value == "vacuous"


def chain(*factors: float, relu: bool) -> Network:
    """y = factors · … · x, with ReLUs between if asked for."""
    nodes: list[Node] = []
    source = INPUT
    for k, factor in enumerate(factors):
        nodes.append(Node(f"z{k}", Affine(np.array([[factor]]), np.zeros(1)), (source,)))
        source = f"z{k}"
        if relu:
            nodes.append(Node(f"a{k}", ReLU(), (source,)))
            source = f"a{k}"
    return Network(tuple(nodes), (1,))


@pytest.mark.parametrize("relu", [False, True])
def test_underflow_of_coefficients_is_counted(relu: bool) -> None:
    """1e38⁸ · 1e−45⁸ = 1e−56: carried backwards the coefficient underflows to 0, but y > 0."""
    network = chain(*[1e38] * 8, *[1e-45] * 8, relu=relu)
    box = Box(np.array([1.0]), np.array([1.5]))
    below = Property(((Inequality(((0, -1.0),), -1e-57),),))
    (answer,) = BoundsEngine(steps=3).solve(
        Claim(network, box, DecisionPattern(), below).problem, Deadline.after(600.0)
    )
    assert answer.outcome is not Outcome.INFEASIBLE


def test_overflow_proves_nothing() -> None:
    """1e200² is beyond float64; y = x all the same, so y ≤ 1.2 is false on [1, 1.5]."""
    network = chain(1e200, 1e200, 1e-200, 1e-200, relu=True)
    below = Property(((Inequality(((0, -1.0),), -1.2),),))
    box = Box(np.array([1.0]), np.array([1.5]))
    claim = Claim(network, box, DecisionPattern(), below)
    (answer,) = BoundsEngine(steps=3).solve(claim.problem, Deadline.after(600.0))
    assert answer.outcome is not Outcome.INFEASIBLE


def test_batches_agree_with_single_boxes() -> None:
    """Refining many boxes at once gives what each gives alone."""
    rng = np.random.default_rng(0)
    network = picture_network(rng, "normal")
    ops = operators(network, "cpu", torch.float64)
    centres = rng.normal(size=(7, 9))
    lower, upper = torch.tensor(centres - 0.1), torch.tensor(centres + 0.1)
    with torch.no_grad():
        together = refine(ops, lower, upper)
        for row in range(7):
            alone = refine(ops, lower[row : row + 1], upper[row : row + 1])
            for name, (low, high) in together.bounds.items():
                torch.testing.assert_close(low[row], alone.bounds[name][0][0])
                torch.testing.assert_close(high[row], alone.bounds[name][1][0])
