"""Relaxation of a wide signature, such as a convolutional network's: by units, by linear bounds.

1. The full signature is bounded in the domain: all phases are fixed, so that only max-pools
   are not linear.  If that proves nothing, nothing else is tried.
2. Literals that follow from those of earlier layers are dropped together, by intervals and, where
   there is time, by backward passes: the region stays the same.  What each other one costs is
   estimated (``proof.bounds.pattern_pass``).
3. For units of each size, layers first (``units``): the cheapest are dropped, as many at a time
   as prove; layers go from the last back.  A round ends at the first unit that is needed, so
   that smaller ones have their turn; a second round tries every unit of every size once.

A weaker pattern never proves more, so a unit that was needed once stays needed.  The result is
minimal in units of a size when each of that size, and of every larger one, was tried.  The
search ends early enough for the prover to prove what is left.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from precond.mine.input_preconditions.questions import Question
from precond.mine.input_preconditions.units import Rows, Size, units
from precond.mine.violators import Flags
from precond.network.graph import Network
from precond.proof.bounds.pattern_pass import PatternPass, pattern_pass
from precond.proof.claim import Problem
from precond.proof.gate import is_off, is_on
from precond.proof.limits import LayerBounds
from precond.proof.verdict import Status, Verdict
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
WIDEST = 4096  # literals up to which they are dropped with regard to each one
ENOUGH = 0.15  # of the bound that the first group of units may cost
PROOF = 4.5  # times the first propagation: what the prover's own proof may take
NEXT = 3.0  # the same, of a propagation with units dropped
PASSES = 8.0  # the same, of passes for every literal


class Passes(Enum):
    """Which nodes a propagation bounds by backward passes."""

    OF_CHANGED = "changed"
    """Those that a dropped literal may change."""
    OF_NONE = "none"
    """None: intervals alone say what each literal adds to those before it."""
    OF_ALL = "all"
    """All, whatever its own literals say."""


@dataclass(frozen=True, eq=False)
class RelaxedUnits:
    """``kept`` (T,), None where the full signature did not prove; ``size``: the smallest units in
    which it is minimal, None if in none; ``out_of_time``: it might have proved;
    ``essential``: seconds of the first bounds and of the proof."""

    kept: Flags | None
    verdict: Verdict
    size: Size | None = None
    out_of_time: bool = False
    essential: float = 0.0


def wide(network: Network) -> bool:
    """Whether a signature has too many literals to weigh each."""
    return sum(map(network.width, network.decision_layers)) > WIDEST


class UnitSearch:
    """Drops units of ``kept`` (T,), which linear bounds prove at every moment."""

    def __init__(self, question: Question) -> None:
        self.question, self.literals = question, question.literals
        self.network = question.whole.network
        self.problem: Problem = replace(question.whole, pattern=DecisionPattern()).problem
        self.kept: Flags = np.ones(len(self.literals.phases), dtype=np.bool_)
        self.failed: list[Flags] = []
        self.costs: Array = np.zeros(len(self.literals.phases))
        self.current: PatternPass | None = None
        self.first = self.longest = 0.0

    def run(self) -> RelaxedUnits:
        """Until every single unit was tried, or time is up."""
        self.current = self._bounded(self.kept)
        if not self.current.proves:
            reason = f"linear bounds of the full signature end at {self.current.value:.3g}"
            late = self.question.deadline.passed
            if late:
                reason = "time ran out while the full signature was bounded"
            verdict = Verdict(Status.UNKNOWN, "bounds", reason=reason)
            return RelaxedUnits(kept=None, verdict=verdict, out_of_time=late)
        whole, size, self.first = self.kept, None, self.longest
        self._drop_implied(Passes.OF_NONE)
        self._drop(Size.LAYER, thorough=False)
        if self._time_for(PASSES):
            self._drop_implied(Passes.OF_ALL)
        for each in Size:
            self._drop(each, thorough=False)
        for each in Size:
            if not self._drop(each, thorough=True):
                break
            size = each
        self.question.each = max(self.question.each, self.question.deadline.left)
        begun = time.monotonic()
        verdict = self.question.ask(self.kept)
        if verdict.status is not Status.PROVED and (self.kept != whole).any():
            self.kept, size = whole, None
            verdict = self.question.ask(whole)
        if verdict.status is not Status.PROVED:
            return RelaxedUnits(
                kept=None, verdict=verdict, out_of_time=self.question.deadline.passed
            )
        essential = self.first + time.monotonic() - begun
        return RelaxedUnits(self.kept, verdict, size, essential=essential)

    def _time_for(self, passes: float = 0.0) -> bool:
        """Whether time is left for so many propagations and one more, and for the proof."""
        more = passes * self.longest + max(self.longest, NEXT * self.first)
        return self.question.deadline.left > more + PROOF * self.first

    def _drop_implied(self, passes: Passes) -> None:
        """Those that follow from literals of earlier layers; sets ``costs``.  The region stays as
        it is, and so does what is known of it."""
        found = self._bounded(self.kept, passes)
        implied = np.zeros_like(self.kept)
        for layer, part in self.literals.part.items():
            low, high = found.before[layer]
            on = self.literals.phases[part] > 0
            implied[part] = np.where(on, is_on(low), is_off(high))
            self.costs[part] = found.costs.get(layer, np.zeros(len(on)))
        self.kept = self.kept & ~implied
        if passes is Passes.OF_ALL:
            self.current = found

    def _drop(self, size: Size, *, thorough: bool) -> bool:
        """Drop units of a size; whether all were tried.  Not ``thorough``: up to the first that
        is needed."""
        waiting = self._ordered(size)
        spent = np.cumsum([float(self.costs[unit].sum()) for unit in waiting])
        step = 1 if size is Size.LAYER else max(1, int((spent <= ENOUGH).sum()))
        while waiting:
            if not self._time_for():
                return False
            group = waiting[:step]
            without = self.kept.copy()
            without[np.concatenate(group)] = False
            if self._accept(without):
                del waiting[:step]
                step = 1 if size is Size.LAYER else 2 * step
            elif len(group) > 1:
                step = len(group) // 2
            else:
                del waiting[:1]
                if not thorough:
                    return False
        return True

    def _ordered(self, size: Size) -> list[Rows]:
        """Layers from the last back, other units the cheapest first."""
        found = units(self.network, self.literals, self.kept, size=size)
        if size is Size.LAYER:
            return found[::-1]
        costs = np.array([float(self.costs[unit].sum()) for unit in found])
        return [found[k] for k in np.argsort(costs, kind="stable")]

    def _accept(self, pattern: Flags) -> bool:
        """Go on from ``pattern`` if it proves; one weaker than what failed is not tried."""
        if any((pattern <= failed).all() for failed in self.failed):
            return False
        found = self._bounded(pattern)
        if not found.proves:
            self.failed.append(pattern)
            return False
        self.kept, self.current = pattern, found
        return True

    def _bounded(self, pattern: Flags, passes: Passes = Passes.OF_CHANGED) -> PatternPass:
        question, begun = self.question, time.monotonic()
        question.batches += 1
        settled, known = self._settled(pattern, passes)
        found = pattern_pass(
            replace(self.problem, intervals=self.literals.intervals(pattern)),
            known=known,
            settled=settled,
            each_literal=passes is not Passes.OF_CHANGED,
            device=question.device,
            deadline=question.deadline,
        )
        if passes is Passes.OF_CHANGED:  # the one that is made again and again
            self.longest = max(self.longest, time.monotonic() - begun)
        return found

    def _settled(self, pattern: Flags, passes: Passes) -> tuple[frozenset[str], LayerBounds]:
        """Nonlinear nodes that need no backward passes, and what is known of nodes."""
        if self.current is None or passes is Passes.OF_ALL:
            return frozenset(), {}
        bounds = self.current.bounds
        if passes is Passes.OF_NONE:  # a ReLU's own literals must not be known of it
            pools = {
                name: known for name, known in bounds.items() if name not in self.literals.part
            }
            return frozenset(bounds), pools
        changed = {
            layer
            for layer, part in self.literals.part.items()
            if (pattern[part] != self.kept[part]).any()
        }
        # What a literal says of a value is known to all that read the value.
        changed |= {self.network.pre_activation(layer) for layer in changed}
        same = {
            name: known
            for name, known in bounds.items()
            if name not in changed and not changed & self.network.ancestors[name]
        }
        return frozenset(same), same
