"""Ever stricter patterns around one input, led by what a linear relaxation gets wrong.

Begin with the literals that all inputs of the class share.  For every way the property can
fail the relaxation has a solution; the neuron whose open phase adds most to it, for each input
that deciding it would lose, is decided as the input in the middle has it.  A solution that is
a real violation has to be excluded by a literal instead.  It ends where the relaxation has no
solution left: that pattern proves at once.  The wider ones before it may prove by a search
(``ladder``).

Only bounds of columns change between the programs, so a step takes milliseconds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from precond.mine.violators import Violators, hunt
from precond.mine.whole_space.candidates import Flags
from precond.mine.whole_space.choices import Choices
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Problem
from precond.proof.deadline import Deadline, OutOfTime
from precond.proof.linear.encode import encode
from precond.proof.linear.interior import violation_near
from precond.proof.linear.phases import Maximum, PhaseProgram
from precond.proof.linear.solver import TOLERANCE
from precond.proof.linear.system import LinearSystem

Array = NDArray[np.float64]
STEPS = 20  # of ascent for the bounds to begin with
BEGINNING = 0.2  # of the time left, for these bounds, and for the hunt
PRIOR = 3.0  # inputs that a literal's share of the class counts as, beside those it loses
HUNTS = 6  # rounds of gradient search, once for a class
ROWS = 200  # inputs each begins from
ASKED = 3  # ways to fail whose relaxation is looked at before a literal is chosen
MISSES = 8  # inputs in a row that cannot be taken in


class Descent:
    """From what the class shares to what proves, around input number ``middle``.

    ``left`` (N,): the inputs to hold for.
    """

    def __init__(self, choices: Choices, middle: int, left: Flags) -> None:
        self.choices = choices
        self.left = left
        self.middle = middle
        self.phases: Flags = choices.on[middle]
        self.lost: Flags = choices.on != self.phases
        self.base: Flags = ~self.lost.any(0)
        self.prior: Array = PRIOR * self.lost.mean(0)
        self.violators: Violators = choices.violators(self.phases)
        self.relaxation: _Relaxation | None = None

    def chain(self, deadline: Deadline) -> list[Flags]:
        """Choices (T,) from wide to strict, the last with no solution of the relaxation left
        (unless time is up); empty where no literal excludes a violation."""
        chosen = self.cover(self.base)
        self.relaxation = relaxation = self._relaxed(deadline)
        if chosen is None or relaxation is None:
            return [] if chosen is None else [chosen]
        found: list[Flags] = []
        open_ = list(relaxation.every)
        if not self._closed(relaxation, np.ones_like(self.base), deadline):
            return found
        while chosen is not None and not deadline.passed:
            kept = chosen
            if not found or not np.array_equal(found[-1], kept):
                found.append(kept)
            relaxation.decide(kept)
            costs, against = np.zeros(len(kept)), np.zeros(len(kept))
            asked = 0
            met = False
            for key in list(open_):
                best = relaxation.largest(key, deadline)
                if best.value < -TOLERANCE:
                    open_.remove(key)  # and stays closed under more literals
                    continue
                if best.solution is None or best.cost is None:
                    return found
                costs[relaxation.at] += best.cost / max(best.value, TOLERANCE)
                against[relaxation.at] += relaxation.against(best.solution)
                met |= self._meet(kept, key, best.solution, deadline=deadline)
                asked += 1
                if asked == ASKED:
                    break
            if not open_:
                break
            open_ = open_[asked:] + open_[:asked]
            if met:
                chosen = self.cover(kept)
                continue
            score = np.where(kept, 0.0, costs if costs[~kept].any() else against)
            if score.max(initial=0.0) <= 0:
                break
            score /= 1.0 + self._loss(kept)
            chosen = kept.copy()
            chosen[int(score.argmax())] = True
        return found

    def widen(self, kept: Flags, deadline: Deadline) -> Flags:
        """``kept`` (T,), whose relaxation is closed, without the literals that the nearest
        inputs violate, one input after another, as long as it stays closed."""
        relaxation = self.relaxation
        left = np.flatnonzero(self.left)
        refused = np.zeros(len(self.left), dtype=np.bool_)
        misses = 0
        while relaxation is not None and misses < MISSES and not deadline.passed:
            outside = self.lost & kept
            count = np.where(refused[left], 0, outside[left].sum(1))
            if not count.any():
                break
            row = int(left[np.where(count > 0, count, len(kept) + 1).argmin()])
            choice = kept & ~outside[row]
            if not self.violators.refutes(choice) and self._closed(relaxation, choice, deadline):
                kept = choice
                continue
            refused[row] = True
            misses += 1
        return kept

    def _closed(self, relaxation: _Relaxation, kept: Flags, deadline: Deadline) -> bool:
        """Whether no way to fail has a solution; the first that has is asked first next time."""
        relaxation.decide(kept)
        for key in list(relaxation.every):
            best = relaxation.largest(key, deadline)
            if best.value >= -TOLERANCE:
                relaxation.every.remove(key)
                relaxation.every.insert(0, key)
                if best.solution is not None:
                    self._meet(kept, key, best.solution, deadline=deadline)
                return False
        return True

    def cover(self, kept: Flags) -> Flags | None:
        """``kept`` and, until every known violation is excluded, the literal that excludes most
        for the least loss; None where one satisfies them all."""
        chosen = kept.copy()
        inside = ~(self.violators.missed & chosen).any(1)
        while inside.any():
            score = self.violators.missed[inside].sum(0) / (0.5 + self._loss(chosen))
            score[chosen] = 0.0
            if score.max() <= 0:
                return None
            chosen[int(score.argmax())] = True
            inside = ~(self.violators.missed & chosen).any(1)
        return chosen

    def inside(self, kept: Flags) -> Flags:
        """Which inputs of the class (N,) satisfy a choice."""
        return np.asarray(~(self.lost & kept).any(1), dtype=np.bool_)

    def count(self, kept: Flags) -> int:
        """How many of the inputs left satisfy a choice."""
        return int((self.inside(kept) & self.left).sum())

    def hunt(self, deadline: Deadline) -> None:
        """Violations by gradients, each round of what the last one leaves."""
        limit = deadline.earlier(BEGINNING * deadline.left)
        rng = np.random.default_rng(0)
        inputs, box = self.choices.inputs, self.choices.tail.box
        before = len(self.violators.points)
        for _ in range(HUNTS):
            chosen = self.cover(self.base)
            if chosen is None or limit.passed:
                break
            rows = rng.integers(0, len(inputs), ROWS)
            share = rng.uniform(0.0, 1.0, (ROWS, 1))
            starts = (1 - share) * inputs[rows] + share * box.sample(ROWS, rng)
            kept = np.repeat(chosen[None], ROWS, axis=0)
            hunt(self.violators, kept, starts, centre=inputs[self.middle], deadline=limit)
        self.choices.remember(self.violators.points[before:])

    def learn(self) -> None:
        """Take up the violations that a proof has met meanwhile."""
        self.violators.add(self.choices.points)

    def _relaxed(self, deadline: Deadline) -> _Relaxation | None:
        """Of the base; None where it has no input."""
        claim = self.choices.claim(self.base, self.phases)
        if claim is None:
            return None
        problem = claim.problem
        limit = deadline.earlier(BEGINNING * deadline.left)
        refined = region_of(problem, self.choices.device, steps=STEPS, deadline=limit)
        if bool(refined.empty[0]):
            return None
        try:
            system = encode(problem, layer_bounds(refined), deadline)
        except OutOfTime:
            return None
        if system.empty is not None:
            return None
        return _Relaxation(problem, system, self.choices.names, phases=self.phases)

    def _loss(self, kept: Flags) -> Array:
        """Inputs that each literal would lose, (T,): of those left, and a part for the others."""
        inside = self.left & self.inside(kept)
        return np.asarray(self.lost[inside].sum(0) + self.prior, dtype=np.float64)

    def _meet(self, kept: Flags, key: int, solution: Array, deadline: Deadline) -> bool:
        """Whether a solution's input satisfies ``kept`` and violates: it is remembered."""
        assert self.relaxation is not None
        problem = self.relaxation.problem
        here = replace(problem, intervals=self.violators.literals.intervals(kept))
        x = self.relaxation.program.system.point(solution)
        point = violation_near(here, problem.conjuncts[key], x, deadline=deadline)
        if point is None:
            return False
        self.choices.remember(point[None])
        return bool(self.violators.add(point[None]))


