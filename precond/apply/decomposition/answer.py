"""``Decomposition``: the answer to a claim that was proved in two halves, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.apply.decomposition.lemmas import Lemma
from precond.proof.claim import Claim
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Step:
    """One half of the proof for one part of A: all x in ``box`` satisfy ``pattern``, which is
    ``lemma`` number so-and-so.  ``claim`` is about the head; None where the pattern has no
    literal, so that there is nothing to show."""

    box: Box
    lemma: int
    pattern: DecisionPattern
    claim: Claim | None
    verdict: Verdict | None

    @property
    def stands(self) -> bool:
        if self.claim is None:
            return True
        return self.verdict is not None and self.verdict.is_proved and self.verdict.confirmed


@dataclass(frozen=True)
class Half:
    """A ⇒ σ or σ ⇒ B: ``claims`` of which ``proved`` stand, ``reused`` of them from before."""

    claims: int
    proved: int
    reused: int
    seconds: float
    engines: tuple[str, ...]

    @property
    def stands(self) -> bool:
        return self.claims == self.proved


@dataclass(frozen=True, eq=False, kw_only=True)
class Decomposition:
    """The answer to ``claim``, cut at ``layer``.

    ``steps``: A ⇒ σ, part by part; ``lemmas``: σ ⇒ B, pattern by pattern.  ``uncovered``: the
    share of A (by volume) that no pattern was found for.  ``seconds`` is everything but the direct
    proof: ``search_seconds``, both halves', and the search for a witness.
    """

    claim: Claim
    layer: str
    status: Status
    steps: tuple[Step, ...]
    lemmas: tuple[Lemma, ...]
    head: Half
    tail: Half
    uncovered: float
    splits: int
    search_seconds: float
    seconds: float
    reason: str = ""
    witness: Array | None = None
    direct: Verdict | None = None

    @property
    def patterns(self) -> tuple[DecisionPattern, ...]:
        """The disjuncts of σ, over the values reachable from A."""
        found = {step.lemma: step.pattern for step in self.steps}
        return tuple(found[k] for k in sorted(found))

    @property
    def literals(self) -> int:
        """Literals in all disjuncts."""
        return sum(len(pattern) for pattern in self.patterns)
