"""Marabou on hand-worked networks, on its known traps, and as a process that can be killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from clocks import HANG
from small_networks import ABSOLUTE, IDENTITY, below, layered, mixed, random_net

from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, LeakyReLU, MaxPool2d, Node, ReLU
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.engines.base import Deadline, Outcome
from precond.proof.engines.marabou.engine import MarabouEngine, well_scaled
from precond.proof.engines.marabou.query import MarabouQuery, build_query
from precond.proof.processes.child import ChildProcess
from precond.proof.replay import replay
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

pytest.importorskip("maraboupy")
SOON = 600.0


@pytest.fixture(scope="module")
def engine() -> Iterator[MarabouEngine]:
    made = MarabouEngine()
    yield made
    made.close()


def claim(
    network: Network,
    box: Box,
    prop: Property,
    pattern: DecisionPattern | None = None,
    halfspaces: HalfSpaces | None = None,
) -> Claim:
    return Claim(network, box, pattern or DecisionPattern(), prop, halfspaces)


TWICE = layered(([[1.0]], [0.0]), ([[1.0]], [-1.0]), ([[2.0]], [0.0]))  # 2 relu(relu(x) − 1)


@pytest.mark.parametrize(
    ("network", "top"), [(ABSOLUTE, 2.0), (IDENTITY, 2.0), (TWICE, 2.0)], ids=["abs", "x", "twice"]
)
def test_known_maxima(engine: MarabouEngine, network: Network, top: float) -> None:
    """On [−2, 2] each reaches 2 and no more."""
    box = Box.uniform(1, -2.0, 2.0)
    (proof,) = engine.solve(claim(network, box, below(0, top + 0.1)).problem, Deadline.after(SOON))
    assert proof.outcome is Outcome.INFEASIBLE and not proof.rigorous
    asked = claim(network, box, below(0, top - 0.1))
    (found,) = engine.solve(asked.problem, Deadline.after(SOON))
    assert found.outcome is Outcome.WITNESS and found.witness is not None
    assert replay(asked, found.witness).counts


def test_maximum_over_windows(engine: MarabouEngine) -> None:
    """relu(max(x₀, x₁) − 1/2) + relu(max(x₂, x₃)) on [0, 1]⁴ reaches 3/2, and with
    x₀ + x₁ ≤ 1/2 and x ≥ 0 no more than 1."""
    network = Network(
        (
            Node("pool", MaxPool2d((1, 2), (1, 2)), (INPUT,)),
            Node("z", Affine(np.eye(2), np.array([-0.5, 0.0])), ("pool",)),
            Node("relu", ReLU(), ("z",)),
            Node("y", Affine(np.array([[1.0, 1.0]]), np.array([0.0])), ("relu",)),
        ),
        (1, 1, 4),
    )
    box = Box.uniform(4, 0.0, 1.0)
    half = HalfSpaces(np.array([[1.0, 1.0, 0.0, 0.0]]), np.array([0.5]))
    for region, top in ((None, 1.5), (half, 1.0)):
        for limit, outcome in ((top + 0.05, "infeasible"), (top - 0.05, "witness")):
            asked = claim(network, box, below(0, limit), None, region)
            (answer,) = engine.solve(asked.problem, Deadline.after(SOON))
            assert answer.outcome.value == outcome
            if answer.witness is not None:
                assert replay(asked, answer.witness).counts


def test_pool_after_relu_and_relu_after_pool(engine: MarabouEngine) -> None:
    """relu(max(relu(x₀), relu(x₁))) with box [−1, 1]² reaches 1; both shared without copies."""
    network = Network(
        (
            Node("a", ReLU(), (INPUT,)),
            Node("pool", MaxPool2d((1, 2), (1, 2)), ("a",)),
            Node("b", ReLU(), ("pool",)),
        ),
        (1, 1, 2),
    )
    for limit, outcome in ((1.05, Outcome.INFEASIBLE), (0.95, Outcome.WITNESS)):
        asked = claim(network, Box.uniform(2, -1.0, 1.0), below(0, limit))
        (answer,) = engine.solve(asked.problem, Deadline.after(SOON))
        assert answer.outcome is outcome


def test_leaky_relu(engine: MarabouEngine) -> None:
    """leaky(x) + leaky(−x) = 0.9 |x| for slope 0.1: on [−2, 1] at most 1.8."""
    network = Network(
        (
            Node("z", Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), (INPUT,)),
            Node("leaky", LeakyReLU(0.1), ("z",)),
            Node("y", Affine(np.array([[1.0, 1.0]]), np.zeros(1)), ("leaky",)),
        ),
        (1,),
    )
    for limit, outcome in ((1.85, Outcome.INFEASIBLE), (1.75, Outcome.WITNESS)):
        asked = claim(network, Box(np.array([-2.0]), np.array([1.0])), below(0, limit))
        (answer,) = engine.solve(asked.problem, Deadline.after(SOON))
        assert answer.outcome is outcome


def test_one_answer_per_conjunct_and_conjunctions(engine: MarabouEngine) -> None:
    """y = (|x|, x) on [−2, 2]: |x| ≥ 1 ∧ x ≤ 0 has a solution; |x| ≥ 1 ∧ |x| ≤ 1/2 has none."""
    network = layered(([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0], [1.0, -1.0]], [0.0, 0.0]))

    def at_most(output: int, limit: float) -> Inequality:
        return Inequality(((output, -1.0),), -limit)

    def at_least(output: int, limit: float) -> Inequality:
        return Inequality(((output, 1.0),), limit)

    violations = (
        (at_least(0, 1.0), at_most(1, 0.0)),
        (at_least(0, 1.0), at_most(0, 0.5)),
    )
    prop = Property(tuple(tuple(i.negated() for i in v) for v in violations))
    first, second = engine.solve(
        claim(network, Box.uniform(1, -2.0, 2.0), prop).problem, Deadline.after(SOON)
    )
    assert first.outcome is Outcome.WITNESS and first.witness is not None
    assert first.witness[0] <= -1.0
    assert second.outcome is Outcome.INFEASIBLE


def test_pattern_bounds_the_pre_activations(engine: MarabouEngine) -> None:
    """|x| ≥ 1.5 on [−1, 2] needs x ≥ 1.5: with the neuron of x off there is no solution."""
    box = Box(np.array([-1.0]), np.array([2.0]))
    off = DecisionPattern(off=frozenset({("relu0", 0)}))
    (answer,) = engine.solve(claim(ABSOLUTE, box, below(0, 1.5), off).problem, Deadline.after(SOON))
    assert answer.outcome is Outcome.INFEASIBLE
    above = DecisionPattern(above=frozenset({("relu0", 0, 1.75)}))
    (answer,) = engine.solve(
        claim(ABSOLUTE, box, below(0, 1.5), above).problem, Deadline.after(SOON)
    )
    assert answer.witness is not None and answer.witness[0] >= 1.75


def test_contradictory_pattern_has_no_solution(engine: MarabouEngine) -> None:
    """x ≥ 1 and −x ≥ 1 at once."""
    pattern = DecisionPattern(above=frozenset({("relu0", 0, 1.0), ("relu0", 1, 1.0)}))
    asked = claim(ABSOLUTE, Box.uniform(1, -2.0, 2.0), below(0, -1.0), pattern)
    (answer,) = engine.solve(asked.problem, Deadline.after(SOON))
    assert answer.outcome is Outcome.INFEASIBLE and not answer.rigorous


def test_fixed_inputs_are_constants(engine: MarabouEngine) -> None:
    """relu(x₀ + x₁) with x₁ = 0.25 fixed and x₀ ∈ [0, 1] reaches 1.25."""
    network = layered(([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0]))
    box = Box(np.array([0.0, 0.25]), np.array([1.0, 0.25]))
    for limit, outcome in ((1.3, Outcome.INFEASIBLE), (1.2, Outcome.WITNESS)):
        asked = claim(network, box, below(0, limit))
        (answer,) = engine.solve(asked.problem, Deadline.after(SOON))
        assert answer.outcome is outcome
    assert answer.witness is not None and answer.witness[1] == 0.25


def test_small_weights_are_not_called_unsatisfiable(engine: MarabouEngine) -> None:
    """Weights near 1e-3, truth: satisfiable (a sample shows it).  Unscaled, Marabou fails here."""
    replayed = 0
    for seed in range(15):
        rng = np.random.default_rng(seed)
        network = random_net(rng, 3, 6, 5, 2, size=1e-3)
        box = Box.uniform(3, -1.0, 1.0)
        y = outputs(network, box.sample(500, rng))[:, 0]
        asked = claim(network, box, below(0, float(np.quantile(y, 0.7))))
        (answer,) = engine.solve(asked.problem, Deadline.after(SOON))
        assert answer.outcome is Outcome.WITNESS, f"seed {seed}: {answer.note}"
        assert answer.witness is not None
        replayed += replay(asked, answer.witness).counts
    assert replayed >= 12


def test_narrow_boxes_are_not_called_unsatisfiable(engine: MarabouEngine) -> None:
    """Inputs 2e-5 wide, truth: satisfiable.  Without moving and scaling the inputs too,
    about every fifth is called unsatisfiable."""
    for seed in range(15):
        rng = np.random.default_rng(seed)
        network = random_net(rng, 3, 6, 5, 2)
        centre = rng.uniform(-1, 1, size=3)
        box = Box(centre - 1e-5, centre + 1e-5)
        y = outputs(network, box.sample(500, rng))[:, 0]
        asked = claim(network, box, below(0, float(np.quantile(y, 0.7))))
        (answer,) = engine.solve(asked.problem, Deadline.after(SOON))
        assert answer.outcome is Outcome.WITNESS, f"seed {seed}: {answer.note}"


def test_scale_up_makes_every_interval_at_least_one() -> None:
    network = layered(([[1e-3], [5.0]], [1e-3, 0.0]), ([[1e-2, 1.0]], [0.0]), ([[1.0]], [0.0]))
    problem = claim(network, Box.uniform(1, -1.0, 1.0), below(0, 0.0)).problem
    query = build_query(problem, problem.conjuncts[0])
    assert isinstance(query, MarabouQuery)
    before = query.neurons[:, 0]
    width = (query.upper - query.lower)[before]
    np.testing.assert_allclose(width[:2], [1.0, 10.0], rtol=1e-9)
    # x = x' − 1, so z = 1e-3 x'; z' = 500 z = 0.5 x';  its consumer reads 1e-2 / 500 of it
    first = slice(query.starts[0], query.starts[1])
    np.testing.assert_allclose(query.factors[first], [0.5, -1.0], rtol=1e-9)
    assert query.scalars[0] == pytest.approx(0.0, abs=1e-12)
    third = slice(query.starts[2], query.starts[3])
    np.testing.assert_allclose(query.factors[third], [2e-5, 1.0, -1.0], rtol=1e-9)


def test_well_scaled() -> None:
    box = Box.uniform(3, -1.0, 1.0)
    rng = np.random.default_rng(0)
    good = random_net(rng, 3, 6, 5, 2)
    assert well_scaled(claim(good, box, below(0, 0.0)).problem)
    small = random_net(rng, 3, 6, 5, 2, size=1e-3)
    assert not well_scaled(claim(small, box, below(0, 0.0)).problem)
    narrow = Box.uniform(3, 0.0, 1e-4)
    assert not well_scaled(claim(good, narrow, below(0, 0.0)).problem)
    uneven = layered(([[1.0], [2e3]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0]))
    assert not well_scaled(claim(uneven, Box.uniform(1, -1, 1), below(0, 0.0)).problem)


def test_what_is_refused(engine: MarabouEngine) -> None:
    narrow = claim(ABSOLUTE, Box(np.array([0.0]), np.array([5e-6])), below(0, 1.0)).problem
    assert "width 5e-06" in str(engine.unsupported(narrow))
    (answer,) = engine.solve(narrow, Deadline.after(SOON))
    assert answer.outcome is Outcome.UNDECIDED and "width" in answer.note
    point = claim(ABSOLUTE, Box(np.array([1.0]), np.array([1.0])), below(0, 1.0)).problem
    assert str(engine.unsupported(point)) == "the box is a single point"
    fine = claim(ABSOLUTE, Box.uniform(1, -1.0, 1.0), below(0, 0.5)).problem
    assert engine.unsupported(fine) is None
    assert "more than 1" in str(MarabouEngine(max_neurons=1).unsupported(fine))


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_sampling_and_intervals(engine: MarabouEngine, seed: int) -> None:
    """Above everything that is possible: infeasible.  Below a sample: a witness that replays."""
    rng = np.random.default_rng(seed)
    network = random_net(rng, 3, 6, 5, 2)
    box = Box.uniform(3, -1.0, 1.0)
    y = outputs(network, box.sample(5000, rng))[:, 0]
    asked = claim(network, box, below(0, float(np.quantile(y, 0.99))))
    (answer,) = engine.solve(asked.problem, Deadline.after(SOON))
    assert answer.outcome is Outcome.WITNESS and answer.witness is not None
    assert replay(asked, answer.witness).counts
    beyond = claim(network, box, below(0, float(y.max() + 3 * np.ptp(y))))
    (answer,) = engine.solve(beyond.problem, Deadline.after(SOON))
    assert answer.outcome is Outcome.INFEASIBLE


@pytest.mark.parametrize("seed", range(3))
def test_every_layer_kind(engine: MarabouEngine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = mixed(rng)
    box = Box.uniform(16, -0.3, 0.3)
    y = outputs(network, box.sample(4000, rng))[:, 0]
    asked = claim(network, box, below(0, float(y.max())))
    (answer,) = engine.solve(asked.problem, Deadline.after(SOON))
    assert answer.outcome is Outcome.WITNESS and answer.witness is not None
    assert replay(asked, answer.witness).counts


def hard() -> Claim:
    """Too many free neurons to finish in seconds."""
    rng = np.random.default_rng(0)
    network = random_net(rng, 20, 60, 60, 60, 2)
    box = Box.uniform(20, -1.0, 1.0)
    y = outputs(network, box.sample(2000, rng))[:, 0]
    return claim(network, box, below(0, float(y.max() + 3 * np.ptp(y))))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def easy_answer(engine: MarabouEngine) -> Outcome:
    asked = claim(ABSOLUTE, Box.uniform(1, -2.0, 2.0), below(0, 1.5))
    return engine.solve(asked.problem, Deadline.after(SOON))[0].outcome


def test_the_deadline_kills_the_child_and_the_engine_recovers() -> None:
    engine = MarabouEngine()
    assert easy_answer(engine) is Outcome.WITNESS
    assert engine.process is not None
    pid = engine.process.pid
    problem = hard().problem
    start = time.monotonic()
    (answer,) = engine.solve(problem, Deadline.after(1.0))
    assert time.monotonic() - start < HANG
    assert answer.outcome is Outcome.UNDECIDED
    if "killed" in answer.note:
        assert gone(pid)
    assert easy_answer(engine) is Outcome.WITNESS
    engine.close()


def test_a_deadline_during_the_start_kills_the_child() -> None:
    engine = MarabouEngine()
    (answer,) = engine.solve(hard().problem, Deadline.after(0.02))
    assert answer.outcome is Outcome.UNDECIDED
    if engine.process is not None:
        assert not engine.process.alive or "TIMEOUT" in answer.note
    engine.close()


def once_asked(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """``act`` as soon as the next query has reached a child, once."""
    send = ChildProcess.send

    def sending(child: ChildProcess, message: bytes, limit: float) -> None:
        send(child, message, limit)
        monkeypatch.setattr(ChildProcess, "send", send)
        act()

    monkeypatch.setattr(ChildProcess, "send", sending)


def test_a_child_killed_from_outside_is_reported_and_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = MarabouEngine()
    assert easy_answer(engine) is Outcome.WITNESS
    process = engine.process
    assert process is not None
    once_asked(monkeypatch, lambda: os.kill(process.pid, signal.SIGKILL))
    (answer,) = engine.solve(hard().problem, Deadline.after(600.0))
    assert answer.outcome is Outcome.UNDECIDED
    assert "the Marabou process: ended by signal 9" in answer.note
    assert easy_answer(engine) is Outcome.WITNESS
    assert engine.process is not None and engine.process.pid != process.pid
    engine.close()


def test_an_interrupt_in_the_parent_kills_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = MarabouEngine()
    assert easy_answer(engine) is Outcome.WITNESS
    assert engine.process is not None
    pid = engine.process.pid
    once_asked(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        engine.solve(hard().problem, Deadline.after(600.0))
    assert gone(pid)


def test_nothing_is_left_behind() -> None:
    """After close: no child, no scratch folder, no descriptor."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("counts descriptors in /proc")
    before = len(os.listdir("/proc/self/fd"))
    engine = MarabouEngine()
    for _ in range(3):
        assert easy_answer(engine) is Outcome.WITNESS
        assert engine.process is not None
        pid = engine.process.pid
        folder = Path(os.readlink(f"/proc/{pid}/cwd"))
        assert folder.is_dir()
        engine.close()
        assert gone(pid) and not folder.exists()
    assert len(os.listdir("/proc/self/fd")) == before
