"""Multipliers in fractions, by hand and against a float solver; claims that hold with equality."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog
from small_networks import ABSOLUTE, below, layered, random_net

from precond.checker.exact import check
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.certificates.certify import by_phases_alone, certify, statement_of
from precond.proof.certificates.judges import ExactJudge
from precond.proof.certificates.mending import NotCertified
from precond.proof.certificates.phase_trees import PhaseTrees
from precond.proof.certificates.rational import LinearRow, as_floats, fractions, least_mix
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover import chain
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

UNIT = Box.uniform(1, -1.0, 1.0)
SOON = Deadline.after(600.0)


def row(form: list[float], constant: float) -> LinearRow:
    return LinearRow(fractions(np.array(form)), Fraction(constant))


def box(*ends: tuple[float, float]) -> tuple[list[Fraction], list[Fraction]]:
    return [Fraction(a) for a, _ in ends], [Fraction(b) for _, b in ends]


def test_two_goals_are_mixed() -> None:
    """3 x − 1 ≥ 0 and 1/4 − x ≥ 0 exclude each other: 1/4 (3 x − 1) + 3/4 (1/4 − x) = −1/16."""
    found = least_mix([row([3.0], -1.0), row([-1.0], 0.25)], [], box((0.0, 1.0)), deadline=SOON)
    assert found == (Fraction(-1, 16), [Fraction(1, 4), Fraction(3, 4)])


def test_rows_that_exclude_each_other_are_a_ray() -> None:
    """x ≥ 2 and x ≤ 1, whatever the goal is: no weight of the goal."""
    rows = [row([1.0], -2.0), row([-1.0], 1.0)]
    found = least_mix([row([1.0], 5.0)], rows, box((0.0, 9.0)), deadline=SOON)
    assert found is not None
    value, (goal, first, second) = found
    assert value < 0 and goal == 0 and first == second > 0


@pytest.mark.parametrize("seed", range(30))
def test_it_is_the_largest_margin(seed: int) -> None:
    """By duality the largest t with g_j(x) ≥ t for all goals, as a float solver finds it."""
    rng = np.random.default_rng(seed)
    n, goals, rows = (int(k) for k in rng.integers(1, 5, 3))
    form, constant = rng.integers(-3, 4, (goals + rows, n)), rng.integers(-2, 3, goals + rows)
    every = [row(list(map(float, f)), float(c)) for f, c in zip(form, constant, strict=True)]
    found = least_mix(every[:goals], every[goals:], box(*[(-1.0, 1.0)] * n), deadline=SOON)
    assert found is not None
    matrix = np.hstack([-form, (np.arange(goals + rows) < goals)[:, None]])
    best = linprog([0.0] * n + [-1.0], matrix, constant, bounds=[(-1, 1)] * n + [(None, None)])
    value, mix = found
    assert min(mix) >= 0
    if best.status == 2:  # the rows alone have no solution
        assert value < 0 and not any(mix[:goals])
    else:
        assert float(value) == pytest.approx(-best.fun, abs=1e-7) and sum(mix[:goals]) == 1


def test_thirds_become_whole_numbers() -> None:
    assert as_floats([Fraction(1), Fraction(2, 3), Fraction(5, 7)]).tolist() == [21.0, 14.0, 15.0]


def certified(network: Network, low: float, high: float, most: float) -> bool:
    """Whether output 0 ≤ ``most`` is, over a box; the checker agrees."""
    size, holds = network.input_size, Inequality(((0, -1.0),), -most)
    claim = Claim(network, Box.uniform(size, low, high), DecisionPattern(), Property(((holds,),)))
    judge = ExactJudge(network, statement_of(claim))
    try:
        made = PhaseTrees(claim, judge, SOON).run()
    except NotCertified:
        return False
    assert check(made, network).valid and made.bits == 0
    return True


def tent() -> Network:
    """|3 x − y| + relu(x + y), largest at corners of a box."""
    first = [[3.0, -1.0], [-3.0, 1.0], [1.0, 1.0]], [0.0, 0.0, 0.0]
    return layered(first, ([[1.0, 1.0, 1.0]], [0.0]))


def test_a_claim_that_holds_with_equality() -> None:
    """|x| ≤ 1 over [−1, 1], and nothing less."""
    assert certified(ABSOLUTE, -1.0, 1.0, 1.0)
    assert not certified(ABSOLUTE, -1.0, 1.0, float(np.nextafter(1.0, 0.0)))
    largest = max(abs(3 * x - y) + max(x + y, 0) for x in (-1, 1) for y in (-1, 1))
    assert certified(tent(), -1.0, 1.0, float(largest))
    assert not certified(tent(), -1.0, 1.0, float(np.nextafter(largest, 0.0)))


@pytest.mark.parametrize("seed", range(10))
def test_a_value_that_is_taken_is_the_limit(seed: int) -> None:
    """A limit far above is certified, also for a verdict without traces; one just below a value
    that the network takes is not."""
    rng = np.random.default_rng(seed)
    network = random_net(rng, 2, 4, 3, 1)
    claim = Claim(network, Box.uniform(2, -1.0, 1.0), DecisionPattern(), below(0, 1e3))
    assert certified(network, -1.0, 1.0, 1e3)
    untold = Verdict(Status.PROVED, "z3", seconds=0.0, confirmed=True)
    assert check(certify(claim, untold), network).valid
    points = claim.box.sample(500, rng)
    taken = float(outputs(network, points)[:, 0].max())
    assert not certified(network, -1.0, 1.0, taken - 1e-9 * max(1.0, abs(taken)))


@pytest.mark.parametrize("value", [1.0, 2.0])
def test_what_engines_leave_open(value: float) -> None:
    """|x| ≤ 1 holds with equality, which bounds in floats miss; nothing is where |x|'s parts are
    both at least 2."""
    pattern = DecisionPattern()
    if value > 1:
        layer = ABSOLUTE.decision_layers[0]
        pattern = DecisionPattern(above=frozenset({(layer, 0, value), (layer, 1, value)}))
    holds = Property(((Inequality(((0, -1.0),), -1.0),),))
    claim = Claim(ABSOLUTE, Box.uniform(1, -3.0, 3.0) if value > 1 else UNIT, pattern, holds)
    found = Verdict(Status.UNKNOWN, seconds=1.0)
    verdict = by_phases_alone(claim, found, 600.0)
    assert verdict.status is (Status.VACUOUS if value > 1 else Status.PROVED)
    assert verdict.exact and verdict.certificate is not None
    assert check(verdict.certificate, ABSOLUTE).valid
    wider = Claim(ABSOLUTE, Box.uniform(1, -1.0, 1.5), DecisionPattern(), holds)
    assert by_phases_alone(wider, found, 600.0) is found


def test_prove_asks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no engines in time."""
    holds = Property(((Inequality(((0, -1.0),), -1.0),),))
    claim = Claim(ABSOLUTE, UNIT, DecisionPattern(), holds)
    monkeypatch.setattr(chain, "default_stages", lambda *_: ())
    assert prove(claim, budget=600.0).status is Status.UNKNOWN
    verdict = prove(claim, budget=600.0, exact=True)
    assert verdict.status is Status.PROVED and verdict.exact and verdict.certificate is not None
