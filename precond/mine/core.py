"""Core-guided relaxation of one layer: many literals dropped at a time, same end point.

A proof's multipliers β name the literals it leans on; the others are tried first, as groups:
ever longer prefixes of an order, all in one propagation.  Where linear bounds give up, a
search over all single drops at once looks for violators (``violators``); what neither
decides goes to the prover in groups that are halved when they fail (Junker 2004,
QuickXplain).  In the end each literal that is left is either forced by a violator, which
exact arithmetic confirms, or its drop was put to the prover and did not prove.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import numpy as np
import torch
from numpy.typing import NDArray

from precond.errors import QueryError
from precond.mine.relaxation import Question
from precond.mine.violators import Flags, hunt
from precond.network.evaluate import forward, values_at
from precond.network.graph import INPUT
from precond.network.operators import operators
from precond.proof.replay import replay
from precond.proof.trace import InputSplit, PhaseSplit, Trace
from precond.proof.verdict import Status, Verdict
from precond.region.polytope import affine_maps, polytope
from precond.region.sampling import hit_and_run

Array = NDArray[np.float64]
PREFIXES = 10  # bounded in one propagation
SINGLES = 128  # literals whose single drops are bounded in one go


class Order(Enum):
    """In which order the neurons of the stopping layer are tried."""

    INDEX = "index"
    MAGNITUDE = "magnitude"
    """Smallest |pre-activation| first: the literals nearest to X."""
    INFLUENCE = "influence"
    """Smallest gradient of the property's margin by the neuron's activation at X first."""
    MULTIPLIER = "multiplier"
    """Smallest multiplier in the proof of the whole layer first; ties by influence."""


def scores(question: Question, layer: str, order: Order, verdict: Verdict) -> Array:
    """What ``order`` sorts the neurons of ``layer`` by, (m,), smallest first."""
    network = question.whole.network
    if order is Order.INDEX:
        return np.arange(network.width(layer), dtype=np.float64)
    if order is Order.MAGNITUDE:
        return np.abs(values_at(network, question.x[None], network.pre_activation(layer))[0])
    slope = influence(question, layer)
    if order is Order.INFLUENCE:
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
    for conjunct in problem.conjuncts:
        for row in problem.rows(conjunct)[0]:
            margin = values[network.output].flatten() @ torch.tensor(row)
            (slope,) = torch.autograd.grad(
                margin, values[layer], retain_graph=True, allow_unused=True
            )
            if slope is not None:
                largest = np.maximum(largest, slope.abs().flatten().numpy())
    return largest


def multipliers(traces: Iterable[Trace], layer: str, width: int) -> Array:
    """Largest β of each of the layer's literals over all leaves, (width,)."""
    most = np.zeros(width)
    stack = list(traces)
    while stack:
        node = stack.pop()
        if isinstance(node, InputSplit):
            stack += [node.below, node.above]
        elif isinstance(node, PhaseSplit):
            stack += [node.off, node.on]
        else:
            for side in (node.low, node.high):
                if layer in side:
                    most = np.maximum(most, np.abs(side[layer]))
    return most


