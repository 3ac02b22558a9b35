"""Chains of stricter and stricter choices end in one that proves, and lose few inputs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from class_choices import choices

from precond.mine.whole_space.by_relaxation import Descent
from precond.network.evaluate import outputs
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.plans import quick_stages
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status

pytest.importorskip("highspy")


def descent(label: int, middle: int = 0) -> Descent:
    found = choices(label)
    return Descent(found, middle, np.ones(len(found.on), dtype=np.bool_))


@pytest.mark.parametrize("label", range(2))
def test_a_chain_gets_stricter_and_its_last_is_closed_by_the_relaxation(label: int) -> None:
    run = descent(label)
    chain = run.chain(Deadline.after(600))
    assert chain and (chain[0] | ~run.base).all()
    for wide, strict in pairwise(chain):
        assert (strict | ~wide).all() and strict.sum() > wide.sum()
    assert all(run.inside(kept)[run.middle] for kept in chain)
    claim = run.choices.claim(chain[-1], run.phases)
    assert claim is not None
    assert prove(claim, budget=600.0, stages=quick_stages()).status is Status.PROVED


@pytest.mark.parametrize("label", range(2))
def test_what_it_remembers_violates_and_is_excluded(label: int) -> None:
    run = descent(label)
    run.hunt(Deadline.after(600))
    chain = run.chain(Deadline.after(600))
    found = run.choices
    y = outputs(found.tail.network, found.points) if len(found.points) else np.zeros((0, 3))
    assert not found.property.holds(y).any()
    assert found.tail.box.contains(found.points).all()
    assert not run.violators.refutes(chain[-1])
    again = found.violators(run.phases)  # the same points by another middle's literals
    assert len(again.points) == len(run.violators.points)


def test_a_violation_met_in_a_proof_is_taken_up() -> None:
    run = descent(0)
    nothing = np.zeros_like(run.base)
    verdict = run.choices.prove(nothing, run.phases, Deadline.after(600))
    assert verdict is not None and verdict.status is Status.REFUTED
    assert len(run.choices.points) == 1 and not len(run.violators.points)
    run.learn()
    assert run.violators.refutes(nothing)
    covered = run.cover(nothing)
    assert covered is not None and covered.sum() == 1
    assert not run.violators.refutes(covered)


def test_widening_takes_in_more_and_stays_closed() -> None:
    run = descent(0)
    strict = run.chain(Deadline.after(600))[-1]
    every = np.ones_like(strict)
    wide = run.widen(every, Deadline.after(600))
    assert run.inside(wide).sum() > run.inside(every).sum()
    claim = run.choices.claim(wide, run.phases)
    assert claim is not None
    assert prove(claim, budget=600.0, stages=quick_stages()).status is Status.PROVED


def test_around_an_input_whose_signature_is_refuted_there_is_nothing() -> None:
    wrong = choices(0, goal=1)
    run = Descent(wrong, 0, np.ones(len(wrong.on), dtype=np.bool_))
    assert run.chain(Deadline.after(600)) == []


def test_no_time_is_no_chain() -> None:
    assert len(descent(0).chain(Deadline.after(0.0))) <= 1


def test_a_claim_is_the_pattern_of_the_choice() -> None:
    run = descent(1)
    kept = run.base.copy()
    claim = run.choices.claim(kept, run.phases)
    assert isinstance(claim, Claim)
    assert len(claim.pattern) == kept.sum() > 0
    named = {run.choices.names[k] for k in np.flatnonzero(kept & run.phases)}
    assert named == set(claim.pattern.on)
