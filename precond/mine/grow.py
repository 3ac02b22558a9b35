"""A proved pattern made wider by taking in the class's inputs that are nearest to it.

An input lies outside a pattern by the literals it violates.  Dropping those takes it in, and
with it every input that violates only some of them.  The nearest inputs' drops are bounded in
one propagation; of those that close, the one that takes in most goes through.  Where none
closes the likeliest is proved, and what does not prove is not tried again.  Without a pattern
to begin with, the full signature of the input nearest to the others is the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.mine.pool import Flags
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prove import prove
from precond.proof.reduce import reduced
from precond.proof.stages import whole_stages
from precond.proof.tail import Tail
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

AT_ONCE = 12  # inputs whose drops are bounded together
STEPS = 20  # of improvement of these bounds
SHORT = 0.2  # of the seconds for a proof, for one drop
MISSES = 6  # proofs in a row that fail before it stops
MEDOIDS = 3  # signatures tried to begin with


@dataclass(frozen=True, eq=False)
class Rung:
    """A pattern with its proof; ``inside`` (N,): which of the class's inputs have it;
    ``proofs`` asked for it; ``witnesses`` (k, n): inputs that refuted wider ones."""

    pattern: DecisionPattern
    verdict: Verdict
    inside: Flags
    proofs: int
    seconds: float
    witnesses: NDArray[np.float64]


class Growth:
    """The widening of one pattern for the inputs ``left`` (row numbers) of ``signatures``.

    ``each``: seconds for one proof; ``share``: of the time left, for the widening itself.
    """

    def __init__(
        self,
        tail: Tail,
        property: Property,
        signatures: Signatures,
        left: NDArray[np.int64],
        *,
        each: float,
        deadline: Deadline,
        share: float,
        device: str,
        note: Callable[[str], None],
    ) -> None:
        self.tail = tail
        self.property = property
        self.left = left
        self.each = each
        self.deadline = deadline
        self.widening = deadline.earlier(share * deadline.left)
        self.device = device
        self.note = note
        on = [signatures.decisions(layer) for layer in tail.layers]
        self.on: Flags = np.concatenate(on, axis=1)
        self.names = [
            (layer, k)
            for layer, part in zip(tail.layers, on, strict=True)
            for k in range(part.shape[1])
        ]
        self.phases = np.zeros(self.on.shape[1], dtype=np.bool_)
        self.proofs = 0
        self.witnesses: list[NDArray[np.float64]] = []

    def run(self, begin: Rung | None) -> Rung | None:
        """``begin`` or more; None where there is nothing to begin with."""
        began = time.monotonic()
        if begin is None:
            kept, verdict = self._signature()
            if kept is None or verdict is None:
                return None
        else:
            kept, verdict = self._flags(begin.pattern), begin.verdict
        chain = self._widen(kept)
        kept, verdict = self._proved(chain, kept, verdict)
        return Rung(
            self._pattern(kept),
            verdict,
            np.asarray(~self._outside(kept).any(1), dtype=np.bool_),
            self.proofs + (0 if begin is None else begin.proofs),
            time.monotonic() - began + (0.0 if begin is None else begin.seconds),
            np.array(self.witnesses).reshape(-1, self.tail.box.size)
            if begin is None
            else np.concatenate([begin.witnesses, *(w[None] for w in self.witnesses)]),
        )

    def _signature(self) -> tuple[Flags | None, Verdict | None]:
        """The full signature that proves, of an input near the others."""
        part = self.on[self.left]
        far = (part != (part.mean(0) > 0.5)).sum(1)
        kept = np.ones(self.on.shape[1], dtype=np.bool_)
        for row in self.left[np.argsort(far, kind="stable")[:MEDOIDS]]:
            self.phases = self.on[row].copy()
            verdict = self._prove(kept, self.each)
            if verdict is not None and verdict.is_proved:
                return kept, verdict
        return None, None

    def _widen(self, kept: Flags) -> list[Flags]:
        """Ever wider choices of literals, each closed by bounds or proved."""
        chain: list[Flags] = []
        refused = np.zeros(len(self.on), dtype=np.bool_)
        misses = 0
        while misses < MISSES and not self.widening.passed:
            outside = self._outside(kept)
            distance = outside[self.left].sum(1)
            order = self.left[np.argsort(distance, kind="stable")]
            far = outside[order].any(1) & ~refused[order]
            rows = order[far][:AT_ONCE]
            if not len(rows):
                break
            tried = [kept & ~outside[row] for row in rows]
            claims = [self._claim(choice) for choice in tried]
            if any(claim is None for claim in claims):
                break
            bounds = pattern_bounds(
                [claim.problem for claim in claims if claim is not None],
                steps=STEPS,
                device=self.device,
                deadline=self.widening,
            )
            taken = np.array([(~self._outside(t)[self.left].any(1)).sum() for t in tried])
            best = int(np.argmax(np.where(bounds > 0, taken, -1)))
            if bounds[best] <= 0:
                best = int(np.argmax(bounds))
                verdict = self._prove(tried[best], SHORT * self.each)
                if verdict is None or not verdict.is_proved:
                    refused[rows[best]] = True
                    misses += 1
                    continue
                misses = 0
            kept = tried[best]
            chain.append(kept)
        return chain

    def _proved(self, chain: list[Flags], kept: Flags, verdict: Verdict) -> tuple[Flags, Verdict]:
        """The widest of the chain that ``prove`` proves, else what there was."""
        at = len(chain) - 1
        while at >= 0:
            found = self._prove(chain[at], self.each)
            if found is not None and found.is_proved:
                self.note(f"{int(chain[at].sum())} literals proved after {at + 1} drops")
                return chain[at], found
            at = at // 2 if at > 1 else at - 1
        return kept, verdict

    def _prove(self, kept: Flags, seconds: float) -> Verdict | None:
        claim = self._claim(kept)
        if claim is None:
            return None
        small = reduced(claim)
        self.proofs += 1
        verdict = prove(
            small.claim,
            budget=max(0.1, min(seconds, self.deadline.left)),
            stages=whole_stages(self.device),
            device=self.device,
        )
        if verdict.witness is not None:
            self.witnesses.append(small.restore(verdict.witness[None])[0])
        return None if verdict.status is Status.VACUOUS else verdict

    def _outside(self, kept: Flags) -> Flags:
        """Which of the kept literals each input violates, (N, neurons)."""
        return np.asarray((self.on != self.phases) & kept, dtype=np.bool_)

    def _claim(self, kept: Flags) -> Claim | None:
        whole = Claim(self.tail.network, self.tail.box, self._pattern(kept), self.property)
        return self.tail.claim(whole)

    def _flags(self, pattern: DecisionPattern) -> Flags:
        self.phases = np.array([name in pattern.on for name in self.names])
        return np.array([name in pattern.on or name in pattern.off for name in self.names])

    def _pattern(self, kept: Flags) -> DecisionPattern:
        chosen = np.flatnonzero(kept)
        return DecisionPattern(
            frozenset(self.names[k] for k in chosen if self.phases[k]),
            frozenset(self.names[k] for k in chosen if not self.phases[k]),
        )
