"""Every claim worked out by hand, on every engine and on ``prove``."""

from __future__ import annotations

import pytest
from known import KNOWN, Known

from precond.proof.deadline import Deadline
from precond.proof.engines.attack import AttackEngine
from precond.proof.engines.base import Engine, Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.marabou.engine import MarabouEngine
from precond.proof.engines.refine_split.engine import RefineSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.prover.prove import prove
from precond.proof.replay import replay
from precond.proof.verdict import Status

pytest.importorskip("highspy")
LINEAR = HighsEngine(milp_neurons=0)
MARABOU = MarabouEngine()
INCOMPLETE: dict[str, Engine] = {
    "bounds": BoundsEngine(steps=0),
    "bounds-optimised": BoundsEngine(steps=30),
    "attack": AttackEngine(),
    "highs-lp": LINEAR,
}
COMPLETE: dict[str, Engine] = {
    "input-split": InputSplitEngine(),
    "refine-split": RefineSplitEngine(leaf=lambda p, d: LINEAR.solve(p, d)[0]),
    "relu-split": ReluSplitEngine(leaf=lambda p, d: LINEAR.solve(p, d)[0]),
    "highs-milp": HighsEngine(),
    "marabou": MARABOU,
    "z3": Z3Engine(),
}
EVERY = INCOMPLETE | COMPLETE


@pytest.fixture(scope="module", autouse=True)
def _close() -> object:
    yield
    MARABOU.close()


def claims(*statuses: Status) -> list[object]:
    return [pytest.param(k, id=k.name) for k in KNOWN if k.status in statuses]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("known", claims(*Status))
def test_no_engine_contradicts(known: Known, name: str) -> None:
    """INFEASIBLE for all conjuncts only where no violation exists; a bound is never above the
    minimum; a witness that replays only where the claim is false."""
    engine, problem = EVERY[name], known.claim.problem
    if engine.unsupported(problem) is not None:
        pytest.skip(str(engine.unsupported(problem)))
    answers = engine.solve(problem, Deadline.after(600.0))
    assert len(answers) == len(problem.conjuncts)
    if known.status is Status.REFUTED:
        assert any(a.outcome is not Outcome.INFEASIBLE for a in answers)
    for answer in answers:
        if known.minimum is not None and answer.bound is not None:
            assert answer.bound <= known.minimum
        if answer.outcome is Outcome.WITNESS and answer.witness is not None:
            holds = replay(known.claim, answer.witness).counts
            assert not holds or known.status is Status.REFUTED


@pytest.mark.parametrize("name", COMPLETE)
@pytest.mark.parametrize("known", claims(Status.PROVED))
def test_complete_engines_prove(known: Known, name: str) -> None:
    engine, problem = COMPLETE[name], known.claim.problem
    if engine.unsupported(problem) is not None:
        pytest.skip(str(engine.unsupported(problem)))
    answers = engine.solve(problem, Deadline.after(600.0))
    assert [a.outcome for a in answers] == [Outcome.INFEASIBLE] * len(answers)
    assert all(a.rigorous for a in answers) or name in ("highs-milp", "marabou")


@pytest.mark.parametrize("known", claims(*Status))
def test_prove(known: Known) -> None:
    verdict = prove(known.claim, budget=600.0)
    assert verdict.status is known.status, verdict.reason
    assert verdict.confirmed
    if known.status is Status.REFUTED:
        assert verdict.exact and verdict.witness is not None
        assert replay(known.claim, verdict.witness).counts
    if verdict.bound is not None and known.minimum is not None:
        assert 0 < verdict.bound <= known.minimum
