"""Random claims at the edges of float64: no engine, nor ``prove``, calls a false one proved.

Truth is the exact value at points of the box: a point that violates refutes, whoever proved.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from looks import Looks

from precond.proof.claim import Claim
from precond.proof.engines.base import Engine, Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.highs import HighsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.lp_split import LpSplitEngine
from precond.proof.engines.refine_split.engine import RefineSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.prover.prove import prove, quick_stages
from precond.proof.replay import replay
from precond.proof.verdict import Status

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from soundness_extremes import KINDS, SIZES, extreme_claim

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow is what is asked
COUNT = 2 * len(KINDS) * len(SIZES)
TESTED: tuple[Engine, ...] = (
    BoundsEngine(steps=2),
    InputSplitEngine(),
    RefineSplitEngine(),
    ReluSplitEngine(),
    HighsEngine(milp_neurons=0),
    LpSplitEngine(),
)


def violated(claim: Claim) -> bool:
    """Whether some point of a small sample refutes the claim, exactly."""
    box = claim.box
    corners = np.where(np.eye(box.size, dtype=bool), box.lower, box.upper)
    sample = box.sample(6, np.random.default_rng(0))
    points = np.concatenate([box.lower[None], box.upper[None], corners, sample])
    return any(replay(claim, x).counts for x in points)


@pytest.mark.parametrize("start", range(0, COUNT, 49))
def test_nothing_false_is_proved(start: int) -> None:
    for seed in range(start, start + 49):
        family, claim = extreme_claim(seed)
        if not violated(claim):
            continue
        for engine in TESTED:
            if engine.unsupported(claim.problem) is None:
                (answer,) = engine.solve(claim.problem, Looks(30))
                closed = answer.outcome is Outcome.INFEASIBLE and answer.rigorous
                assert not closed, f"seed {seed}, {family}: {engine.name}"
        verdict = prove(claim, budget=5, stages=quick_stages())
        assert verdict.status in (Status.UNKNOWN, Status.REFUTED), f"seed {seed}, {family}"
