"""Decomposed proofs: A(x) ⇒ B(f(x)) through an interpolant at a layer.

Cut f = g ∘ h at a decision layer.  An interpolant σ = σ_1 ∨ … ∨ σ_K, each σ_k a pattern over
that layer (off, z ≤ t, z ≥ t), is searched for (``decompose_search``), and then proved:

    A ⇒ σ    A is a union of boxes A_p; for each, all x in A_p satisfy σ_k(p) (claims about h)
    σ ⇒ B    all values of the layer that are reachable by bounds and satisfy σ_k have B
             (claims about g; ``Lemmas``: proved once, used wherever they apply)

Every claim is answered by ``prove``.  The whole is PROVED only if all of them are, each
confirmed; it is REFUTED only by an input of A that replays on the whole network.

Source: Gopinath, Converse, Pasareanu, Taly 2019, section 6 (layer properties as interpolants).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from precond.apply.decompose_bounds import HeadBounds, TailBounds
from precond.apply.decompose_lemmas import Lemma, Lemmas, implied, literals
from precond.apply.decompose_search import Cover, Search
from precond.errors import QueryError
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.parts import head
from precond.proof.attack import attack_all
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger import Ledger
from precond.proof.prove import prove
from precond.proof.replay import replay
from precond.proof.tail import Tail
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
Admits = Callable[[Array], Array | None]
SAMPLES = 4096  # inputs of A tried against B before anything is proved


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


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The answer to ``claim``, cut at ``layer``.

    ``steps``: A ⇒ σ, part by part; ``lemmas``: σ ⇒ B, pattern by pattern.  ``left``: the share of
    A (by volume) that no pattern was found for.  ``seconds`` is everything but the direct
    proof: ``search_seconds``, both halves', and the search for a witness.
    """

    claim: Claim
    layer: str
    status: Status
    steps: tuple[Step, ...]
    lemmas: tuple[Lemma, ...]
    head: Half
    tail: Half
    left: float
    splits: int
    search_seconds: float
    seconds: float
    reason: str = ""
    witness: Array | None = None
    direct: Verdict | None = field(default=None)

    @property
    def patterns(self) -> tuple[DecisionPattern, ...]:
        """The disjuncts of σ, over the values reachable from A."""
        found = {step.lemma: step.pattern for step in self.steps}
        return tuple(found[k] for k in sorted(found))

    @property
    def literals(self) -> int:
        """Literals in all disjuncts."""
        return sum(len(pattern) for pattern in self.patterns)


def decompose(
    claim: Claim,
    layer: str,
    *,
    budget: float = 60.0,
    lemmas: Lemmas | None = None,
    proposed: Iterable[Box] = (),
    ledger: Ledger | None = None,
    admits: Admits | None = None,
    direct: bool = False,
    device: str = "cpu",
    seed: int = 0,
) -> Decomposition:
    """Prove ``claim`` (a box A and a property of outputs) through the decisions of ``layer``.

    ``lemmas``: proved before for this tail and property; what is proved here is added.
    ``proposed``: boxes of the layer's activations to try as patterns first; they are proved
    anew.  ``admits`` decides about a witness (the query's own reading); by default its exact
    replay does.  ``direct``: prove the claim whole too, within another ``budget``, for
    comparison.  Errors: QueryError for a layer that cannot be cut at, and a claim with
    a pattern, half-spaces, or inequalities over inputs.
    """
    check_claim(claim)
    cut = Tail(claim.network, claim.box, layer)
    begun = time.monotonic()
    run = _Run(claim, cut, Deadline.after(budget), Lemmas() if lemmas is None else lemmas)
    run.ledger, run.device, run.seed = ledger, device, seed
    answer = run.answer(tuple(proposed), admits or (lambda x: _replayed(claim, x)), begun)
    if not direct:
        return answer
    from dataclasses import replace

    return replace(answer, direct=prove(claim, budget=budget, device=device, seed=seed))


def check_claim(claim: Claim) -> None:
    """QueryError unless the claim is a box and a property of outputs alone."""
    if len(claim.pattern) or claim.halfspaces is not None:
        raise QueryError(
            f"decomposition of a claim about {claim.network.origin}",
            expected="a box of inputs",
            got="one with a pattern or linear constraints on inputs",
            fix="Bound each input by itself",
        )
    if any(i.inputs for clause in claim.property.clauses for i in clause):
        raise QueryError(
            f"decomposition of a claim about {claim.network.origin}",
            expected="a property of outputs alone, as the tail does not see the inputs",
            got="one that compares inputs and outputs",
            fix="'precond verify' decides such queries",
        )


class _Run:
    """One decomposition."""

    ledger: Ledger | None = None
    device = "cpu"
    seed = 0

    def __init__(self, claim: Claim, cut: Tail, deadline: Deadline, lemmas: Lemmas) -> None:
        self.claim, self.cut, self.deadline, self.lemmas = claim, cut, deadline, lemmas
        network = claim.network
        self.front = head(network, network.pre_activation(cut.cut))

    def answer(self, proposed: tuple[Box, ...], admits: Admits, begun: float) -> Decomposition:
        witness = self._witness(admits)
        reach = self.cut.values(DecisionPattern())
        if witness is not None or reach is None:
            return self._result(Cover((), (), 1.0, 0, 0), (), (), 0, begun, witness)
        known = self.lemmas.about(self._rest(reach))
        given = [lemma.values for lemma in known]
        fitting = [box for box in proposed if box.size == reach.size]
        started = time.monotonic()
        cover = Search(
            self.claim.box,
            reach,
            HeadBounds(self.front, self.device),
            TailBounds(self.cut.rest, self.claim.property.negation(), self.device),
            [*given, *self._proved(fitting)],
            self.seed,
        ).run(self._share(0.6))
        self.searched = time.monotonic() - started
        return self._prove(cover, reach, {id(values): k for k, values in enumerate(given)}, begun)
