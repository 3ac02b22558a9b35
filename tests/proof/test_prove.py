"""``prove``: what a verdict may rest on."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from clocks import HANG, ticking
from known import ABSOLUTE, ANY, BUMP, MAXIMUM, UNIT, affine, at_least, box, phases

from precond.network.evaluate import outputs
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.bounds.plain_sums import plain_sums
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.base import NO_LINE, Answer, Engine, Lines, Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.prover.prove import Stage, default_stages, prove, quick_stages
from precond.proof.refusal import Refusal
from precond.proof.replay import replay
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

pytest.importorskip("highspy")
TRUE = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-2.5, -1.0))
FALSE = Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-1.0, -1.0))


@dataclass(frozen=True)
class Says:
    """An engine that gives the same answer to everything."""

    answer: Answer
    name: str = "one"
    lines: Lines = NO_LINE

    def unsupported(self, problem: Problem) -> Refusal | None:
        return None

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        return [self.answer] * len(problem.conjuncts)


def stages(*engines: Says) -> Sequence[Stage]:
    return [Stage(engine) for engine in engines]


SOFT = Answer(Outcome.INFEASIBLE)
NO = Answer(Outcome.UNDECIDED)


def test_one_float_solver_alone_is_not_confirmed() -> None:
    alone = prove(TRUE, budget=600.0, stages=stages(Says(SOFT)))
    assert alone.status is Status.PROVED and not alone.confirmed and "one alone" in alone.reason
    twice = prove(TRUE, budget=600.0, stages=stages(Says(SOFT), Says(SOFT)))
    assert not twice.confirmed  # the same engine agreeing with itself
    two = prove(TRUE, budget=600.0, stages=stages(Says(SOFT), Says(SOFT, "two")))
    assert two.status is Status.PROVED and two.confirmed
    rigorous = Answer(Outcome.INFEASIBLE, rigorous=True)
    assert prove(TRUE, budget=600.0, stages=stages(Says(rigorous))).confirmed


@pytest.mark.parametrize("first", [True, False])
def test_a_float_solver_is_not_believed_against_a_solution_that_did_not_replay(first: bool) -> None:
    """As where the only solution is a rational that no float is: z3 finds it, Marabou does not."""
    named = Says(Answer(Outcome.WITNESS, witness=np.array([0.5])), "exact")
    soft = (Says(SOFT, "two"), Says(SOFT, "three"))
    order = (named, *soft) if first else (soft[0], named, soft[1])
    verdict = prove(TRUE, budget=600.0, stages=stages(*order))
    assert verdict.status is Status.UNKNOWN and "exact and two disagree" in verdict.reason
    rigorous = Says(Answer(Outcome.INFEASIBLE, rigorous=True), "bounds")
    assert prove(TRUE, budget=600.0, stages=stages(*order, rigorous)).status is Status.PROVED


def test_a_wrong_float_solver_is_caught_by_the_last_look() -> None:
    """|x| ≤ 1 is false on [−2, 2]; an engine that says otherwise without rigour loses."""
    assert prove(FALSE, budget=600.0, stages=stages(Says(SOFT))).status is Status.REFUTED


def test_a_float_solver_is_not_believed_on_tiny_weights() -> None:
    tiny = Network(
        (
            affine("z", [[1e-4], [-1e-4]], [0.0, 0.0], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1e-4, 1e-4]], [0.0], "a"),
        ),
        (1,),
    )
    claim = Claim(tiny, box((-2, 2)), ANY, at_least(-1.0, -1.0))
    assert prove(claim, budget=600.0, stages=stages(Says(SOFT))).status is Status.UNKNOWN


def test_witnesses_that_do_not_replay_do_not_count() -> None:
    for x in ([0.25], [5.0], [np.nan]):
        false = Answer(Outcome.WITNESS, witness=np.array(x))
        verdict = prove(TRUE, budget=600.0, stages=stages(Says(false)))
        assert verdict.status is Status.UNKNOWN and verdict.witness is None


def test_given_points_are_tried_first() -> None:
    verdict = prove(FALSE, budget=600.0, points=np.array([[0.0], [1.5]]), stages=())
    assert verdict.status is Status.REFUTED and verdict.engine == "data"
    assert verdict.exact and verdict.witness is not None and verdict.witness[0] == 1.5
    assert prove(TRUE, budget=600.0, points=np.array([[0.0]]), stages=()).status is Status.UNKNOWN


def test_what_is_not_decided_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the bump's flat part y ≥ 0 is an equality, which no float bound can show."""
    claim = Claim(BUMP, box((-1, 3)), ANY, at_least(0.0, 1.0))
    ticking(monkeypatch)
    verdict = prove(claim, budget=600.0, stages=quick_stages())
    assert verdict.status is Status.UNKNOWN
    assert "bounds: bound below 0" in verdict.reason
    assert {a.engine for a in verdict.attempts} >= {"bounds", "highs"}


