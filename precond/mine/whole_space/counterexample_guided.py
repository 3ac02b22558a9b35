"""The search for one pattern of one class: propose, attack, prove, weaken.

The cheapest pattern that excludes every counterexample known is attacked, then proved; on a
counterexample the choice is made again.  When it proves, literals are dropped: first those
that shut inputs out, then the rest in groups, as long as it still proves.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from numpy.typing import NDArray

from precond.mine.whole_space.candidates import Depths, Flags, LiteralPool, cheapest_cover
from precond.mine.whole_space.choices import allowance
from precond.mine.whole_space.class_pattern import ClassPattern
from precond.mine.whole_space.settings import Search as Search
from precond.mine.whole_space.shorten import spare
from precond.mine.whole_space.task import PatternTask
from precond.network.evaluate import outputs, values_at
from precond.network.graph import INPUT
from precond.proof.attack import AttackEffort, attack_all
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline, OutOfTime
from precond.proof.linear.programs import relaxation_bounds
from precond.proof.prover.plans import search_stages
from precond.proof.prover.prove import prove
from precond.proof.replay import in_region
from precond.proof.restate.fixed_neurons import without_fixed_neurons
from precond.proof.restate.restatement import ask
from precond.proof.verdict import Status, Verdict
from precond.region.signature import Signatures

Array = NDArray[np.float64]
KEPT = 30_000  # counterexamples kept for the cover
CANDIDATES = 40  # literals weighed against each other by their bounds


class PatternSearch:
    """The search for one pattern over the inputs of ``signatures``."""

    def __init__(
        self,
        task: PatternTask,
        signatures: Signatures,
        witnesses: Array,
        deadline: Deadline,
    ) -> None:
        self.tail = tail = task.tail
        self.property = task.property
        self.search = search = task.search
        self.note = task.note
        self.ledger = task.ledger
        self.deadline = deadline
        self.pool = LiteralPool.of(signatures, tail.layers, search.worst)
        values = signatures.values(tail.cut)
        self.points = values if tail.cut == INPUT else np.maximum(values, 0.0)
        self.witnesses = np.zeros((0, tail.rest.input_size))
        self.depths = np.zeros((0, len(self.pool)), dtype=np.float32)
        self.base = self.pool.cost == 0
        self.proofs = 0
        self.rounds = 0
        self.stride = 1
        self._remember(witnesses)

    def run(self) -> ClassPattern | None:
        """The widest pattern found: first by deep steps, which end soon; then, with the
        counterexamples met, by the cheapest ones, as long as that may still be wider."""
        began = time.monotonic()
        best = self._search(deep=True, least=self.search.least, deadline=self.deadline)
        if best is None:
            return None
        half = Deadline.after(0.5 * self.deadline.left)
        self.base = self.pool.cost == 0
        self.stride = 1
        finer = self._search(deep=False, least=self._inside(best[0]) + 1, deadline=half)
        chosen, verdict = self._weaken(*(finer or best))
        if finer is not None and self._inside(chosen) < self._inside(best[0]):
            chosen, verdict = best
        self._tell(chosen, "weakened")
        return ClassPattern(
            pattern=self.pool.pattern(chosen),
            verdict=verdict,
            cut=self.tail.cut,
            inside=~self.pool.shut_out(chosen),
            rounds=self.rounds,
            proofs=self.proofs,
            seconds=time.monotonic() - began,
            witnesses=self.witnesses,
        )

    def _inside(self, chosen: Flags) -> int:
        return int((~self.pool.shut_out(chosen)).sum())

    def _search(
        self, *, deep: bool, least: int, deadline: Deadline
    ) -> tuple[Flags, Verdict] | None:
        """Propose, attack and prove until a choice proves; None once no choice holds for
        ``least`` inputs, or at the end of time."""
        chosen = self._cover(deep)
        for _ in range(self.search.rounds):
            if chosen is None or deadline.passed or self._inside(chosen) < least:
                return None
            self.rounds += 1
            fresh, verdict = self._challenge(chosen)
            if verdict is not None and verdict.is_proved:
                self._tell(chosen, f"proved after {self.rounds} rounds")
                return chosen, verdict
            self._tell(chosen, f"round {self.rounds}: {len(fresh)} counterexamples")
            chosen = self._cover(deep) if len(fresh) else self._stronger(chosen)
        return None

    def _tell(self, chosen: Flags, text: str) -> None:
        share = 1 - self.pool.shut_out(chosen).mean() if self.pool.violated.size else 0.0
        self.note(f"{int(chosen.sum())} literals, {share:.1%} of the class: {text}")

    # -- strengthen --------------------------------------------------------------------

    def _cover(self, deep: bool) -> Flags | None:
        depths: Depths = self.depths if deep else (self.depths > 0).astype(np.float32)
        return cheapest_cover(depths, self.pool, self.base)

    def _claim(self, chosen: Flags) -> Claim | None:
        return self.tail.claim(self.pool.pattern(chosen), self.property)

    def _challenge(self, chosen: Flags) -> tuple[Array, Verdict | None]:
        """Counterexamples to a pattern, or the prover's verdict."""
        asked = self._claim(chosen)
        if asked is None:
            return self.witnesses[:0], Verdict(Status.VACUOUS)
        small = without_fixed_neurons(asked, self.deadline)
        claim = small.claim
        inside = small.shrink(self.points[~self.pool.shut_out(chosen)])
        inside = inside[in_region(claim.problem, inside)][:40]
        near = small.shrink(self.witnesses[-40:])
        results = attack_all(
            claim.problem,
            claim.problem.conjuncts,
            self.deadline.earlier(2.0),
            starts=[inside, near],
            effort=AttackEffort(steps=40, enough=6, seed=self.search.seed + self.proofs),
        )
        fresh = np.concatenate([*results, self._vertices(claim)])
        if len(fresh):
            return self._remember(small.restore(fresh), chosen), None
        self.proofs += 1
        budget = allowance(min(self.search.each, self.deadline.left))
        answer = partial(
            prove,
            budget=budget,
            points=inside,
            ledger=self.ledger,
            stages=search_stages(claim.problem, self.search.device),
            device=self.search.device,
        )
        verdict = ask(small, answer)
        if verdict.witness is not None:
            return self._remember(verdict.witness[None], chosen), verdict
        return self.witnesses[:0], verdict

    def _vertices(self, claim: Claim) -> Array:
        """Counterexamples among the maximisers of the linear relaxation, one for each way the
        property can fail."""
        problem = claim.problem
        limit = self.deadline.earlier(self.search.each)
        bounds = layer_bounds(region_of(problem, deadline=limit))
        try:
            relaxed = relaxation_bounds(problem, bounds, limit)
        except OutOfTime:
            return np.zeros((0, claim.box.size))
        points = np.array([r.x for r in relaxed if r.x is not None]).reshape(-1, claim.box.size)
        if not len(points):
            return points
        points = points[in_region(problem, points)]
        return points[~claim.property.holds(outputs(claim.network, points))]

    def _remember(self, points: Array, chosen: Flags | None = None) -> Array:
        """Keep counterexamples, and how deeply each candidate excludes them; returns them.

        Those of ``chosen`` exclude none of theirs: a point at the very edge of a literal, where
        vertices lie, may seem to be outside once it is rounded, and would be met for ever.
        """
        if not len(points):
            return points
        rest = self.tail.rest
        values = {} if self.tail.cut == INPUT else {self.tail.cut: points}
        for layer in rest.decision_layers:
            values[layer] = values_at(rest, points, rest.pre_activation(layer))
        self.witnesses = np.concatenate([self.witnesses, points])[-KEPT:]
        depths = self.pool.depths(values).astype(np.float32)
        if chosen is not None:
            depths[:, chosen] = 0.0
        self.depths = np.concatenate([self.depths, depths])[-KEPT:]
        return points

    def _stronger(self, chosen: Flags) -> Flags | None:
        """No counterexample and no proof.  Literals that cost nothing more come first, all of
        them; then those that raise the bound most for what they cost, ever more at a time."""
        free = ~(self.pool.violated & ~self.pool.shut_out(chosen)).any(1) & ~chosen
        if free.any():
            stronger = chosen | free
        else:
            best = self._best_additions(chosen)
            if best is None:
                return None
            stronger = chosen.copy()
            stronger[best[: self.stride]] = True
            self.stride *= 2  # what was too much is taken back when it is weakened
        self.base = stronger
        return stronger

    def _best_additions(self, chosen: Flags) -> NDArray[np.int64] | None:
        """Candidates, the largest gain of the bound per input lost first."""
        loss = (self.pool.violated & ~self.pool.shut_out(chosen)).sum(1) + 0.05
        order = np.argsort(np.where(chosen, np.inf, loss), kind="stable")
        order = order[: min(CANDIDATES, int((~chosen).sum()))]
        claims = [self._claim(chosen)]
        for index in order:
            stronger = chosen.copy()
            stronger[index] = True
            claims.append(self._claim(stronger))
        known = [claim.problem for claim in claims if claim is not None]
        if len(known) < len(claims) or len(known) < 2:
            return None
        bounds = pattern_bounds(known, device=self.search.device, deadline=self.deadline)
        gain = np.maximum(bounds[1:], -1e30) - bounds[0]
        score = np.maximum(gain, 1e-12) / loss[order]
        return np.asarray(order[np.argsort(-score, kind="stable")], dtype=np.int64)

    # -- weaken ------------------------------------------------------------------------

    def _weaken(self, chosen: Flags, verdict: Verdict) -> tuple[Flags, Verdict]:
        """Drop what the proof can do without: literals that shut inputs out one by one, then
        the others, many at once (``spare``)."""
        self.base = np.zeros_like(self.base)
        tried = np.zeros_like(chosen)
        while not self.deadline.passed:
            index = self._dearest(chosen & ~tried, chosen)
            if index is None:
                break
            tried[index] = True
            chosen, verdict, _ = self._drop(chosen, verdict, np.array([index]))
        limit = Deadline.after(0.5 * self.deadline.left)
        at_cut = self.pool.at(self.tail.cut)
        less = spare(
            chosen,
            at_cut,
            self._claim,
            deadline=limit,
            known=verdict,
            effort=self.search,
            ledger=self.ledger,
        )
        return (chosen, verdict) if less is None else less

    def _dearest(self, among: Flags, chosen: Flags) -> int | None:
        """The literal that alone shuts out most inputs, if one does."""
        counts = self.pool.violated[chosen].sum(0)
        alone = (self.pool.violated & (counts == 1)).sum(1) * among
        cost = np.where(among, self.pool.cost, 0) / (1 + len(counts))
        best = int(np.argmax(alone + cost)) if len(alone) else 0
        return best if len(alone) and alone[best] + cost[best] > 0 else None

    def _drop(
        self, chosen: Flags, verdict: Verdict, group: NDArray[np.int64]
    ) -> tuple[Flags, Verdict, bool]:
        weaker = chosen.copy()
        weaker[group] = False
        if not (self.depths[:, weaker] > 0).any(1).all():
            return chosen, verdict, False
        _, answer = self._challenge(weaker)
        if answer is not None and answer.is_proved:
            return weaker, answer, True
        return chosen, verdict, False