class _Relaxation:
    """A base's linear program, with further literals given as phases.

    ``at`` (k,): the place among all literals of each neuron that the base leaves free."""

    def __init__(
        self,
        problem: Problem,
        system: LinearSystem,
        names: list[tuple[str, int]],
        phases: Flags,
    ) -> None:
        self.problem = problem
        self.program = PhaseProgram(system)
        self.forms = [system.margins(problem, conjunct) for conjunct in problem.conjuncts]
        self.every = list(range(len(self.forms)))
        place = {name: k for k, name in enumerate(names)}
        self.at = np.array([place[name] for name in self.program.neurons], dtype=np.int64)
        self.signs = np.where(phases[self.at], 1, -1).astype(np.int8)

    def decide(self, kept: Flags) -> None:
        self.program.decide(np.where(kept[self.at], self.signs, 0).astype(np.int8))

    def against(self, solution: Array) -> Flags:
        """Which of these neurons have the other phase in a solution, (k,)."""
        p, q = solution[self.program.positive], solution[self.program.negative]
        return np.asarray(np.where(self.signs > 0, q > p, p > q), dtype=np.bool_)

    def largest(self, key: int, deadline: Deadline) -> Maximum:
        """Of the ``key``-th way to fail."""
        return self.program.largest(self.forms[key], deadline, key, bounded=False)