def test_no_budget_is_unknown_at_once() -> None:
    begun = time.monotonic()
    verdict = prove(FALSE, budget=0.0)
    assert verdict.status is Status.UNKNOWN and "budget spent" in verdict.reason
    assert time.monotonic() - begun < HANG


def test_a_property_without_clauses_always_holds() -> None:
    claim = Claim(ABSOLUTE, box((-2, 2)), ANY, Property(()))
    assert prove(claim, budget=600.0).status is Status.PROVED


def test_emptiness_that_needs_the_lp_is_vacuous() -> None:
    """x₀ + x₁ ≥ 0, x₀ + 2 x₁ + 1 ≤ 0 and x₀ ≥ 0.5 need x₀ ≥ 1; the box ends at 0.9."""
    network = Network(
        (
            affine("z", [[1.0, 1.0], [1.0, 2.0], [1.0, 0.0]], [0.0, 1.0, -0.5], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[1.0, 1.0, 1.0]], [0.0], "a"),
        ),
        (2,),
    )
    pattern = phases([0, 2], [1])
    for high, status in ((0.9, Status.VACUOUS), (2.0, Status.PROVED)):
        claim = Claim(network, box((0, high), (-3, 3)), pattern, at_least(-100.0, -1.0))
        assert prove(claim, budget=600.0).status is status


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_narrow_boxes_and_scales(factor: float) -> None:
    """|x| · factor² around x = 0.3, box of width 1e−7: both sides of the maximum are told apart."""
    network = Network(
        (
            affine("z", [[factor], [-factor]], [0.0, 0.0], INPUT),
            Node("a", ReLU(), ("z",)),
            affine("y", [[factor, factor]], [0.0], "a"),
        ),
        (1,),
    )
    sides = box((0.3, 0.3 + 1e-7))
    top = (0.3 + 1e-7) * factor**2
    gap = 1e-9 * factor**2
    holds = prove(Claim(network, sides, ANY, at_least(-top - gap, -1.0)), budget=600.0)
    fails = prove(Claim(network, sides, ANY, at_least(-top + gap, -1.0)), budget=600.0)
    assert holds.status is Status.PROVED and holds.confirmed
    assert fails.status is Status.REFUTED


def test_no_rigorous_engine_is_fooled_by_underflow() -> None:
    """y = 1e38⁸ · 1e−45⁸ · x = 1e−56 x > 1e−57 on [1, 1.5], but 1e−45⁸ underflows to 0."""
    nodes = [affine(f"z{k}", [[1e38]], [0.0], f"z{k - 1}" if k else INPUT) for k in range(8)]
    nodes += [affine(f"z{k}", [[1e-45]], [0.0], f"z{k - 1}") for k in range(8, 16)]
    claim = Claim(Network(tuple(nodes), (1,)), box((1, 1.5)), ANY, at_least(-1e-57, -1.0))
    for stage in default_stages(claim.problem):
        if stage.engine.unsupported(claim.problem) is None:
            (answer,) = stage.engine.solve(claim.problem, Deadline.after(600.0))
            assert answer.outcome is not Outcome.INFEASIBLE or not answer.rigorous
    assert prove(claim, budget=600.0).status is Status.REFUTED


def test_deterministic() -> None:
    claim = Claim(MAXIMUM, box(UNIT, UNIT), ANY, at_least(-0.95, -1.0))
    found = [prove(claim, budget=600.0) for _ in range(3)]
    assert all(v.witness is not None and (v.witness == found[0].witness).all() for v in found)
    assert len({v.engine for v in found}) == 1


