"""Decomposed proofs: A(x) ⇒ B(f(x)) through an interpolant at a layer.

Cut f = g ∘ h at a decision layer.  An interpolant σ = σ_1 ∨ … ∨ σ_K, each σ_k a pattern over
that layer (off, z ≤ t, z ≥ t), is searched for (``search``), and then proved:

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
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from precond.apply.decomposition.answer import Decomposition, Half, Step
from precond.apply.decomposition.bounds import HeadBounds, TailBounds
from precond.apply.decomposition.lemmas import Lemma, Lemmas, implied, literals
from precond.apply.decomposition.requirements import check_claim, check_layer
from precond.apply.decomposition.search import Cover, CoverSearch
from precond.apply.decomposition.settings import DecompositionSettings
from precond.network.parts import head
from precond.proof.attack import AttackEffort, attack_all
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.effort import Effort
from precond.proof.gate import excludes
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove
from precond.proof.replay import replay
from precond.proof.restate.tail import Tail
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

Array = NDArray[np.float64]
Admits = Callable[[Array], Array | None]
SAMPLES = 4096  # inputs of A tried against B before anything is proved
SAMPLING = 0.2  # of the budget, for these at most
GENEROUS = 5  # times its share, that a claim may take
SEARCH_SHARE = 0.6  # of the time that is left, for finding σ; the rest is for proving


def decompose(
    claim: Claim,
    layer: str,
    settings: DecompositionSettings | None = None,
    *,
    lemmas: Lemmas | None = None,
    proposed: Iterable[Box] = (),
    ledger: Ledger | None = None,
    admits: Admits | None = None,
) -> Decomposition:
    """Prove ``claim`` (a box A and a property of outputs) through the decisions of ``layer``.

    ``lemmas``: proved before for this tail and property; what is proved here is added.
    ``proposed``: boxes of the layer's activations to try as patterns first; those used are
    proved anew.  ``admits`` decides about a witness (the query's own reading); by default its exact
    replay does.  Errors: QueryError for a layer that cannot be cut at, and a claim with
    a pattern, half-spaces, or inequalities over inputs.
    """
    check_claim(claim)
    check_layer(claim.network, layer)
    settings = settings or DecompositionSettings()
    deadline = Deadline.after(settings.budget)
    search = deadline.earlier(SEARCH_SHARE * settings.budget)
    cut = Tail(claim.network, claim.box, cut=layer, deadline=search)
    kept = Lemmas() if lemmas is None else lemmas
    run = _DecompositionRun(
        claim, cut, deadline, lemmas=kept, ledger=ledger, device=settings.device, seed=settings.seed
    )
    answer = run.answer(tuple(proposed), admits or partial(_replayed, claim))
    return replace(answer, direct=proved_whole(claim, settings)) if settings.direct else answer


def proved_whole(claim: Claim, effort: Effort) -> Verdict:
    """The claim proved directly, for comparison."""
    return prove(claim, budget=effort.budget, device=effort.device, seed=effort.seed)


class _DecompositionRun:
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
        self.beyond = beyond_floats(self.claim.problem)
        if self.beyond is not None:
            return self._unproved(_NOTHING, witness)
        reach = self.cut.values(DecisionPattern())
        if witness is not None or reach is None:
            return self._unproved(_NOTHING, witness)
        started = time.monotonic()
        cover = self._search(reach, proposed)
        self.search_seconds = time.monotonic() - started
        if cover.uncovered:  # a proof of the rest would not answer the claim
            return self._unproved(cover, witness=None)
        lemmas, tail_half = self._tail(cover)
        steps, head_half = self._head(cover, reach)
        return self._result(cover, steps, lemmas, halves=(head_half, tail_half), witness=None)

    def _witness(self, admits: Admits) -> Array | None:
        """An input of A without B: among samples, then by gradient."""
        claim = self.claim
        points = claim.box.sample(SAMPLES, np.random.default_rng(self.seed))
        limit = self.deadline.earlier(SAMPLING * self.deadline.left)
        y = record(claim.network, points, (), until=limit).outputs
        points = points[: len(y)]
        bad = points[~claim.property.holds(y)]
        found = [bad[:8]]
        if not len(bad):
            conjuncts = claim.property.negation()
            found = attack_all(
                claim.problem,
                conjuncts,
                self.deadline.earlier(max(0.1, 0.1 * self.deadline.left)),
                effort=AttackEffort(device=self.device, seed=self.seed),
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
            given += [box for box, value in zip(fitting, bound, strict=True) if excludes(value)]
        front = HeadBounds(self.front, self.device)
        search = CoverSearch(
            self.claim.box, reach, head=front, tail=tail, lemmas=given, seed=self.seed
        )
        return search.run(self.deadline.earlier(SEARCH_SHARE * self.deadline.left))

    def _about(self, values: Box) -> Claim:
        """values ⇒ B, of the rest of the network."""
        return Claim(
            self.cut.rest, box=values, pattern=DecisionPattern(), property=self.claim.property
        )

    def _tail(self, cover: Cover) -> tuple[tuple[Lemma, ...], Half]:
        """σ ⇒ B, pattern by pattern."""
        started = time.monotonic()
        claims = [self._about(values) for values in cover.values]
        known = [self.lemmas.find(claim) for claim in claims]
        new = [claim for claim, lemma in zip(claims, known, strict=True) if lemma is None]
        answers = iter(self._prove(new, len(cover.parts)))
        found = [
            Lemma(claim, next(answers)) if lemma is None else lemma
            for claim, lemma in zip(claims, known, strict=True)
        ]
        for lemma in found:
            self.lemmas.add(lemma)
        proved, reused = sum(lemma.stands for lemma in found), len(claims) - len(new)
        engines, seconds = _engines([one.verdict for one in found]), time.monotonic() - started
        half = Half(len(found), proved=proved, reused=reused, seconds=seconds, engines=engines)
        return tuple(found), half

    def _head(self, cover: Cover, reach: Box) -> tuple[tuple[Step, ...], Half]:
        """A ⇒ σ, part by part."""
        started = time.monotonic()
        patterns = [
            literals(self.cut.cut, cover.values[part.pattern], reach) for part in cover.parts
        ]
        claims = [
            Claim(self.front, box=part.box, pattern=DecisionPattern(), property=implied(pattern))
            for part, pattern in zip(cover.parts, patterns, strict=True)
            if len(pattern)
        ]
        answers = iter(zip(claims, self._prove(claims, 0), strict=True))
        steps = []
        for part, pattern in zip(cover.parts, patterns, strict=True):
            claim, verdict = next(answers) if len(pattern) else (None, None)
            steps.append(
                Step(part.box, lemma=part.pattern, pattern=pattern, claim=claim, verdict=verdict)
            )
        proved = sum(step.stands for step in steps)
        engines = _engines([step.verdict for step in steps])
        return tuple(steps), Half(
            len(steps), proved=proved, reused=0, seconds=time.monotonic() - started, engines=engines
        )

    def _prove(self, claims: Sequence[Claim], later: int) -> list[Verdict | None]:
        """Each claim, with a generous share of the time, of which ``later`` more need theirs;
        then again those that were left open, with what is left.  None: no time at all."""
        found: list[Verdict | None] = [None] * len(claims)
        for again in (False, True):
            open_ = [k for k, verdict in enumerate(found) if verdict is None or not _fine(verdict)]
            for number, k in enumerate(open_):
                ahead = len(open_) - number + later
                if self.deadline.passed or (again and _settled(found[k])):
                    continue
                found[k] = prove(
                    claims[k],
                    budget=max(0.05, self.deadline.left * (GENEROUS / (ahead + GENEROUS))),
                    ledger=self.ledger,
                    device=self.device,
                    seed=self.seed,
                )
        return found

    def _unproved(self, cover: Cover, witness: Array | None) -> Decomposition:
        """The answer where neither half was put to the prover."""
        halves = (_NO_HALF, _NO_HALF)
        return self._result(cover, steps=(), lemmas=(), halves=halves, witness=witness)

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
        elif self.beyond is not None:
            reason = self.beyond.reason
        elif cover.uncovered:
            reason = f"no pattern was found in time for {cover.uncovered:.3g} of A"
        elif not halves[0].stands:
            reason = f"A ⇒ σ: {halves[0].claims - halves[0].proved} claims are not proved"
        elif not halves[1].stands:
            reason = f"σ ⇒ B: {halves[1].claims - halves[1].proved} claims are not proved"
        else:
            status = Status.PROVED
        return Decomposition(
            claim=self.claim,
            layer=self.cut.cut,
            status=status,
            steps=steps,
            lemmas=lemmas,
            head=halves[0],
            tail=halves[1],
            uncovered=cover.uncovered,
            splits=cover.splits,
            search_seconds=self.search_seconds,
            seconds=time.monotonic() - self.begun,
            reason=reason,
            witness=witness,
        )


def _engines(verdicts: Sequence[Verdict | None]) -> tuple[str, ...]:
    return tuple(sorted({v.engine for v in verdicts if v is not None and v.engine}))


def _fine(verdict: Verdict) -> bool:
    return verdict.is_proved and verdict.confirmed


def _settled(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.status is Status.REFUTED


def _replayed(claim: Claim, point: Array) -> Array | None:
    return point if replay(claim, point).counts else None


_NOTHING = Cover((), values=(), uncovered=1.0, splits=0, mined=0)
_NO_HALF = Half(0, proved=0, reused=0, seconds=0.0, engines=())
