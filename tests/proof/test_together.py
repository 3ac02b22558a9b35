"""Many claims about boxes in one pass: as one by one, nothing false, the rest left alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_networks import below, layered, random_net

from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.arithmetic import Arithmetic
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.engines.base import Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover import together
from precond.proof.prover.prove import recalled
from precond.proof.prover.together import prove_together
from precond.proof.replay import replay
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

IDENTITY = layered(([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, -1.0]], [0.0]))  # y = x


def claims_of(network: Network, boxes: Sequence[Box], limits: Sequence[Property]) -> list[Claim]:
    return [
        Claim(network, box, DecisionPattern(), limit)
        for box, limit in zip(boxes, limits, strict=True)
    ]


def unit_parts(count: int) -> list[Box]:
    edges = np.linspace(0.0, 1.0, count + 1)
    return [Box(edges[k : k + 1], edges[k + 1 : k + 2]) for k in range(count)]


def random_claims(seed: int, count: int = 60) -> list[Claim]:
    """Small boxes; of each, two sums of outputs have to stay below limits near their values."""
    rng = np.random.default_rng(seed)
    network = random_net(rng, 3, 8, 8, 2)
    claims = []
    for _ in range(count):
        middle, radius = rng.uniform(-1, 1, 3), 10 ** rng.uniform(-3, -0.5)
        y = outputs(network, middle[None])[0]
        factors = rng.normal(size=(2, 2))
        room = rng.choice([0.02, 0.3, 3.0], size=2)
        clauses = tuple(
            (Inequality(((0, -a), (1, -b)), -(a * y[0] + b * y[1]) - more, strict=True),)
            for (a, b), more in zip(factors, room, strict=True)
        )
        claims += claims_of(network, [Box(middle - radius, middle + radius)], [Property(clauses)])
    return claims


def answers(claims: Sequence[Claim], execution: Arithmetic = Arithmetic.REAL) -> dict[int, Verdict]:
    pairs = list(prove_together(claims, FOREVER, execution=execution))
    assert len({k for k, _ in pairs}) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize("seed", range(4))
def test_closed_are_those_that_the_engine_closes(seed: int) -> None:
    """The bounds of a batch are those of a box alone, or better (a neuron's sign may be open in
    another box only, and is then bounded again in all)."""
    claims = random_claims(seed)
    known = answers(claims)
    compared = 0
    for k, claim in enumerate(claims):
        alone = BoundsEngine(steps=0).solve(claim.problem, FOREVER)
        excluded = all(answer.outcome is Outcome.INFEASIBLE for answer in alone)
        proved = k in known and known[k].is_proved
        assert proved >= excluded
        if excluded:
            least = min(answer.bound for answer in alone if answer.bound is not None)
            assert known[k].bound is not None
            assert known[k].bound >= least - 1e-9
            compared += 1
    assert compared > 10


@pytest.mark.parametrize("seed", range(4, 8))
def test_nothing_false_is_said(seed: int) -> None:
    claims = random_claims(seed)
    rng = np.random.default_rng(seed)
    known = answers(claims)
    statuses = {verdict.status for verdict in known.values()}
    assert statuses == {Status.PROVED, Status.REFUTED}
    for k, verdict in known.items():
        claim = claims[k]
        if verdict.witness is not None:
            assert replay(claim, verdict.witness).counts
            continue
        x = rng.uniform(claim.box.lower, claim.box.upper, (500, 3))
        y = outputs(claim.network, x)
        assert (claim.property.margin(y, x) >= verdict.bound).all()


def test_a_limit_that_is_met_exactly() -> None:
    """y = x on [0, 1/2] and so on: x ≤ 1/2 holds, x < 1/2 does not, and bounds cannot tell the
    first, as they are below it by what they may have rounded."""
    boxes = unit_parts(2) * 8
    known = answers(claims_of(IDENTITY, boxes, [below(0, 0.5)] * 16))
    assert {known[k].status for k in range(16)} == {Status.REFUTED}
    assert all(float(known[k].witness[0]) >= 0.5 for k in range(16))
    loose = Property(((Inequality(((0, -1.0),), -0.5),),))
    known = answers(claims_of(IDENTITY, unit_parts(2)[:1] * 8, [loose] * 8))
    assert not any(verdict.status is Status.REFUTED for verdict in known.values())


def test_what_another_kind_of_claim_says_is_left() -> None:
    """Patterns, half-spaces, values beyond float64, and few claims, are for ``prove``."""
    boxes = unit_parts(8)
    plain = claims_of(IDENTITY, boxes, [below(0, 2.0)] * 8)
    assert set(answers(plain)) == set(range(8))
    assert not answers(plain[:7])
    half = HalfSpaces(np.array([[1.0]]), np.array([0.5]))
    assert not answers([replace(claim, halfspaces=half) for claim in plain])
    on = DecisionPattern(frozenset({("relu0", 0)}))
    assert not answers([replace(claim, pattern=on) for claim in plain])
    far = Claim(IDENTITY, Box(np.array([0.0]), np.array([1e250])), DecisionPattern(), below(0, 2.0))
    assert not answers([*plain, far])
    assert set(answers([*plain, replace(plain[0], pattern=on)])) == set(range(8))


def test_claims_of_several_forms() -> None:
    """One conjunct, two, and one of two inequalities: each kind is a batch of its own."""
    boxes = unit_parts(8)
    one = claims_of(IDENTITY, boxes, [below(0, 2.0)] * 8)
    above = Inequality(((0, 1.0),), -1.0)
    two = [replace(c, property=Property((*c.property.clauses, (above,)))) for c in one]
    either = [replace(c, property=Property(((*c.property.clauses[0], above),))) for c in one]
    mixed = [claim for three in zip(one, two, either, strict=True) for claim in three]
    assert {k: v.status for k, v in answers(mixed).items()} == dict.fromkeys(
        range(24), Status.PROVED
    )


def test_a_hopeless_batch_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where bounds close nothing, only a few boxes are bounded."""
    rng = np.random.default_rng(0)
    network = random_net(rng, 4, 16, 16, 1)
    ball = Box.uniform(4, -1.0, 1.0)
    y = outputs(network, rng.uniform(-1, 1, (20_000, 4)))
    limit = below(0, float(y.max()) + 0.5)
    looked_at: list[int] = []

    def counted(boxes: together.ManyBoxes, device: str, deadline: Deadline) -> together.BoxBounds:
        looked_at.append(len(boxes.lower))
        return bounded(boxes, device, deadline)

    bounded = together.box_bounds
    monkeypatch.setattr(together, "box_bounds", counted)
    assert not answers(claims_of(network, [ball] * 3000, [limit] * 3000))
    assert 0 < sum(looked_at) < 300


def test_no_time_no_answer() -> None:
    claims = claims_of(IDENTITY, unit_parts(8), [below(0, 2.0)] * 8)
    assert not list(prove_together(claims, Deadline(-math.inf)))


def test_runs_in_float32() -> None:
    """A proof that covers them says so; a limit within a run's roundings is left open."""
    claims = claims_of(IDENTITY, unit_parts(8), [below(0, 2.0)] * 8)
    for verdict in answers(claims, execution=Arithmetic.FLOAT32).values():
        assert verdict.holds_in == Arithmetic.FLOAT32.covers
    near = claims_of(IDENTITY, unit_parts(8)[-1:] * 8, [below(0, 1.0 + 1e-9)] * 8)
    assert set(answers(near)) == set(range(8))
    assert not answers(near, execution=Arithmetic.FLOAT32)


def test_the_ledger_knows_it_first(tmp_path: Path) -> None:
    claims = claims_of(IDENTITY, unit_parts(8), [below(0, 2.0)] * 8)
    with Ledger(tmp_path / "ledger") as ledger:
        for k, _ in prove_together(claims, FOREVER, ledger=ledger):
            known = recalled(claims[k], ledger, budget=1.0)
            assert known is not None
            assert known.is_proved
        assert len(ledger) == 8