@pytest.mark.parametrize("seed", range(8))
def test_random_claims_agree_with_dense_sampling(seed: int) -> None:
    """Limits a little beyond, and just short of, the least of 40,401 grid points' values."""
    rng = np.random.default_rng(seed)
    network = Network(
        (
            Node("z", Affine(rng.normal(size=(6, 2)), rng.normal(size=6)), (INPUT,)),
            Node("a", ReLU(), ("z",)),
            Node("y", Affine(rng.normal(size=(1, 6)), rng.normal(size=1)), ("a",)),
        ),
        (2,),
    )
    sides = Box.uniform(2, -1.0, 1.0)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 201)] * 2), -1).reshape(-1, 2)
    low = float(outputs(network, grid).min())
    step = 0.05 * (float(outputs(network, grid).max()) - low) + 0.05
    holds = prove(Claim(network, sides, ANY, at_least(low - step, 1.0)), budget=600.0)
    fails = prove(Claim(network, sides, ANY, at_least(low + 1e-9, 1.0)), budget=600.0)
    assert holds.status is Status.PROVED and (holds.bound is None or 0 < holds.bound <= step)
    assert fails.status is Status.REFUTED and fails.witness is not None
    assert replay(Claim(network, sides, ANY, at_least(low + 1e-9, 1.0)), fails.witness).counts


def test_quick_stages_answer_closed_patterns() -> None:
    pattern = DecisionPattern(frozenset({("a", 0)}), frozenset({("a", 1)}))
    claim = Claim(ABSOLUTE, box((-2, 2)), pattern, at_least(-0.125, 1.0, inputs=[-1.0]))
    assert prove(claim, budget=600.0, stages=quick_stages()).status is Status.PROVED


def test_an_unknown_verdict_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """y ≥ 0 holds with equality on [2, 3]: a quarter of [−1, 3] stays open, whose bound is 0
    to rounding."""
    claim = Claim(BUMP, box((-1, 3)), ANY, at_least(0.0, 1.0))
    ticking(monkeypatch)
    verdict = prove(claim, budget=200.0, stages=[Stage(InputSplitEngine())])
    assert verdict.status is Status.UNKNOWN
    assert verdict.bound is not None and -1e-9 < verdict.bound <= 0.0
    assert verdict.done is not None and 0.0 < verdict.done < 1.0
    assert "% of the domain decided" in verdict.reason
    again = Verdict.from_json(verdict.to_json())
    assert (again.bound, again.done) == (verdict.bound, verdict.done)


def test_the_bound_of_an_unknown_verdict_is_of_all_conjuncts() -> None:
    """max ≤ 1.5 on [0, 1]² closes with a bound; max ≥ −0.5 stays open with the second one's."""
    claim = Claim(MAXIMUM, box(UNIT, UNIT), ANY, Property.between(0, -0.5, 1.5))
    low = Answer(Outcome.UNDECIDED, bound=-0.25, done=0.5)
    worse = Answer(Outcome.UNDECIDED, bound=-4.0, done=0.125)
    verdict = prove(claim, budget=600.0, stages=stages(Says(low), Says(worse)))
    assert (verdict.bound, verdict.done) == (-0.25, 0.5)
    soft = prove(claim, budget=600.0, stages=stages(Says(low), Says(SOFT, "two")))
    assert soft.status is Status.PROVED and soft.bound is None
    unsure = prove(claim, budget=600.0, stages=stages(Says(Answer(Outcome.UNDECIDED))))
    assert unsure.bound is None and unsure.done is None


def test_a_deadline_that_is_cancelled_has_passed() -> None:
    event = threading.Event()
    deadline = Deadline(time.monotonic() + 60.0, event)
    part = deadline.earlier(30.0)
    assert not part.passed and 0.0 < part.left <= 30.0
    event.set()
    assert deadline.passed and part.passed and part.left == 0.0


@pytest.mark.parametrize(
    "engine",
    [BoundsEngine("cuda"), InputSplitEngine("cuda"), ReluSplitEngine("cuda")],
    ids=lambda engine: engine.name,
)
def test_no_fast_convolution_where_rounding_is_counted(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    """cuDNN is off while an engine computes bounds on a GPU, and on again after it."""
    seen = []

    def stop(*args: object, **options: object) -> None:
        seen.append(torch.backends.cudnn.enabled)
        raise InterruptedError

    for name in ("bounds.region_of", "relu_split.search.region_of", "input_split.search.operators"):
        monkeypatch.setattr(f"precond.proof.engines.{name}", stop)
    assert torch.backends.cudnn.enabled
    with pytest.raises(InterruptedError):
        engine.solve(TRUE.problem, Deadline.after(600.0))
    assert seen == [False] and torch.backends.cudnn.enabled
    with plain_sums("cpu"):
        assert torch.backends.cudnn.enabled
