"""Relaxing inputs in workers finds what it finds in this process, and fills the same ledger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from known import MAXIMUM, at_least, box

from precond.mine.input_preconditions.job import RelaxJob
from precond.mine.input_preconditions.relax import input_precondition
from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Status
from precond.workers.pool import open_pool

DOMAIN = box((0, 1), (0, 1))
POSITIVE = at_least(-0.125, 1.0)  # max(x₀, x₁) ≥ −1/8


@pytest.mark.slow
def test_the_same_patterns_and_proofs(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(size=(5, 2))
    jobs = [
        RelaxJob(network=MAXIMUM, point=point, property=POSITIVE, domain=DOMAIN, budget=600.0)
        for point in points
    ]
    alone = [input_precondition(MAXIMUM, point, POSITIVE, DOMAIN) for point in points]
    with Ledger(tmp_path / "l") as ledger:
        with open_pool(2, ledger=ledger) as pool:
            spread = pool.map(jobs)
        assert len(ledger) > 0
        assert {entry.verdict.status for entry in ledger.entries()} <= {
            Status.PROVED,
            Status.REFUTED,
        }
    assert [r.pattern for r in spread] == [r.pattern for r in alone]
    assert [(r.layer, r.minimal) for r in spread] == [(r.layer, r.minimal) for r in alone]


def test_a_job_that_failed_found_nothing() -> None:
    found = RelaxJob(network=MAXIMUM, point=np.zeros(2), property=POSITIVE, domain=DOMAIN).failed(
        "out of memory"
    )
    assert found.pattern is None and not found.minimal
    assert found.verdict.status is Status.UNKNOWN and found.verdict.reason == "out of memory"
