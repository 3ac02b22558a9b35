"""Growth of a proved pattern: it holds for more inputs than it began with, and still proves."""

from __future__ import annotations

import numpy as np
import pytest
from class_choices import choices

from precond.mine.whole_space.by_relaxation import Descent
from precond.mine.whole_space.candidates import Flags
from precond.mine.whole_space.widen import MISSES, Growth, _beyond
from precond.network.evaluate import outputs
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.prove import prove
from precond.proof.replay import in_region
from precond.proof.verdict import Status, Verdict

pytest.importorskip("highspy")


@pytest.mark.parametrize("label", range(2))
def test_it_takes_in_more_than_one_signature_and_stays_true(label: int) -> None:
    found = choices(label)
    run = Descent(found, 0, np.ones(len(found.on), dtype=np.bool_))
    every = np.ones_like(run.base)
    verdict = found.prove(every, run.phases, Deadline.after(600))
    assert verdict is not None and verdict.is_proved
    growth = Growth(found, run, each=60.0, deadline=Deadline.after(600.0), share=0.5)
    kept, wider = growth.run(every, verdict)
    assert wider.status is Status.PROVED
    assert kept.sum() < len(every)
    assert run.inside(kept).sum() > max(1, run.inside(every).sum())
    tail, goal = found.tail, found.property
    claim = Claim(tail.network, tail.box, found.pattern(kept, run.phases), goal)
    assert prove(claim, budget=600.0).status is Status.PROVED
    x = tail.box.sample(50_000, np.random.default_rng(0))
    x = x[in_region(claim.problem, x)]
    assert len(x) and goal.holds(outputs(tail.network, x)).all()


def test_without_time_it_stays_as_it_was() -> None:
    found = choices(0)
    run = Descent(found, 0, np.ones(len(found.on), dtype=np.bool_))
    every = np.ones_like(run.base)
    verdict = found.prove(every, run.phases, Deadline.after(600))
    assert verdict is not None
    growth = Growth(found, run, each=60.0, deadline=Deadline.after(0.0), share=0.5)
    kept, same = growth.run(every, verdict)
    assert np.array_equal(kept, every) and same is verdict


@pytest.mark.parametrize("label", range(2))
def test_no_choice_is_asked_twice_nor_against_a_known_violation(
    label: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs that violate the same literals ask the same question, which one proof answers;
    what a counterexample refutes is asked with another literal or not at all."""
    found = choices(label)
    run = Descent(found, 0, np.ones(len(found.on), dtype=np.bool_))
    every = np.ones_like(run.base)
    verdict = found.prove(every, run.phases, Deadline.after(600))
    assert verdict is not None and verdict.is_proved
    asked: list[bytes] = []
    prove_one = found.prove

    def spy(kept: Flags, phases: Flags, deadline: Deadline) -> Verdict | None:
        run.learn()
        assert not run.violators.refutes(kept)
        asked.append(kept.tobytes())
        return prove_one(kept, phases, deadline)

    monkeypatch.setattr(found, "prove", spy)
    run.hunt(Deadline.after(600))
    Growth(found, run, each=60.0, deadline=Deadline.after(600.0), share=0.5).run(every, verdict)
    assert asked and len(run.violators.points)
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.REFUTED])
def test_what_proves_nothing_and_teaches_nothing_ends_it(
    status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A counterexample that floats do not repeat is no violation known, so it is a miss too."""
    found = choices(0)
    run = Descent(found, 0, np.ones(len(found.on), dtype=np.bool_))
    every = np.ones_like(run.base)
    asked: list[bytes] = []

    def nothing(kept: Flags, phases: Flags, deadline: Deadline) -> Verdict:
        asked.append(kept.tobytes())
        return Verdict(status, "by hand")

    proved = found.prove(every, run.phases, Deadline.after(600))
    assert proved is not None and proved.is_proved
    monkeypatch.setattr(found, "prove", nothing)
    monkeypatch.setattr(Growth, "_bounds", lambda self, tried: -np.ones(len(tried)))
    kept, verdict = Growth(found, run, each=60.0, deadline=Deadline.after(600.0), share=0.5).run(
        every, proved
    )
    assert np.array_equal(kept, every) and verdict is proved
    assert 0 < len(asked) <= MISSES and len(set(asked)) == len(asked)


def test_what_fails_for_an_input_fails_for_those_beyond_it() -> None:
    outside = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0]], dtype=np.bool_)
    assert _beyond(outside, 0).tolist() == [True, True, False, True]
