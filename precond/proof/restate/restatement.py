"""``Restatement``: a claim asked in place of another, and the way back.

Each module of this folder states a claim again in a form that is easier to answer: ``Tail`` asks
of the layers after a cut alone, ``without_fixed_neurons`` of a smaller network,
``around_pattern`` over a smaller box, ``through_logits`` of the values before a last activation,
``with_room`` of counterexamples away from the edge.  Restatements follow one another (``then``);
``ask`` puts the last claim to a prover and answers the first.

The form is that of CVXPY's reductions: what a transform makes, and how an answer is read back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from precond.proof.claim import Claim
from precond.proof.verdict import Status, Verdict

Array = NDArray[np.float64]
Points = Callable[[Array], Array]
NO_PROOF = "a proof of the claim that was asked instead is none of this one"
NO_COUNTEREXAMPLE = "a counterexample of the claim that was asked instead is none of this one"


def _unchanged(points: Array) -> Array:
    return points


def _never(_: Array) -> bool:
    return False


@dataclass(frozen=True, eq=False, kw_only=True)
class Restatement:
    """``claim`` asked in place of ``original``.

    ``restore``: points (k, m) of its box as points (k, n) of the original's; ``shrink``: the
    other way.  After a cut, the original's points are values of the layer cut at, since there
    is no way back to inputs.  ``proves``: a proof of ``claim`` proves the original (and an empty
    region is empty).  ``refutes``: every counterexample of ``claim``, restored, is one of the
    original; where it is not so, ``confirms`` says of a point (m,) whether it surely is one,
    and ``reason`` why nothing follows if it is not.

    Traces and a certificate in a verdict are about ``claim``.
    """

    original: Claim
    claim: Claim
    restore: Points = _unchanged
    shrink: Points = _unchanged
    proves: bool = True
    refutes: bool = True
    confirms: Callable[[Array], bool] = _never
    reason: str = NO_COUNTEREXAMPLE

    @property
    def changes(self) -> bool:
        """Whether another claim is asked at all."""
        return self.claim is not self.original

    def counts(self, point: Array) -> bool:
        """Whether a counterexample (m,) of ``claim`` is one of the original."""
        return self.refutes or self.confirms(point)

    def then(self, restate: Callable[[Claim], Restatement]) -> Restatement:
        """This one, and its claim stated again."""
        after = restate(self.claim)
        return Restatement(
            original=self.original,
            claim=after.claim,
            restore=lambda points: self.restore(after.restore(points)),
            shrink=lambda points: after.shrink(self.shrink(points)),
            proves=self.proves and after.proves,
            refutes=self.refutes and after.refutes,
            confirms=lambda p: after.counts(p) and self.counts(after.restore(p[None])[0]),
            reason=self.reason if after.refutes else after.reason,
        )

    def answer(self, verdict: Verdict) -> Verdict:
        """What a verdict on ``claim`` says of the original."""
        point = verdict.witness
        if verdict.status is Status.REFUTED and point is not None and self.counts(point):
            return replace(verdict, witness=self.restore(point[None])[0])
        if verdict.status is Status.REFUTED and not self.refutes:
            return _nothing(verdict, self.reason)
        if verdict.status.holds and not self.proves:
            return _nothing(verdict, NO_PROOF)
        return verdict


def same(claim: Claim) -> Restatement:
    """The claim as it stands."""
    return Restatement(original=claim, claim=claim)


def ask(restatement: Restatement, prove: Callable[[Claim], Verdict]) -> Verdict:
    """The original's verdict, from what ``prove`` says of the claim asked in its place."""
    return restatement.answer(prove(restatement.claim))


def _nothing(verdict: Verdict, reason: str) -> Verdict:
    return replace(
        verdict, status=Status.UNKNOWN, exact=False, confirmed=True, witness=None, reason=reason
    )