class CoreSearch:
    """The search at one stopping layer.

    ``kept`` (T,) is what is left, ``verdict`` the prover's on it once ``run`` is through.
    """

    def __init__(self, question: Question, depth: int, verdict: Verdict, order: Order) -> None:
        self.question = question
        self.literals = question.literals
        self.pool = question.violators
        self.layer = self.literals.layers[depth - 1]
        self.part = self.literals.part[self.layer]
        self.base = self.literals.first(depth - 1)
        self.kept = self.literals.first(depth)
        self.verdict = verdict
        self.score = np.zeros(len(self.kept))
        self.score[self.part] = scores(question, self.layer, order, verdict)
        self.shown = self.kept  # what ``verdict`` is about
        self.undecided: dict[int, bytes] = {}
        self.witnesses: dict[tuple[str, int], Array] = {}
        self.pool.require(self.base)

    def run(self) -> bool:
        """Relax; whether every single drop was refuted or failed to prove in the end."""
        self._sample()
        self._by_bounds()
        self._hunt()
        while True:
            self._by_proofs()
            self._show()
            if self.question.deadline.passed:
                return False
            if self._confirmed():
                return True

    # -- cheap answers -----------------------------------------------------------------

    @property
    def _open(self) -> NDArray[np.int64]:
        """Literals of the layer that are kept and not known to be needed, in order."""
        free = self.kept & ~self.base & ~self.pool.critical(self.kept)
        found = np.flatnonzero(free)
        return np.asarray(found[np.argsort(self.score[found], kind="stable")], dtype=np.int64)

    def _without(self, literals: Sequence[int] | NDArray[np.int64]) -> Flags:
        weaker = self.kept.copy()
        weaker[np.asarray(literals, dtype=np.int64)] = False
        return weaker

    def _by_bounds(self) -> None:
        """Drop the longest prefix that linear bounds prove; then what they prove singly."""
        order = self._open
        while len(order) and not self.question.deadline.passed:
            sizes = np.unique(np.linspace(1, len(order), PREFIXES).round().astype(int))
            patterns = [self._without(order[:size]) for size in sizes]
            proved = self.question.bounds(patterns) > 0
            if not proved.any():
                # The first of ``order`` is not provable; others may be.
                if sizes[-1] == 1:
                    return
                order = self._singly(order)
                if not len(order):
                    return
                continue
            best = int(sizes[np.flatnonzero(proved)[-1]])
            self.kept = self._without(order[:best])
            order = order[best:]
            if len(order):
                order = self._singly(order)

    def _singly(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of ``order`` whose single drop linear bounds prove, surest first."""
        still = order[np.isin(order, self._open)][:SINGLES]
        bounds = self.question.bounds([self._without([i]) for i in still.tolist()])
        provable = np.flatnonzero(bounds > 0)
        return np.asarray(still[provable[np.argsort(-bounds[provable], kind="stable")]])

    def _sample(self) -> None:
        """Violators in the region that the layers before leave, by hit-and-run from X."""
        question = self.question
        claim = question.whole
        before = self.literals.pattern(self.base)
        self.maps: Mapping[str, tuple[Array, Array]] = {}
        if not self.literals.pattern(self.kept).is_closed(claim.network):
            return
        self.maps = affine_maps(claim.network, before)
        region = polytope(claim.network, before, self.maps)
        rng = np.random.default_rng(0)
        try:
            points = hit_and_run(region, claim.box, question.x, 1024, rng)
        except QueryError:  # X lies on the region's border, to within rounding
            return
        question.batches += 1
        self.pool.add(points)
        self.pool.nearer(question.x)

    def _hunt(self) -> None:
        """Look for violators of all single drops that nothing decides, at once."""
        for _ in range(3):
            order = self._open
            if not len(order) or self.question.deadline.passed:
                return
            patterns, starts = [], []
            missed = (self.pool.missed & self.kept).sum(1)
            for index in order.tolist():
                without = missed - self.pool.missed[:, index]
                near = np.argsort(without, kind="stable")[:4]
                chosen = [*self.pool.points[near], self._across(index)]
                starts += chosen
                patterns += [self._without([index])] * len(chosen)
            self.question.batches += 1
            hunt(
                self.pool,
                np.array(patterns),
                np.array(starts),
                self.question.x,
                self.question.deadline,
            )
            self.pool.nearer(self.question.x)
            if len(self._open) > 0.8 * len(order):
                return

    def _across(self, index: int) -> Array:
        """The point of the box on a straight way from X on which the literal just fails."""
        question = self.question
        name = question.whole.network.pre_activation(self.layer)
        x, box = question.x, question.whole.box
        if name not in self.maps:
            return box.sample(1, np.random.default_rng(index))[0]
        slope, offset = (part[index - self.part.start] for part in self.maps[name])
        direction = -self.literals.phases[index] * slope * box.width**2
        speed = abs(float(slope @ direction))
        if speed == 0:
            return x
        step = 1.05 * abs(float(slope @ x + offset)) / speed
        return np.clip(x + step * direction, box.lower, box.upper)

    # -- the prover --------------------------------------------------------------------

    def _by_proofs(self) -> None:
        """Groups of what is open to the prover, halved where they fail."""
        groups = [self._untried()]
        while groups and not self.question.deadline.passed:
            group = groups.pop()
            group = group[np.isin(group, self._untried())]
            if not len(group):
                continue
            before = len(self.pool.points)
            answer = self.question.ask(self._without(group))
            if answer.status is Status.PROVED:
                self.kept = self.shown = self._without(group)
                self.verdict = answer
                continue
            if len(group) == 1 and answer.status is not Status.REFUTED:
                self.undecided[int(group[0])] = self.kept.tobytes()
                continue
            if len(self.pool.points) > before:
                self.pool.nearer(self.question.x)
                self._hunt()
            if len(group) > 1:
                half = (len(group) + 1) // 2
                groups += [group[half:], group[:half]]
            elif int(group[0]) in self._open:  # refuted, though not in float64
                self.undecided[int(group[0])] = self.kept.tobytes()

    def _untried(self) -> NDArray[np.int64]:
        """Open literals whose drop from just this pattern the prover has not failed on."""
        now = self.kept.tobytes()
        order = self._open
        return order[[self.undecided.get(int(i)) != now for i in order]]

    def _show(self) -> None:
        """Have the prover prove what linear bounds have proved so far; where it does not, go
        back to what it has proved."""
        if (self.kept == self.shown).all():
            return
        answer = self.question.ask(self.kept)
        if answer.status is Status.PROVED:
            self.verdict, self.shown = answer, self.kept
        else:
            self.kept = self.shown

    def _confirmed(self) -> bool:
        """Replay a violator for every literal that needs one, and see that none is open."""
        question = self.question
        self.witnesses.clear()
        for index in np.flatnonzero(self.kept & ~self.base).tolist():
            claim = question.claim(self._without([index]))
            for point in self.pool.forcing(self.kept, index):
                if replay(claim, point).counts:
                    self.witnesses[self.literals.neuron(index)] = point
                    break
                self.pool.forget(point)
        return not len(self._untried())
