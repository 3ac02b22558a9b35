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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from precond.apply.decompose_bounds import HeadBounds, TailBounds
from precond.apply.decompose_lemmas import Lemma, Lemmas, implied, literals
from precond.apply.decompose_search import Cover, Search
from precond.errors import QueryError
from precond.network.evaluate import outputs
from precond.network.parts import head
from precond.proof.attack import attack_all
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger import Ledger
from precond.proof.prove import prove
from precond.proof.replay import replay
from precond.proof.stages import search_stages
from precond.proof.tail import Tail
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
Admits = Callable[[Array], Array | None]
SAMPLES = 4096  # inputs of A tried against B before anything is proved
SEARCH_SHARE = 0.6  # of the time that is left, for finding σ; the rest is for proving


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
    ``proposed``: boxes of the layer's activations to try as patterns first; those used are
    proved anew.  ``admits`` decides about a witness (the query's own reading); by default its exact
    replay does.  ``direct``: prove the claim whole too, within another ``budget``, for
    comparison.  Errors: QueryError for a layer that cannot be cut at, and a claim with
    a pattern, half-spaces, or inequalities over inputs.
    """
    check_claim(claim)
    cut = Tail(claim.network, claim.box, layer)
    kept = Lemmas() if lemmas is None else lemmas
    run = _Run(claim, cut, Deadline.after(budget), kept, ledger, device, seed)
    answer = run.answer(tuple(proposed), admits or partial(_replayed, claim))
    if not direct:
        return answer
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
    """One decomposition, step by step."""

    def __init__(
        self,
        claim: Claim,
        cut: Tail,
        deadline: Deadline,
        lemmas: Lemmas,
        ledger: Ledger | None,
        device: str,
        seed: int,
    ) -> None:
        self.claim, self.cut, self.deadline, self.lemmas = claim, cut, deadline, lemmas
        self.ledger, self.device, self.seed = ledger, device, seed
        self.front = head(claim.network, claim.network.pre_activation(cut.cut))
        self.begun = time.monotonic()
        self.search_seconds = 0.0

    def answer(self, proposed: Sequence[Box], admits: Admits) -> Decomposition:
        witness = self._witness(admits)
        reach = self.cut.values(DecisionPattern())
        if witness is not None or reach is None:
            return self._result(_NOTHING, (), (), (_NO_HALF, _NO_HALF), witness)
        started = time.monotonic()
        cover = self._search(reach, proposed)
        self.search_seconds = time.monotonic() - started
        if cover.left:  # a proof of the rest would not answer the claim
            return self._result(cover, (), (), (_NO_HALF, _NO_HALF), None)
        lemmas, tail_half = self._tail(cover)
        steps, head_half = self._head(cover, reach)
        return self._result(cover, steps, lemmas, (head_half, tail_half), None)

    def _witness(self, admits: Admits) -> Array | None:
        """An input of A without B: among samples, then by gradient."""
        claim = self.claim
        points = claim.box.sample(SAMPLES, np.random.default_rng(self.seed))
        bad = points[~claim.property.holds(outputs(claim.network, points))]
        found = [bad[:8]]
        if not len(bad):
            conjuncts = claim.property.negation()
            found = attack_all(
                claim.problem,
                conjuncts,
                self.deadline.earlier(max(0.1, 0.1 * self.deadline.left)),
                device=self.device,
                seed=self.seed,
            )
        for x in np.concatenate(found):
            admitted = admits(x)
            if admitted is not None:
                return admitted
        return None

    def _search(self, reach: Box, proposed: Sequence[Box]) -> Cover:
        tail = TailBounds(self.cut.rest, self.claim.property.negation(), self.device)
        given = [lemma.values for lemma in self.lemmas.about(self._about(reach))]
        fitting = [box for box in proposed if box.size == reach.size]
        if fitting:
            bound, _ = tail(
                np.stack([box.lower for box in fitting]), np.stack([box.upper for box in fitting])
            )
            given += [box for box, value in zip(fitting, bound, strict=True) if value > 0]
        front = HeadBounds(self.front, self.device)
        search = Search(self.claim.box, reach, front, tail, given, self.seed)
        return search.run(self.deadline.earlier(SEARCH_SHARE * self.deadline.left))

    def _about(self, values: Box) -> Claim:
        """values ⇒ B, of the rest of the network."""
        return Claim(self.cut.rest, values, DecisionPattern(), self.claim.property)

    def _tail(self, cover: Cover) -> tuple[tuple[Lemma, ...], Half]:
        """σ ⇒ B, pattern by pattern."""
        started = time.monotonic()
        found: list[Lemma] = []
        reused = 0
        for number, values in enumerate(cover.values):
            known = self.lemmas.find(self._about(values))
            if known is not None:
                found.append(known)
                reused += 1
                continue
            ahead = len(cover.values) - number + len(cover.parts)
            claim = self._about(values)
            if self.deadline.passed:
                found.append(Lemma(claim))
                continue
            lemma = Lemma(claim, self._prove(claim, ahead))
            self.lemmas.add(lemma)
            found.append(lemma)
        verdicts = [lemma.verdict for lemma in found]
        proved = sum(lemma.stands for lemma in found)
        half = Half(len(found), proved, reused, time.monotonic() - started, _engines(verdicts))
        return tuple(found), half

    def _head(self, cover: Cover, reach: Box) -> tuple[tuple[Step, ...], Half]:
        """A ⇒ σ, part by part."""
        started = time.monotonic()
        steps: list[Step] = []
        for number, part in enumerate(cover.parts):
            pattern = literals(self.cut.cut, cover.values[part.pattern], reach)
            claim = verdict = None
            if len(pattern):
                claim = Claim(self.front, part.box, DecisionPattern(), implied(pattern))
                if not self.deadline.passed:
                    verdict = self._prove(claim, len(cover.parts) - number)
            steps.append(Step(part.box, part.pattern, pattern, claim, verdict))
        proved = sum(step.stands for step in steps)
        engines = _engines([step.verdict for step in steps])
        return tuple(steps), Half(len(steps), proved, 0, time.monotonic() - started, engines)

    def _prove(self, claim: Claim, ahead: int) -> Verdict:
        """Within a generous share of what is left for ``ahead`` claims."""
        budget = max(0.05, 5 * self.deadline.left / (ahead + 5))
        return prove(
            claim,
            budget=budget,
            ledger=self.ledger,
            stages=search_stages(claim.problem, self.device),
            device=self.device,
            seed=self.seed,
        )

    def _result(
        self,
        cover: Cover,
        steps: tuple[Step, ...],
        lemmas: tuple[Lemma, ...],
        halves: tuple[Half, Half],
        witness: Array | None,
    ) -> Decomposition:
        status, reason = Status.UNKNOWN, ""
        if witness is not None:
            status = Status.REFUTED
        elif cover.left:
            reason = f"no pattern was found in time for {cover.left:.3g} of A"
        elif not halves[0].stands:
            reason = f"A ⇒ σ: {halves[0].claims - halves[0].proved} claims are not proved"
        elif not halves[1].stands:
            reason = f"σ ⇒ B: {halves[1].claims - halves[1].proved} claims are not proved"
        else:
            status = Status.PROVED
        return Decomposition(
            self.claim,
            self.cut.cut,
            status,
            steps,
            lemmas,
            *halves,
            cover.left,
            cover.splits,
            self.search_seconds,
            time.monotonic() - self.begun,
            reason,
            witness,
        )


def _engines(verdicts: Sequence[Verdict | None]) -> tuple[str, ...]:
    return tuple(sorted({v.engine for v in verdicts if v is not None and v.engine}))


def _replayed(claim: Claim, point: Array) -> Array | None:
    return point if replay(claim, point).counts else None


_NOTHING = Cover((), (), 1.0, 0, 0)
_NO_HALF = Half(0, 0, 0, 0.0, ())
