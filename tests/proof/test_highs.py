"""LP, safe bounds and MILP against networks worked by hand and against phase enumeration."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from clocks import HANG, slow_but
from scipy.optimize import linprog
from small_networks import ABSOLUTE, IDENTITY, below, layered, mixed, random_net

from precond.network.evaluate import outputs, values_at
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, LeakyReLU, MaxPool2d, Node, ReLU
from precond.proof.claim import Claim, HalfSpaces, Problem
from precond.proof.engines.base import Deadline, Outcome, decides
from precond.proof.engines.highs import (
    HighsEngine,
    State,
    is_satisfiable,
    relaxation_bounds,
)
from precond.proof.linear.encode import encode, interval_bounds
from precond.proof.linear.interior import well_inside
from precond.proof.linear.programs import Program
from precond.proof.linear.system import safe_upper
from precond.proof.replay import replay
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

pytest.importorskip("highspy")
SOON = 600.0


def problem(
    network: Network,
    box: Box,
    prop: Property,
    pattern: DecisionPattern | None = None,
    halfspaces: HalfSpaces | None = None,
) -> Problem:
    return Claim(network, box, pattern or DecisionPattern(), prop, halfspaces).problem


def enumerated(claim: Problem) -> float | None:
    """max over the region of min_i g_i of the first conjunct, by an LP per phase combination.

    Fully connected networks with ReLUs; None where the region is empty.
    """
    network = claim.network
    affines = [n.layer for n in network.nodes if isinstance(n.layer, Affine)]
    widths = [network.width(layer) for layer in network.decision_layers]
    c, e, d = claim.rows(claim.conjuncts[0])
    best: float | None = None
    for bits in itertools.product((0.0, 1.0), repeat=sum(widths)):
        phases = np.split(np.array(bits), np.cumsum(widths)[:-1])
        matrix, constant = np.eye(network.input_size), np.zeros(network.input_size)
        rows, limits = [], []
        for k, layer in enumerate(affines):
            matrix, constant = layer.weight @ matrix, layer.weight @ constant + layer.bias
            if k < len(widths):
                sign = 1 - 2 * phases[k]
                rows.append(sign[:, None] * matrix)
                limits.append(-sign * constant)
                name = network.decision_layers[k]
                if name in claim.intervals:
                    low, high = claim.intervals[name]
                    rows += [-matrix[np.isfinite(low)], matrix[np.isfinite(high)]]
                    limits += [(constant - low)[np.isfinite(low)]]
                    limits += [(high - constant)[np.isfinite(high)]]
                matrix, constant = phases[k][:, None] * matrix, phases[k] * constant
        a = np.vstack(rows) if rows else np.zeros((0, network.input_size))
        b = np.concatenate(limits) if limits else np.zeros(0)
        if claim.halfspaces is not None:
            a = np.vstack([a, claim.halfspaces.matrix])
            b = np.concatenate([b, claim.halfspaces.bound])
        g = c @ matrix + e
        g0 = c @ constant - d
        a = np.vstack([np.c_[a, np.zeros(len(a))], np.c_[-g, np.ones(len(g))]])
        b = np.concatenate([b, g0])
        bounds = [*zip(claim.box.lower, claim.box.upper, strict=True), (None, None)]
        found = linprog(np.r_[np.zeros(network.input_size), -1.0], a, b, bounds=bounds)
        if found.status == 0 and (best is None or -found.fun > best):
            best = -found.fun
    return best


def test_triangle_bound_by_hand() -> None:
    """relu(x), x ∈ [−1, 3]: the triangle's top over x ≤ 1 is 3 (1 + 1) / 4 = 1.5."""
    network = layered(([[1.0]], [0.0]), last=True)
    half = HalfSpaces(np.array([[1.0]]), np.array([1.0]))
    claim = problem(network, Box(np.array([-1.0]), np.array([3.0])), below(0, 0.0), None, half)
    bounds = {"relu0": (np.array([-1.0]), np.array([3.0]))}
    (found,) = relaxation_bounds(claim, bounds, Deadline.after(SOON))
    assert found.bound == pytest.approx(-1.5, abs=1e-9)
    assert found.bound <= -1.5
    assert found.x == pytest.approx([1.0])


