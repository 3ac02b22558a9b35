"""What both ways of relaxing share: asking, counting, and how many layers are needed.

``Question`` puts patterns of one input's signature to the prover.  Known violators answer
first, then linear bounds of many patterns in one propagation (``bounds``), then ``prove``.
``stopping_layer`` finds the fewest first layers that still prove (more never
prove less); ``one_by_one`` is the textbook's neuron step.

Source: Gopinath, Converse, Pasareanu, Taly 2019, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from precond.mine.violators import Flags, Violators
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import Stage, prove
from precond.proof.replay import replay
from precond.proof.restate.closed_pattern import around_pattern
from precond.proof.restate.restatement import ask, same
from precond.proof.verdict import Status, Verdict
from precond.region.literals import Literals

Array = NDArray[np.float64]
CHUNK = 1 << 22  # numbers in the linear forms of one propagation
STEPS = 12


@dataclass(eq=False, kw_only=True)
class Question:
    """One input and what is asked of its signature.

    ``whole``: the claim with the full signature.  ``x`` (n,).  ``proofs`` put to the prover
    and ``batches`` (propagations and searches over many patterns at once) are counted.
    ``contract``: claims are stated over the smallest box around a closed pattern.
    """

    whole: Claim
    x: Array
    literals: Literals
    violators: Violators
    deadline: Deadline
    each: float
    stages: Sequence[Stage]
    ledger: Ledger | None
    device: str
    contract: bool = False
    proofs: int = 0
    batches: int = 0

    def claim(self, kept: Flags) -> Claim:
        return replace(self.whole, pattern=self.literals.pattern(kept))

    def ask(self, kept: Flags, *, keep_trace: bool = False, first: Sequence[Stage] = ()) -> Verdict:
        """The prover's verdict, or that of a violator met before.  ``first``: stages to try
        before the others."""
        claim = self.claim(kept)
        for point in self.violators.within(kept)[:3]:
            if replay(claim, point).counts:
                return Verdict(Status.REFUTED, "earlier witness", exact=True, witness=point)
            self.violators.forget(point)
        self.proofs += 1
        each = self.deadline.earlier(self.each)
        restated = around_pattern(claim, each) if self.contract else same(claim)
        answer = partial(
            prove,
            budget=each.left,
            points=self.x[None],
            ledger=self.ledger,
            stages=(*first, *self.stages),
            device=self.device,
            keep_trace=keep_trace,
        )
        verdict = ask(restated, answer)
        if verdict.witness is not None:
            self.violators.add(verdict.witness[None])
        return verdict

    def bounds(self, patterns: Sequence[Flags]) -> Array:
        """A rigorous bound for each pattern, positive where it is proved; −inf for those that a
        violator refutes."""
        result = np.full(len(patterns), -np.inf)
        asked = [k for k, kept in enumerate(patterns) if not self.violators.refutes(kept)]
        if not asked or self.deadline.passed or not self.whole.problem.conjuncts:
            return result
        self.batches += 1
        problem, network = self.whole.problem, self.whole.network
        rows = sum(len(conjunct) for conjunct in problem.conjuncts)
        widest = max(network.width(name) for name in network.shapes)
        size = max(1, CHUNK // (rows * widest))
        for start in range(0, len(asked), size):
            part = asked[start : start + size]
            problems = [
                replace(problem, intervals=self.literals.intervals(patterns[k])) for k in part
            ]
            found = pattern_bounds(
                problems, steps=STEPS, device=self.device, deadline=self.deadline
            )
            result[part] = np.where(np.isposinf(found), -np.inf, found)  # emptiness proves nothing
        return result


def stopping_layer(question: Question, *, batched: bool, traced: bool) -> tuple[int, Verdict]:
    """The fewest first decision layers found whose literals prove, and the prover's verdict on
    them; (−1, its verdict) if the full signature does not prove.

    ``batched``: first linear bounds of all numbers of layers at once, then the prover on the
    fewest that no violator refutes, then bisection; else from the last layer back, one proof
    each.  ``traced``: verdicts keep their traces.
    """
    first, layers = question.literals.first, len(question.literals.layers)
    low, high = 0, layers  # low: the smallest number not known to fail
    verdict: Verdict | None = None
    if batched:
        bounds = question.bounds([first(k) for k in range(layers + 1)])
        high = int(np.flatnonzero(bounds > 0)[0]) if (bounds > 0).any() else layers
        refuted = [k for k in range(layers + 1) if question.violators.refutes(first(k))]
        low = min(max(refuted, default=-1) + 1, layers)
        high = max(high, low)
    tried = low if batched else high
    while True:
        answer = question.ask(first(tried), keep_trace=traced)
        if answer.status is Status.PROVED:
            high, verdict = tried, answer
        elif tried >= high:  # where bounds proved and the prover does not, more layers may help
            if tried == layers:
                return -1, answer
            low, high = tried + 1, layers
        else:
            low = tried + 1
        if low >= high and verdict is not None:
            return high, verdict
        if question.deadline.passed and verdict is not None:
            return high, verdict
        if verdict is None and low >= high:
            tried = high
        else:
            tried = (low + high) // 2 if batched else high - 1


def one_by_one(
    question: Question, kept: Flags, verdict: Verdict, order: Sequence[int]
) -> tuple[Flags, Verdict, bool]:
    """Drop the literals of ``order`` from ``kept`` one at a time, until no drop proves.

    A drop refuted by a witness stays refuted as the pattern weakens; one that merely did not
    prove is tried again at the end.  The last value says whether time sufficed.
    """
    pending, refuted = list(order), set[int]()
    while True:
        changed = False
        for index in [i for i in pending if i not in refuted]:
            if question.deadline.passed:
                return kept, verdict, False
            weaker = kept.copy()
            weaker[index] = False
            answer = question.ask(weaker)
            if answer.status is Status.PROVED:
                kept, verdict, changed = weaker, answer, True
                pending.remove(index)
            elif answer.status is Status.REFUTED:
                refuted.add(index)
        if not changed:
            # Past the deadline the last answers may have been cut short.
            return kept, verdict, not question.deadline.passed
