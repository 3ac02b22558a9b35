"""``Inquiry``: what is asked of sets of free units, by whom, and what was answered before.

Known violators answer first, then claims that already failed (more free units fail too), then
the prover.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from precond.mine.sufficient_features.changes import Changes
from precond.mine.sufficient_features.linear import MarginLines, margin_lines
from precond.mine.sufficient_features.question import FeatureQuestion
from precond.mine.sufficient_features.units import Flags
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.plans import Stage, box_stages
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status, Verdict

STEPS = 8  # of multipliers, where many boxes are bounded


@dataclass(eq=False, kw_only=True)
class Inquiry:
    """``each``: seconds for one proof at most; ``proofs`` put to the prover and ``passes`` of
    bounds over many boxes are counted; ``failed``: sets of free units that did not prove."""

    question: FeatureQuestion
    pool: Changes
    deadline: Deadline
    each: float
    ledger: Ledger | None = None
    seed: int = 0
    proofs: int = 0
    passes: int = 0
    failed: list[Flags] = field(default_factory=list)

    def lines(self, free: Flags, steps: int = STEPS) -> list[MarginLines]:
        """``margin_lines`` of boxes of ``free`` (G, m) units."""
        self.passes += 1
        return margin_lines(self.question, free, steps=steps, deadline=self.deadline)

    def ask(self, free: Flags, seconds: float | None = None) -> Verdict:
        """The verdict on ``free`` (m,) units; a witness goes to the pool, and what is not proved
        is remembered."""
        known = self.pool.freed(free)
        if len(known):
            return Verdict(Status.REFUTED, "earlier witness", exact=True, witness=known[0])
        if any((failed <= free).all() for failed in self.failed):
            return Verdict(Status.UNKNOWN, "earlier proof", reason="fewer free units did not prove")
        claim = self.question.claim(free)
        limit = self.deadline.earlier(self.each if seconds is None else seconds)
        verdict = self.put(claim, limit)
        if verdict.witness is not None:
            self.pool.add(verdict.witness[None])
        elif not verdict.is_proved:
            self.failed.append(free.copy())
        return verdict

    def put(
        self,
        claim: Claim,
        limit: Deadline,
        *,
        stages: Sequence[Stage] | None = None,
        exact: bool = False,
    ) -> Verdict:
        """The prover's verdict on any claim."""
        self.proofs += 1
        if stages is None:
            stages = box_stages(claim.problem, self.question.device)
        return prove(
            claim,
            budget=limit.left,
            ledger=self.ledger,
            stages=stages,
            device=self.question.device,
            seed=self.seed,
            exact=exact,
        )

    @contextmanager
    def within(self, share: float) -> Iterator[None]:
        """A ``share`` of the time left for what is done meanwhile."""
        whole = self.deadline
        self.deadline = whole.earlier(share * whole.left)
        try:
            yield
        finally:
            self.deadline = whole

    @property
    def nothing(self) -> Flags:
        return np.zeros(self.question.units.count, dtype=np.bool_)
