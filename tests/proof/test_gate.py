"""Numbers that overflow prove nothing: the gate, the account of every search, and what is
beyond float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from small_networks import ABSOLUTE, below, layered
from torch import Tensor

from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.bounds.intervals import intersect
from precond.proof.bounds.lines import activation_lines
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.bounds.polytope import shrunk
from precond.proof.claim import Claim
from precond.proof.coverage import Coverage
from precond.proof.engines.base import Answer, Deadline, Engine, Outcome, decides
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.engines.refine_split.engine import RefineSplitEngine
from precond.proof.engines.relu_split import search as relu_split
from precond.proof.engines.relu_split.blocks import Subdomains
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.engines.tighten_split import TightenSplitEngine
from precond.proof.gate import crossed, excludes, is_off, is_on
from precond.proof.linear.blocks import interval_bounds
from precond.proof.prover.conjuncts import Standing
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

NAN, INF = float("nan"), float("inf")
FLOATS: tuple[Engine, ...] = (
    BoundsEngine(steps=3),
    InputSplitEngine(),
    RefineSplitEngine(),
    ReluSplitEngine(),
    HighsEngine(),
    LpSplitEngine(),
    TightenSplitEngine(HighsEngine(milp_neurons=0)),
)


@pytest.mark.parametrize(
    "value", [float, np.array, lambda v: torch.tensor([v], dtype=torch.float64)]
)
def test_only_finite_numbers_pass(value: Callable[[float], object]) -> None:
    for silent in (NAN, INF, -INF, -1.0):
        assert not excludes(value(silent), True), silent
        assert not is_on(value(silent)), silent
    for silent in (NAN, INF, -INF, 1.0):
        assert not is_off(value(silent)), silent
    assert excludes(value(1e-320)), "any positive number will do"
    assert excludes(value(0.0), True)
    assert not excludes(value(0.0))
    assert is_on(value(0.0))
    assert is_off(value(0.0))
    assert crossed(value(1.0), value(0.0))
    assert crossed(value(1.0), value(-1e308))
    for pair in ((NAN, 0.0), (0.0, NAN), (INF, 0.0), (0.0, -INF), (INF, -INF), (1.0, 1.0)):
        assert not crossed(value(pair[0]), value(pair[1])), pair


def test_bounds_that_are_no_numbers_fix_no_neuron() -> None:
    low = torch.tensor([[NAN, INF, 1.0, -1.0, -2.0]], dtype=torch.float64)
    high = torch.tensor([[1.0, INF, 2.0, -INF, -1.0]], dtype=torch.float64)
    assert activation_lines(ReLU(), low, high).free[0, 0].tolist() == [
        True,
        True,
        False,
        True,
        False,
    ]
    _, empty = intersect((low, high), (low.new_full((1, 5), 3.0), high.new_full((1, 5), INF)), (5,))
    assert bool(empty[0]), "2 < 3"
    _, empty = intersect((low[:, :2], high[:, :2]), (low[:, :2], -high[:, :2]), (2,))
    assert not bool(empty[0])


def test_a_conjunct_is_not_closed_by_a_bound_that_is_none() -> None:
    problem = Claim(ABSOLUTE, Box.uniform(1, -1, 1), DecisionPattern(), below(0, 2.0)).problem
    (conjunct,) = problem.conjuncts
    for bound in (NAN, INF, -1.0):
        standing = Standing(problem)
        assert not standing.close(conjunct, "e", Answer.excluded(bound=bound))
        assert standing.open == [conjunct]
        assert not decides(bound, conjunct)
    assert Standing(problem).close(conjunct, "e", Answer.excluded(bound=1.0))


def test_an_account_that_does_not_add_up_says_so() -> None:
    account = Coverage(2)
    account.split([0])
    account.close(np.array([0]), np.array([0.5]))
    assert account.fault(0, 1, 0.5) is None
    assert "1 subdomains (50 % of the region)" in str(account.fault(0))
    account.close(torch.tensor([0]), torch.tensor([0.25]))  # half of what it was
    assert "0 subdomains (25 % of the region)" in str(account.fault(0))
    assert account.fault(1, 1, 1.0) is None


def test_a_search_that_loses_a_subdomain_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    # y = max(2 p, p + q) <= 4 with p, q the ReLUs of x0 ± x1; without splits the bound is weaker.
    network = layered(
        ([[1.0, 1.0], [1.0, -1.0]], [0.0, 0.0]),
        ([[1.0, 1.0], [1.0, -1.0]], [0, 0]),
        ([[1, 1]], [0]),
    )
    problem = Claim(network, Box.uniform(2, -1, 1), DecisionPattern(), below(0, 4.1)).problem
    (whole,) = ReluSplitEngine(steps=0, root_steps=0).solve(problem, Deadline(INF))
    assert whole.outcome is Outcome.INFEASIBLE
    split = relu_split._PhaseSearch._split

    def half(self: relu_split._PhaseSearch, block: Subdomains, scores: Tensor, row: Tensor) -> None:
        split(self, block, scores, row)
        _, children = self.waiting.blocks.pop()
        self.waiting.push(children.rows(torch.tensor([0])))

    monkeypatch.setattr(relu_split._PhaseSearch, "_split", half)
    (lost,) = ReluSplitEngine(steps=0, root_steps=0).solve(problem, Deadline(INF))
    assert lost.outcome is Outcome.UNDECIDED
    assert "internal error" in lost.note


def bump_beside_chain(weight: float, depth: int) -> tuple[Network, float]:
    """y = bump(x) + b − b, where bump is 1/2 at c = 1/2 and b comes through large weights."""
    first, shift = np.array([[1.0], [-1.0], [1.0]]), np.array([-0.5, 0.5, -0.3])
    nodes = [Node("z0", Affine(first, shift), (INPUT,)), Node("r0", ReLU(), ("z0",))]
    step, offset = np.array([[-1.0, -1.0, 0.0], [0.0, 0.0, weight]]), np.array([0.5, 0.0])
    for k in range(1, depth + 1):
        nodes.append(Node(f"z{k}", Affine(step, offset), (f"r{k - 1}",)))
        nodes.append(Node(f"r{k}", ReLU(), (f"z{k}",)))
        step, offset = np.diag([1.0, weight]), np.zeros(2)
    split = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    nodes.append(Node("b", Affine(split, np.zeros(3)), (f"r{depth}",)))
    nodes.append(Node("t", ReLU(), ("b",)))
    nodes.append(Node("y", Affine(np.array([[1.0, 1.0, -1.0]]), np.zeros(1)), ("t",)))
    return Network(tuple(nodes), (1,)), 0.5


@pytest.mark.filterwarnings("ignore:invalid value")  # asked in spite of "unsupported"
@pytest.mark.parametrize(("weight", "depth"), [(1e200, 2), (1e38, 9), (1e150, 1)])
def test_weights_that_overflow_prove_nothing_false(weight: float, depth: int) -> None:
    network, at = bump_beside_chain(weight, depth)
    low = Property(((Inequality(((0, -1.0),), -0.25),),))  # y <= 1/4, false at 1/2
    claim = Claim(network, Box.uniform(1, 0, 1), DecisionPattern(), low)
    for engine in FLOATS:
        (answer,) = engine.solve(claim.problem, Deadline.after(2))
        assert answer.outcome is not Outcome.INFEASIBLE, engine.name
    verdict = prove(claim, budget=5, points=np.array([[at]]))
    assert verdict.status is Status.REFUTED


def test_what_float64_cannot_carry_is_left_to_exact_arithmetic() -> None:
    pytest.importorskip("z3")
    network, _ = bump_beside_chain(1e200, 2)
    high = Property(((Inequality(((0, -1.0),), -0.5),),))  # y <= 1/2, true
    claim = Claim(network, Box.uniform(1, 0, 1), DecisionPattern(), high)
    assert beyond_floats(claim.problem) is not None
    assert all(engine.unsupported(claim.problem) for engine in FLOATS)
    verdict = prove(claim, budget=20)
    assert (verdict.status, verdict.engine, verdict.confirmed) == (Status.PROVED, "z3", True)
    alone = prove(claim, budget=5, stages=())
    assert alone.status is Status.UNKNOWN


@pytest.mark.parametrize("part", ["weight", "box", "property", "bound", "literal"])
def test_any_number_of_a_claim_may_be_the_one_too_many(part: str) -> None:
    factor = {name: 1.0 for name in ("weight", "box", "property", "bound", "literal")}
    factor[part] = 1e250
    network = layered(([[factor["weight"]], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0]))
    literal = DecisionPattern(above=frozenset({("relu0", 1, factor["literal"])}))
    inequality = Inequality(((0, factor["property"]),), factor["bound"])
    box = Box.uniform(1, -factor["box"], 1)
    claim = Claim(network, box, literal, Property(((inequality,),)))
    reason = beyond_floats(claim.problem)
    assert reason is not None
    assert "only exact arithmetic can answer" in reason.reason


def test_ordinary_numbers_are_carried() -> None:
    claim = Claim(ABSOLUTE, Box.uniform(1, -1e30, 1e30), DecisionPattern(), below(0, 1e60))
    assert beyond_floats(claim.problem) is None


def test_products_that_underflow_leave_a_neuron_open() -> None:
    # z = 1e-200 x over |x| <= 1e-200 takes both signs, though its products are 0 in floats.
    network = layered(([[1e-200]], [0.0]), ([[1.0]], [0.0]))
    box = Box.uniform(1, -1e-200, 1e-200)
    problem = Claim(network, box, DecisionPattern(), below(0, 1.0)).problem
    low, high = interval_bounds(problem)["relu0"]
    assert low[0] < 0 < high[0]


def test_a_tiny_entry_of_a_half_space_draws_no_side_in() -> None:
    # 1e-310 x <= 1e-300 says x <= 1e10, not x <= 1.
    lower, upper = torch.zeros(1, 1, dtype=torch.float64), torch.full((1, 1), 1e10).double()
    row, limit = torch.full((1, 1), 1e-310).double(), torch.full((1,), 1e-300).double()
    _, high, empty = shrunk(lower, upper, row, limit)
    assert float(high) == 1e10
    assert not bool(empty[0])