def test_lower_slope_by_hand() -> None:
    """−relu(x) on [−1, 1] with x ≥ 0.5: its maximum −0.5 uses the line y ≥ x, slope 1;
    with x ≤ −0.5 the maximum 0 uses y ≥ 0, slope 0."""
    network = layered(([[1.0]], [0.0]), ([[-1.0]], [0.0]))
    bounds = {"relu0": (np.array([-1.0]), np.array([1.0]))}
    for sign, value, slope in ((-1.0, 0.5, 1.0), (1.0, 0.0, 0.0)):
        half = HalfSpaces(np.array([[sign]]), np.array([-0.5]))
        claim = problem(network, Box.uniform(1, -1, 1), below(0, 0.0), None, half)
        (found,) = relaxation_bounds(claim, bounds, Deadline.after(SOON))
        assert found.value == pytest.approx(value, abs=1e-9)
        assert found.alpha["relu0"] == pytest.approx([slope])


def test_pattern_multiplier_by_hand() -> None:
    """y = x on [−1, 1] under "off" (x ≤ 0): the maximum 0 rests on that literal, β = 1."""
    network = Network(
        (
            Node("z0", Affine(np.array([[1.0]]), np.array([0.0])), (INPUT,)),
            Node("relu0", ReLU(), ("z0",)),
            Node("z1", Affine(np.array([[1.0]]), np.array([0.0])), (INPUT,)),
        ),
        (1,),
    )
    pattern = DecisionPattern(off=frozenset({("relu0", 0)}))
    claim = problem(network, Box.uniform(1, -1.0, 1.0), below(0, 0.0), pattern)
    (found,) = relaxation_bounds(claim, interval_bounds(claim), Deadline.after(SOON))
    low, high = found.beta["relu0"]
    assert found.value == pytest.approx(0.0, abs=1e-9)
    assert (low[0], high[0]) == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize(
    ("network", "limit", "outcome"),
    [
        (ABSOLUTE, 2.5, Outcome.INFEASIBLE),
        (ABSOLUTE, 1.5, Outcome.WITNESS),
        (IDENTITY, 2.5, Outcome.INFEASIBLE),
        (IDENTITY, 1.5, Outcome.WITNESS),
    ],
)
def test_known_maxima(network: Network, limit: float, outcome: Outcome) -> None:
    """On [−2, 2] both |x| and x reach 2 and no more."""
    claim = problem(network, Box.uniform(1, -2.0, 2.0), below(0, limit))
    (answer,) = HighsEngine().solve(claim, Deadline.after(SOON))
    assert answer.outcome is outcome
    if answer.witness is not None:
        assert outputs(network, answer.witness[None])[0, 0] >= limit


def test_maximum_of_two() -> None:
    """max(x₀, x₁) − x₀ on [0, 1]² is at most 1 and reaches it only at (0, 1)."""
    network = Network((Node("pool", MaxPool2d((1, 2), (1, 2)), (INPUT,)),), (1, 1, 2))
    box = Box.uniform(2, 0.0, 1.0)
    for limit, outcome in ((1.01, Outcome.INFEASIBLE), (0.95, Outcome.WITNESS)):
        prop = Property(((Inequality(((0, -1.0),), -limit, True, ((0, 1.0),)),),))
        (answer,) = HighsEngine().solve(problem(network, box, prop), Deadline.after(SOON))
        assert answer.outcome is outcome
    assert answer.witness is not None and answer.witness[1] - answer.witness[0] >= 0.95


@pytest.mark.parametrize("seed", slow_but(range(4), range(12)))
def test_milp_and_safe_bound_against_enumeration(seed: int) -> None:
    """The safe bound never exceeds the true minimum; MILP decides each side of it rightly."""
    rng = np.random.default_rng(seed)
    network = random_net(rng, 2, 4, 3, 2)
    box = Box.uniform(2, -1.0, 1.0)
    layer = network.decision_layers[seed % 2]
    pattern = DecisionPattern(frozenset({(layer, 0)})) if seed % 3 else DecisionPattern()
    half = HalfSpaces(rng.normal(size=(1, 2)), np.array([0.5])) if seed % 4 == 0 else None
    claim = problem(network, box, below(0, 0.0), pattern, half)
    top = enumerated(claim)
    (relaxed,) = relaxation_bounds(claim, interval_bounds(claim), Deadline.after(SOON))
    if top is None:
        assert HighsEngine().solve(claim, Deadline.after(SOON))[0].outcome is Outcome.INFEASIBLE
        return
    assert relaxed.bound is not None and relaxed.value is not None
    assert relaxed.bound <= -top + 1e-9
    assert relaxed.bound == pytest.approx(relaxed.value, abs=1e-6)
    for shift, outcome in ((1e-3, Outcome.INFEASIBLE), (-1e-3, Outcome.WITNESS)):
        moved = problem(network, box, below(0, top + shift), pattern, half)
        (answer,) = HighsEngine().solve(moved, Deadline.after(SOON))
        assert answer.outcome is outcome
        assert answer.bound is None or answer.bound <= shift + 1e-9


