"""A proved pattern made wider by taking in the class's inputs that are nearest to it.

An input lies outside a pattern by the literals it violates.  Dropping those takes it in, and
with it every input that violates only some of them.  The nearest inputs' drops are bounded in
one propagation; of those that close, the one that takes in most goes through.  Where none
closes the likeliest is proved, and what does not prove is not tried again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precond.mine.choices import Choices
from precond.mine.descent import Descent
from precond.mine.pool import Flags
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.deadline import Deadline
from precond.proof.verdict import Verdict

AT_ONCE = 12  # inputs whose drops are bounded together
STEPS = 20  # of improvement of these bounds
SHORT = 0.2  # of the seconds for a proof, for one drop
MISSES = 6  # proofs in a row that fail before it stops


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

    def run(self, kept: Flags, verdict: Verdict) -> tuple[Flags, Verdict]:
        """``kept`` (T,), proved by ``verdict``, or wider."""
        return self._proved(self._widen(kept), kept, verdict)

    def _widen(self, kept: Flags) -> list[tuple[Flags, Verdict | None]]:
        """Ever wider choices, each closed by bounds or proved."""
        chain: list[tuple[Flags, Verdict | None]] = []
        left = np.flatnonzero(self.descent.left)
        refused = np.zeros(len(self.descent.left), dtype=np.bool_)
        misses = 0
        while misses < MISSES and not self.widening.passed:
            self.descent.learn()
            outside = self.descent.lost & kept
            order = left[np.argsort(outside[left].sum(1), kind="stable")]
            far = outside[order].any(1) & ~refused[order]
            rows, tried = [], []
            asked = np.zeros(len(refused), dtype=np.bool_)
            for row in order[far]:
                if asked[row] or refused[row]:
                    continue
                choice = kept & ~outside[row]
                if self.descent.violators.refutes(choice):
                    refused |= _beyond(outside, row)
                    continue
                asked |= (outside == outside[row]).all(1)
                rows.append(int(row))
                tried.append(choice)
                if len(rows) == AT_ONCE:
                    break
            bounds = self._bounds(tried)
            if bounds is None:
                break
            taken = [(self.descent.inside(t) & self.descent.left).sum() for t in tried]
            best = int(np.argmax(np.where(bounds > 0, taken, -1)))
            verdict = None
            if bounds[best] <= 0:
                best = int(np.argmax(bounds))
                verdict = self._prove(tried[best], SHORT)
                if verdict is None or not verdict.is_proved:
                    refused |= _beyond(outside, rows[best])
                    misses += 1
                    continue
                misses = 0
            kept = tried[best]
            chain.append((kept, verdict))
        return chain

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

    def _prove(self, kept: Flags, share: float) -> Verdict | None:
        limit = self.deadline.earlier(share * self.each)
        return self.choices.prove(kept, self.descent.phases, limit)


def _beyond(outside: Flags, row: int) -> Flags:
    """Inputs (N,) that violate all that this one does: what fails for it fails for them."""
    return np.asarray(~(outside[row] & ~outside).any(1), dtype=np.bool_)
