"""What is known of each conjunct while a claim is being answered."""

from __future__ import annotations

import numpy as np

from precond.proof.claim import Conjunct, Problem
from precond.proof.engines.base import Answer, Outcome
from precond.proof.gate import excludes
from precond.proof.trace import Leaf, Trace


class Standing:
    """``open``: conjuncts nobody has closed; ``soft``: those that one float solver, named,
    says have no solution; ``reasons``: why what is open is open."""

    def __init__(self, problem: Problem) -> None:
        self.conjuncts = problem.conjuncts
        self.open: list[Conjunct] = list(problem.conjuncts)
        self.soft: dict[Conjunct, str] = {}
        self.reasons: list[str] = []
        self._closed: dict[Conjunct, float | None] = {}  # with the bound that closed it
        self._best: dict[Conjunct, float] = {}  # bounds of what stays open
        self._done: dict[Conjunct, float] = {}  # its share that a search has decided
        self._traces: dict[Conjunct, Trace] = {}
        self._claimed: dict[Conjunct, str] = {}  # who said that there is a solution

    @property
    def settled(self) -> bool:
        """Whether every conjunct is closed for good."""
        return not self.open and not self.soft

    def pending(self, engine: str) -> tuple[Conjunct, ...]:
        """What ``engine`` may still say something new about."""
        return tuple(self.open) + tuple(c for c, who in self.soft.items() if who != engine)

    def close(self, conjunct: Conjunct, engine: str, answer: Answer) -> bool:
        """``engine`` found no solution; False if that was known for good, or if another
        engine named one and this one's rounding is not covered."""
        if conjunct not in self.open and conjunct not in self.soft:
            return False
        if answer.bound is not None and not _says_something(answer):
            self.reasons.append(f"{engine}: a proof whose bound is {answer.bound}, so none")
            return False
        if not answer.rigorous and conjunct in self._claimed:
            self.reasons.append(f"{self._claimed[conjunct]} and {engine} disagree")
            return False
        agreed = conjunct in self.soft and self.soft[conjunct] != engine
        if conjunct in self.open:
            self.open.remove(conjunct)
        if answer.rigorous or agreed:
            self.soft.pop(conjunct, None)
        else:
            self.soft.setdefault(conjunct, engine)
        self._closed[conjunct] = answer.bound if answer.rigorous else None
        if answer.trace is not None:
            self._traces[conjunct] = answer.trace
        return True

    def close_constant(self, engine: str) -> bool:
        """Close what needs a false inequality between numbers alone; whether there was any."""
        found = [c for c in self.open if any(i.is_false for i in c)]
        for conjunct in found:
            first = [i.is_false for i in conjunct].index(True)
            leaf = Leaf(weights=np.eye(len(conjunct))[first])
            self.close(conjunct, engine, Answer.excluded(trace=leaf))
        return bool(found)

    def close_empty(self) -> None:
        """Layer bounds alone close every conjunct."""
        self._traces = dict.fromkeys(self.conjuncts, Leaf(empty=True))

    def keep(self, conjunct: Conjunct, engine: str, answer: Answer) -> None:
        """``engine`` did not close the conjunct: what it learned of it."""
        if answer.bound is not None and np.isfinite(answer.bound):
            self._best[conjunct] = max(answer.bound, self._best.get(conjunct, -np.inf))
        if answer.done is not None:
            self._done[conjunct] = max(answer.done, self._done.get(conjunct, 0.0))
        if answer.note and answer.outcome is Outcome.UNDECIDED:
            self.reasons.append(f"{engine}: {answer.note}")

    def dispute(self, conjunct: Conjunct, engine: str) -> None:
        """``engine`` named a solution (that did not replay): who says there is none, before or
        later, is not believed unless rigorous."""
        self._claimed.setdefault(conjunct, engine)
        if conjunct in self.soft:
            self.reasons.append(f"{engine} and {self.soft.pop(conjunct)} disagree")
            self.open.append(conjunct)

    @property
    def proved_bound(self) -> float | None:
        """The least of the bounds that closed the conjuncts, where all are known."""
        known = [b for b in self._closed.values() if b is not None and np.isfinite(b)]
        return min(known) if known and len(known) == len(set(self.conjuncts)) else None

    @property
    def best_bound(self) -> float | None:
        """The best lower bound known for all conjuncts; one that was closed without a bound
        counts as 0, and with one that has none there is none."""
        least: list[float] = []
        for conjunct in self.conjuncts:
            if conjunct in self.open or conjunct in self.soft:
                if conjunct not in self._best:
                    return None
                least.append(self._best[conjunct])
            else:
                least.append(max(0.0, self._closed.get(conjunct) or 0.0))
        return min(least, default=None)

    @property
    def done(self) -> float | None:
        """The least share of an open conjunct that a search has decided, where all are known."""
        shares = [self._done[c] for c in self.open if c in self._done]
        return min(shares) if shares and len(shares) == len(self.open) else None

    @property
    def traces(self) -> dict[int, Trace]:
        """By index of the conjunct, for those that are closed."""
        return {k: self._traces[c] for k, c in enumerate(self.conjuncts) if c in self._traces}


def _says_something(answer: Answer) -> bool:
    """Whether the bound of an answer "no solution" is a number that allows it: positive (0 in
    a strict conjunct) with a rigorous one, finite with a solver's word."""
    assert answer.bound is not None
    if answer.rigorous:
        return bool(excludes(answer.bound, strict=True))
    return bool(np.isfinite(answer.bound))