@pytest.mark.parametrize("seed", range(6))
def test_conjunction_against_enumeration(seed: int) -> None:
    """Two inequalities at once: max min(g₀, g₁)."""
    rng = np.random.default_rng(100 + seed)
    network = random_net(rng, 2, 3, 3, 2)
    box = Box.uniform(2, -1.0, 1.0)

    def both(shift: float) -> Problem:
        clause = (
            Inequality(((0, -1.0),), -shift, strict=True),
            Inequality(((0, 0.5), (1, -1.0)), -shift, strict=True),
        )
        return problem(network, box, Property((clause,)))

    top = enumerated(both(0.0))
    assert top is not None
    (relaxed,) = relaxation_bounds(both(0.0), {}, Deadline.after(SOON))
    assert relaxed.bound is not None and relaxed.weights is not None
    assert relaxed.bound <= -top + 1e-9
    assert relaxed.weights.sum() == pytest.approx(1.0)
    assert relaxed.bound == pytest.approx(relaxed.value, abs=1e-6)
    for shift, outcome in ((top + 1e-3, "infeasible"), (top - 1e-3, "witness")):
        (answer,) = HighsEngine().solve(both(shift), Deadline.after(SOON))
        assert answer.outcome.value == outcome


def closed(network: Network, x: np.ndarray) -> DecisionPattern:
    parts = []
    for layer in network.decision_layers:
        z = values_at(network, x[None], network.pre_activation(layer))[0]
        parts.append(DecisionPattern.of_phases(layer, np.where(z > 0, 1, -1)))
    result = parts[0]
    for part in parts[1:]:
        result &= part
    return result


