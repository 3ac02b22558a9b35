"""Core-guided relaxation of one layer: many literals dropped at a time, same end point.

Known violators say which literals are needed: those of a smallest set that excludes all of
them (``violators``).  That set is attacked; what the attack finds is added and the set made
anew.  When the attack finds nothing, the prover is asked about it.  If it proves, it is the
answer: each of its literals alone excludes a violator.  If the prover fails, literals are
added back, in halves (Junker 2004, QuickXplain), least dispensable first: a proof's
multipliers β name those it leans on.  The literal that makes the difference is needed too:
without it a pattern that says more failed to prove.

Source of the duality of needed literals and violators: Reiter 1987; Ignatiev et al. 2015.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from precond.errors import QueryError
from precond.mine.input_preconditions.order import Order as Order
from precond.mine.input_preconditions.questions import Question
from precond.mine.violators import Flags, hunt
from precond.network.evaluate import forward, values_at
from precond.network.graph import INPUT
from precond.network.operators import operators
from precond.proof.gate import excludes
from precond.proof.replay import replay
from precond.proof.rows import stack_rows
from precond.proof.trace import Leaf, Tightened, Trace, parts_of
from precond.proof.verdict import Status, Verdict
from precond.region.polytope import affine_maps, polytope
from precond.region.sampling import hit_and_run

Array = NDArray[np.float64]
PREFIXES = 10  # bounded in one propagation
SAMPLES = 1024  # of the region, to begin with
STARTS = 24  # of a search for violators, of each kind


def scores(question: Question, layer: str, order: Order, verdict: Verdict | None) -> Array:
    """What ``order`` sorts the neurons of ``layer`` by, (m,), smallest first.  Without a verdict
    whose traces tell multipliers, influence stands in for them."""
    network = question.whole.network
    if order is Order.INDEX:
        return np.arange(network.width(layer), dtype=np.float64)
    if order is Order.PREACTIVATION:
        z = values_at(network, question.x[None], network.pre_activation(layer))[0]
        return np.asarray(np.abs(z))
    slope = influence(question, layer)
    if order is Order.INFLUENCE or verdict is None:
        return slope
    used = multipliers(verdict.traces.values(), layer, len(slope))
    most = float(slope.max(initial=0.0))
    return used + (slope / most * 1e-6 * max(float(used.max(initial=0.0)), 1e-300) if most else 0.0)


def influence(question: Question, layer: str) -> Array:
    """Largest |∂g/∂a_i| at X over the inequalities g of the property's negation, (m,)."""
    network, problem = question.whole.network, question.whole.problem
    ops = operators(network, "cpu", torch.float64)
    x = torch.tensor(question.x, dtype=torch.float64).reshape(1, *network.input_shape)
    values = forward(ops, {INPUT: x.requires_grad_(True)}, [layer, network.output])
    largest = np.zeros(network.width(layer))
    for form in stack_rows(problem, "cpu").form:
        margin = values[network.output].flatten() @ form
        (slope,) = torch.autograd.grad(margin, values[layer], retain_graph=True, allow_unused=True)
        if slope is not None:
            largest = np.maximum(largest, slope.abs().flatten().numpy())
    return largest


def multipliers(traces: Iterable[Trace], layer: str, width: int) -> Array:
    """Largest β of each of the layer's literals over all leaves, (width,)."""
    most = np.zeros(width)
    stack = list(traces)
    while stack:
        node = stack.pop()
        stack += parts_of(node)
        leaves = [node] if isinstance(node, Leaf) else []
        if isinstance(node, Tightened):
            leaves += [step.leaf for steps in node.rounds for step in steps]
        for leaf in leaves:
            for side in (leaf.low, leaf.high):
                if layer in side:
                    most = np.maximum(most, np.abs(side[layer]))
    return most


