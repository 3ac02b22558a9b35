"""A proved pattern made wider by taking in the class's inputs that are nearest to it.

An input lies outside a pattern by the literals it violates.  Dropping those takes it in, and
with it every input that violates only some of them.  The nearest inputs' drops are bounded in
one propagation; of those that close, the one that takes in most goes through.  Where none
closes, the one that takes in most for what it costs the bound is proved, and what does not
prove is not tried again; a counterexample asks for another literal, which may lose less.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precond.mine.whole_space.by_relaxation import Descent
from precond.mine.whole_space.candidates import Flags
from precond.mine.whole_space.choices import Choices, patience
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.deadline import Deadline
from precond.proof.verdict import Verdict

AT_ONCE = 12  # inputs whose drops are bounded together
EASY = 0.02  # of the bound there was: a loss of less counts as this
STEPS = 20  # of improvement of these bounds
SHORT = 0.5  # of the seconds for a proof, for one drop at most
MISSES = 5  # proofs in a row that neither prove nor teach a violation before it stops


class Growth:
    """The widening of one choice around the middle of ``descent``, for the inputs it is to
    hold for.

    ``each``: seconds for one proof; ``share``: of the time left, for the widening itself.
    """

    def __init__(
        self,
        choices: Choices,
        descent: Descent,
        *,
        each: float,
        deadline: Deadline,
        share: float,
    ) -> None:
        self.choices = choices
        self.descent = descent
        self.each = each
        self.deadline = deadline
        self.widening = deadline.earlier(share * deadline.left)
        self.took = 0.0  # seconds of the last proof

    def run(self, kept: Flags, verdict: Verdict) -> tuple[Flags, Verdict]:
        """``kept`` (T,), proved by ``verdict``, or wider."""
        self.took = verdict.seconds
        return self._proved(self._widen(kept), kept, verdict)

    def _widen(self, kept: Flags) -> list[tuple[Flags, Verdict | None]]:
        """Ever wider choices, each closed by bounds or proved."""
        chain: list[tuple[Flags, Verdict | None]] = []
        refused = np.zeros(len(self.descent.left), dtype=np.bool_)
        misses, stride = 0, 1  # inputs to take in with one proof
        while misses < MISSES and not self.widening.passed:
            self.descent.learn()
            rows, tried = self._next(kept, refused)
            bounds = self._bounds([kept, *tried]) if tried else None
            if bounds is None:
                break
            gain = np.array([self.descent.count(t) for t in tried]) - self.descent.count(kept)
            if (bounds[1:] > 0).any():
                kept = tried[int(np.argmax(np.where(bounds[1:] > 0, gain, -1)))]
                chain.append((kept, None))
                continue
            dearer = np.maximum(bounds[0] - bounds[1:], EASY * abs(bounds[0])) + 1e-12
            order = np.argsort(-gain / dearer, kind="stable")
            several = self._together([rows[k] for k in order[:stride]], kept)
            alone = stride == 1 or several is None
            choice = tried[order[0]] if alone or several is None else several
            verdict = self._next_proof(choice)
            if verdict is not None and verdict.is_proved:
                kept = choice
                chain.append((kept, verdict))
                misses, stride = 0, 2 * stride
                continue
            stride = 1
            if not alone:
                continue
            self.descent.learn()
            if not self.descent.violators.refutes(choice):
                misses += 1
                refused |= _beyond(self.descent.lost & kept, rows[order[0]])
        return chain

    def _next(self, kept: Flags, refused: Flags) -> tuple[list[int], list[Flags]]:
        """The nearest inputs outside ``kept`` that are not ``refused`` (N,), and the choice that
        takes each in; what known violators refute is mended where that costs less than it
        brings, else refused."""
        outside = self.descent.lost & kept
        left = np.flatnonzero(self.descent.left & ~refused & outside.any(1))
        asked = np.zeros(len(refused), dtype=np.bool_)
        rows: list[int] = []
        tried: list[Flags] = []
        for row in left[np.argsort(outside[left].sum(1), kind="stable")]:
            if asked[row]:
                continue
            same = (outside == outside[row]).all(1)
            asked |= same
            choice = self._together([int(row)], kept)
            if choice is None:
                refused |= same
                continue
            rows.append(int(row))
            tried.append(choice)
            if len(rows) == AT_ONCE:
                break
        return rows, tried

    def _together(self, rows: list[int], kept: Flags) -> Flags | None:
        """The choice that takes in all of these inputs, if known violators allow one that brings
        anything."""
        outside = (self.descent.lost[rows] & kept).any(0)
        choice = self.descent.cover(kept & ~outside)
        if choice is None or self.descent.count(choice) <= self.descent.count(kept):
            return None
        return choice

    def _bounds(self, tried: list[Flags]) -> NDArray[np.float64] | None:
        claims = [self.choices.claim(choice, self.descent.phases) for choice in tried]
        problems = [claim.problem for claim in claims if claim is not None]
        if not problems or len(problems) < len(claims):
            return None
        return pattern_bounds(
            problems, steps=STEPS, device=self.choices.device, deadline=self.widening
        )

    def _proved(
        self, chain: list[tuple[Flags, Verdict | None]], kept: Flags, verdict: Verdict
    ) -> tuple[Flags, Verdict]:
        """The widest of the chain that ``prove`` proves, else what there was."""
        at = len(chain) - 1
        while at >= 0:
            choice, known = chain[at]
            found = known if known is not None else self._prove(choice, 1.0)
            if found is not None and found.is_proved:
                return choice, found
            at = at // 2 if at > 1 else at - 1
        return kept, verdict

    def _next_proof(self, kept: Flags) -> Verdict | None:
        """In the time that some more literals open should need."""
        seconds = patience(self.took, SHORT * self.each)
        verdict = self._prove(kept, seconds / self.each)
        if verdict is not None and verdict.is_proved:
            self.took = verdict.seconds
        return verdict

    def _prove(self, kept: Flags, share: float) -> Verdict | None:
        limit = self.deadline.earlier(share * self.each)
        return self.choices.prove(kept, self.descent.phases, limit)


def _beyond(outside: Flags, row: int) -> Flags:
    """Inputs (N,) that violate all that this one does: what fails for it fails for them."""
    return np.asarray(~(outside[row] & ~outside).any(1), dtype=np.bool_)