@pytest.mark.parametrize("seed", range(6))
def test_closed_pattern_is_exact_and_rigorous(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_net(rng, 2, 4, 3, 2)
    box = Box.uniform(2, -1.0, 1.0)
    pattern = closed(network, box.sample(1, rng)[0])
    claim = problem(network, box, below(0, 0.0), pattern)
    top = enumerated(claim)
    assert top is not None
    (relaxed,) = relaxation_bounds(claim, {}, Deadline.after(SOON))
    assert relaxed.bound == pytest.approx(-top, abs=1e-8)
    (proof,) = HighsEngine().solve(
        problem(network, box, below(0, top + 1e-6), pattern), Deadline.after(SOON)
    )
    assert proof.outcome is Outcome.INFEASIBLE and proof.rigorous
    assert proof.bound == pytest.approx(1e-6, abs=1e-9)
    gap = 0.1 * (abs(top) + 1)
    (refuted,) = HighsEngine().solve(
        problem(network, box, below(0, top - gap), pattern), Deadline.after(SOON)
    )
    assert refuted.outcome is Outcome.WITNESS and refuted.witness is not None
    assert outputs(network, refuted.witness[None])[0, 0] > top - gap


@pytest.mark.parametrize("seed", range(5))
def test_safe_bound_needs_no_trust_in_the_duals(seed: int) -> None:
    """Whatever multipliers are given, the bound is above the true maximum."""
    rng = np.random.default_rng(seed)
    network = random_net(rng, 3, 6, 6, 1)
    claim = problem(network, Box.uniform(3, -1.0, 1.0), below(0, 0.0))
    system = encode(claim, interval_bounds(claim))
    form = system.margins(claim, claim.conjuncts[0])
    y = outputs(network, claim.box.sample(2000, rng))[:, 0].max()
    for scale in (0.0, 0.1, 1.0, 100.0):
        duals = scale * rng.normal(size=system.matrix.shape[0])
        assert safe_upper(system, form, np.ones(1), duals) >= y


def test_multipliers_reproduce_the_bound_without_the_lp() -> None:
    """A hand-written backward pass with the LP's α and β gives (nearly) the LP's bound."""
    rng = np.random.default_rng(5)
    gaps = []
    for _ in range(8):
        network = random_net(rng, 3, 8, 8, 1)
        x = rng.uniform(-1, 1, size=3)
        pattern = closed(network, x).only(["relu1"])
        claim = problem(network, Box.uniform(3, -1.0, 1.0), below(0, 0.0), pattern)
        bounds = interval_bounds(claim)
        (found,) = relaxation_bounds(claim, bounds, Deadline.after(SOON))
        system = encode(claim, bounds)
        affines = [n.layer for n in network.nodes if isinstance(n.layer, Affine)]
        # bound −y from below: form · a + constant, backwards
        form = -affines[2].weight[0]
        constant = -affines[2].bias[0]
        for k in (1, 0):
            layer = f"relu{k}"
            where = system.layers[layer]
            low, high, free = where.low, where.high, where.free
            slope = np.where(low >= 0, 1.0, 0.0)
            if layer in found.alpha:
                upper = high / np.where(free, high - low, 1.0)
                slope = np.where(free, np.where(form > 0, found.alpha[layer], upper), slope)
            constant -= np.sum(np.where(free & (form < 0), -form * slope * -low, 0.0))
            form = form * slope
            if layer in found.beta:
                form = form - found.beta[layer][0] + found.beta[layer][1]
            constant += form @ affines[k].bias
            form = form @ affines[k].weight
        bound = constant - np.abs(form).sum()
        assert found.bound is not None
        assert bound <= found.bound + 1e-7
        gaps.append(found.bound - bound)
    assert np.median(gaps) < 1e-6


def test_leaky_relu_against_sampling() -> None:
    """y = leaky(x) + leaky(−x) = 0.9 |x| for slope 0.1: its maximum on [−2, 1] is 1.8."""
    network = Network(
        (
            Node("z0", Affine(np.array([[1.0], [-1.0]]), np.array([0.0, 0.0])), (INPUT,)),
            Node("leaky", LeakyReLU(0.1), ("z0",)),
            Node("z1", Affine(np.array([[1.0, 1.0]]), np.array([0.0])), ("leaky",)),
        ),
        (1,),
    )
    box = Box(np.array([-2.0]), np.array([1.0]))
    for limit, outcome in ((1.81, Outcome.INFEASIBLE), (1.79, Outcome.WITNESS)):
        (answer,) = HighsEngine().solve(problem(network, box, below(0, limit)), Deadline.after(600))
        assert answer.outcome is outcome


def test_vacuous_pattern_is_shown_empty() -> None:
    """x₀ + x₁ ≥ 0, x₀ + 2 x₁ + 1 ≤ 0, x₀ ≥ 0.5 need −x₀ ≤ x₁ ≤ −(x₀ + 1)/2, so x₀ ≥ 1."""
    network = layered(([[1.0, 1.0], [1.0, 2.0], [1.0, 0.0]], [0.0, 1.0, -0.5]), ([[1.0] * 3], [0]))
    on = frozenset({("relu0", 0), ("relu0", 2)})
    pattern = DecisionPattern(on, frozenset({("relu0", 1)}))
    for high, empty in ((0.9, True), (2.0, False)):
        box = Box(np.array([0.0, -3.0]), np.array([high, 3.0]))
        claim = problem(network, box, below(0, 0.0), pattern)
        found = is_satisfiable(claim, interval_bounds(claim), Deadline.after(SOON))
        assert found.empty is empty
        if empty:
            assert found.rigorous
            (answer,) = HighsEngine().solve(claim, Deadline.after(SOON))
            assert answer.outcome is Outcome.INFEASIBLE and answer.rigorous
        else:
            assert found.slack is not None and found.slack > 0.01
            assert found.point is not None
            z = values_at(network, found.point[None], "z0")[0]
            assert z[0] > 0.01 and z[1] < -0.01 and z[2] > 0.01


def test_infeasible_relaxation_is_certified_by_its_ray() -> None:
    """2 relu(x) − relu(2x) − 1 = −1 for x ≥ 0 cannot be on, though intervals allow it."""
    network = layered(([[1.0], [2.0]], [0.0, 0.0]), ([[2.0, -1.0]], [-1.0]), ([[1.0]], [0.0]))
    pattern = DecisionPattern(frozenset({("relu0", 0), ("relu1", 0)}))
    claim = problem(network, Box.uniform(1, -4.0, 4.0), below(0, 0.0), pattern)
    assert encode(claim, {}).empty is None
    found = is_satisfiable(claim, {}, Deadline.after(SOON))
    assert found.empty is True and found.rigorous
    (relaxed,) = relaxation_bounds(claim, {}, Deadline.after(SOON))
    assert relaxed.state is State.INFEASIBLE and relaxed.bound == np.inf


def test_boundary_counts_as_proof_only_for_strict_violations() -> None:
    strict = Inequality(((0, 1.0),), 1.0, strict=True)
    assert decides(0.0, (strict,))
    assert not decides(0.0, (Inequality(((0, 1.0),), 1.0),))
    assert not decides(None, (strict,))


def test_time_limit_is_kept() -> None:
    rng = np.random.default_rng(0)
    network = random_net(rng, 60, 80, 80, 80, 10)
    claim = problem(network, Box.uniform(60, -1.0, 1.0), Property.argmax(0, 10))
    start = time.monotonic()
    answers = HighsEngine().solve(claim, Deadline.after(0.5))
    assert time.monotonic() - start < HANG
    assert len(answers) == 9
    assert all(a.outcome is not Outcome.INFEASIBLE for a in answers)


@pytest.mark.parametrize("seed", range(3))
def test_every_layer_kind(seed: int) -> None:
    """No sample beats the safe bound; MILP's word fits the samples; its witness replays."""
    rng = np.random.default_rng(seed)
    network = mixed(rng)
    box = Box.uniform(16, -0.5, 0.5)
    asked = Claim(network, box, DecisionPattern(), below(0, 0.0))
    y = outputs(network, box.sample(4000, rng))[:, 0]
    (relaxed,) = relaxation_bounds(asked.problem, {}, Deadline.after(SOON))
    assert relaxed.bound is not None and -relaxed.bound >= y.max()
    engine = HighsEngine(milp_neurons=200)
    reachable = Claim(network, box, DecisionPattern(), below(0, float(y.max())))
    (answer,) = engine.solve(reachable.problem, Deadline.after(SOON))
    assert answer.outcome is Outcome.WITNESS and answer.witness is not None
    assert replay(reachable, answer.witness).counts
    system = encode(asked.problem, interval_bounds(asked.problem))
    assert system.pools and system.open > len(system.pools), seed
    limit = Program(system).integer(
        system.margins(asked.problem, asked.problem.conjuncts[0]), Deadline.after(SOON)
    )
    assert limit.value is not None and y.max() - 1e-6 <= limit.value
    assert limit.value <= -relaxed.bound + 1e-6
    x = limit.x
    assert x is not None
    assert outputs(network, x[None])[0, 0] == pytest.approx(limit.value, abs=1e-5)


def test_interior_point_start_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large programs start with the interior point method; the bounds are the same."""
    rng = np.random.default_rng(7)
    network = random_net(rng, 4, 10, 10, 3)
    claim = problem(network, Box.uniform(4, -1.0, 1.0), Property.argmax(0, 3))
    bounds = interval_bounds(claim)
    simplex = relaxation_bounds(claim, bounds, Deadline.after(SOON))
    monkeypatch.setattr("precond.proof.linear.programs.LARGE", 0)
    interior = relaxation_bounds(claim, bounds, Deadline.after(SOON))
    assert [r.bound for r in interior] == pytest.approx([r.bound for r in simplex], abs=1e-6)


def test_well_inside_moves_a_border_point_inwards() -> None:
    """x = 1 with "on" and y = x ≥ 1 on [−2, 2]: the most slack is between the border and 2."""
    pattern = DecisionPattern(frozenset({("relu0", 0)}))
    claim = problem(IDENTITY, Box.uniform(1, -2.0, 2.0), below(0, 1.0), pattern)
    x = well_inside(claim, claim.conjuncts[0], np.array([1.0]), Deadline.after(SOON))
    assert x == pytest.approx([2.0])
    left = well_inside(claim, claim.conjuncts[0], np.array([-1.0]), Deadline.after(SOON))
    assert left is None