class CoreSearch:
    """The search at one stopping layer.

    ``kept`` (T,) is what is left and ``verdict`` the prover's on it.  ``needed``: literals that
    cannot go, because a pattern with all the others of ``kept`` failed to prove.
    """

    def __init__(self, question: Question, depth: int, verdict: Verdict, order: Order) -> None:
        self.question = question
        self.literals = question.literals
        self.pool = question.violators
        self.layer = self.literals.layers[depth - 1]
        self.part = self.literals.part[self.layer]
        self.base = self.literals.first(depth - 1)
        self.needed = self.base.copy()
        self.kept = self.shown = self.literals.first(depth)
        self.verdict = verdict
        self.order = scores(question, self.layer, order, verdict=verdict).argsort(kind="stable")
        self.order += self.part.start
        self.failed: list[Flags] = [self.base]
        self.maps: Mapping[str, tuple[Array, Array]] = {}
        self.witnesses: dict[tuple[str, int], Array] = {}
        self.by_bounds = True
        self.bisected = 0
        self.pool.require(self.base)

    def run(self) -> bool:
        """Relax; whether every single drop was refuted or failed to prove in the end."""
        self._sample()
        while not self.question.deadline.passed:
            candidate = self._fewest()
            if (candidate == self.kept).all():
                if self._show() and self._confirm():
                    return True
            elif not self._attack(candidate) and not self._proves(candidate):
                left = int((self.kept & ~candidate).sum())
                if self.bisected * np.log2(left + 1) > left / 2:
                    self._singly()
                else:
                    self._between(candidate)
        self._show()
        return False

    def _fewest(self) -> Flags:
        """A smallest part of ``kept`` that excludes every known violator: what comes first in
        the order goes first, unless it alone excludes one."""
        fewest = self.kept.copy()
        rest = (self.pool.missed & fewest).sum(1)
        for index in self.order[self.kept[self.order] & ~self.needed[self.order]].tolist():
            missed = self.pool.missed[:, index]
            if not (rest[missed] == 1).any():
                fewest[index] = False
                rest = rest - missed
        return fewest

    # -- the prover --------------------------------------------------------------------

    def _ask(self, pattern: Flags) -> Status:
        """The prover's answer; a pattern weaker than one that failed is not asked about."""
        if any((pattern <= failed).all() for failed in self.failed):
            return Status.UNKNOWN
        before = len(self.pool.points)
        answer = self.question.ask(pattern)
        if answer.status is Status.PROVED:
            self.kept = self.shown = pattern
            self.verdict = answer
        elif self.pool.refutes(pattern):
            if len(self.pool.points) > before:
                self.pool.nearer(self.question.x)
            return Status.REFUTED
        else:
            self.failed.append(pattern)
        return answer.status if answer.status is Status.PROVED else Status.UNKNOWN

    def _proves(self, candidate: Flags) -> bool:
        """False where the prover fails on ``candidate`` and shows no violator."""
        return self._ask(candidate) is not Status.UNKNOWN

    def _between(self, low: Flags) -> None:
        """``low`` fails and ``kept`` proves: add literals to ``low``, last in the order first,
        and bisect for the one that makes the difference.  It is needed."""
        more = self.order[(self.kept & ~low)[self.order]][::-1]

        def chain(count: int) -> Flags:
            pattern = low.copy()
            pattern[more[:count]] = True
            return pattern

        fails, proves = 0, len(more)
        if self.by_bounds and proves > 2:
            counts = np.unique(np.linspace(1, proves - 1, PREFIXES).round().astype(int))
            sure = excludes(self.question.bounds([chain(int(count)) for count in counts]))
            if sure.any():
                proves = int(counts[np.flatnonzero(sure)[0]])
                self.kept = chain(proves)
        while proves - fails > 1:
            if self.question.deadline.passed:
                return
            middle = (fails + proves) // 2
            status = self._ask(chain(middle))
            if status is Status.REFUTED:
                return
            if status is Status.PROVED:
                proves = middle
            else:
                fails = middle
        self.needed[more[proves - 1]] = True
        self.bisected += 1

    def _singly(self) -> None:
        """One literal after another: cheaper than bisection once many turn out to be needed."""
        for index in self.order[(self.kept & ~self.needed)[self.order]].tolist():
            if self.question.deadline.passed:
                return
            if self.pool.critical(self.kept)[index]:
                continue
            weaker = self.kept.copy()
            weaker[index] = False
            if self._ask(weaker) is Status.UNKNOWN:
                self.needed[index] = True

    def _show(self) -> bool:
        """Have the prover prove what linear bounds did; else go back to what it has proved."""
        if (self.kept == self.shown).all():
            return True
        if self._ask(self.kept) is Status.PROVED:
            return True
        self.kept, self.by_bounds = self.shown, False
        self.needed = self.base.copy()
        return False

    def _confirm(self) -> bool:
        """Whether exact arithmetic confirms a violator for every literal that is not ``needed``
        for another reason; those it does not confirm are forgotten."""
        self.witnesses.clear()
        before = len(self.pool.points)
        for index in np.flatnonzero(self.kept & ~self.needed).tolist():
            weaker = self.kept.copy()
            weaker[index] = False
            claim = self.question.claim(weaker)
            for point in self.pool.forcing(self.kept, index):
                if replay(claim, point).counts:
                    self.witnesses[self.literals.neuron(index)] = point
                    break
                self.pool.forget(point)
        return len(self.pool.points) == before or not (self._fewest() != self.kept).any()

    # -- violators ---------------------------------------------------------------------

    def _sample(self) -> None:
        """Violators in the region that the layers before leave, by hit-and-run from X."""
        question, claim = self.question, self.question.whole
        before = self.literals.pattern(self.base)
        if not self.literals.pattern(self.kept).is_closed(claim.network):
            return
        self.maps = affine_maps(claim.network, before)
        region = polytope(claim.network, before, self.maps)
        try:
            points = hit_and_run(
                region, claim.box, question.x, count=SAMPLES, rng=np.random.default_rng(0)
            )
        except QueryError:  # X lies on the region's border, to within rounding
            return
        question.batches += 1
        self.pool.add(points)
        self.pool.nearer(question.x)

    def _attack(self, pattern: Flags) -> bool:
        """Whether a search finds a violator of ``pattern``: from those that miss least of it,
        and from where the literals it lacks begin to fail."""
        question = self.question
        gone = self.order[(self.kept & ~pattern)[self.order]][::-1][:STARTS]
        missed = (self.pool.missed & pattern).sum(1)
        near = self.pool.points[np.argsort(missed, kind="stable")[:STARTS]]
        starts = np.array([*near, *(self._across(int(index)) for index in gone)])
        question.batches += 1
        patterns = np.repeat(pattern[None], len(starts), axis=0)
        hunt(self.pool, patterns, starts, centre=question.x, deadline=question.deadline)
        if not self.pool.refutes(pattern):
            return False
        self.pool.nearer(question.x)
        return True

    def _across(self, index: int) -> Array:
        """A point of the box, straight from X, where the literal just fails."""
        question = self.question
        name = question.whole.network.pre_activation(self.layer)
        x, box = question.x, question.whole.box
        if name not in self.maps:
            return np.asarray(box.sample(1, np.random.default_rng(index))[0])
        slope, offset = (part[index - self.part.start] for part in self.maps[name])
        direction = -self.literals.phases[index] * slope * box.width**2
        speed = abs(float(slope @ direction))
        if speed == 0:
            return x
        step = 1.05 * abs(float(slope @ x + offset)) / speed
        return np.asarray(np.clip(x + step * direction, box.lower, box.upper))
