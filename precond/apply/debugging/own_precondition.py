"""The precondition of one wrong input: its own signature, relaxed until it says something.

Wrong inputs lie near a decision border, so a ball that suits right ones is often too large.  The
ball is chosen so that relaxing happens:

1. of the radius and its halves, the largest in whose ball the whole signature implies the
   predicted class, and raised again, by bisection (what proves in a ball proves in smaller ones);
2. from there down a finer ladder, by quarters of a halving, the largest ball in which the first
   layers, with at most half of the literals, do; linear bounds of many of its balls at once;
3. relaxation (``mine.input_preconditions``) in a ball two steps larger, since the prover can do
   more than bounds.  If it leaves more than half of the literals, again in smaller balls; if it
   leaves none, in larger ones, where neurons begin to matter.

A wide signature, such as a convolutional network's, is weighed by linear bounds alone, and
relaxed by units in a ball somewhat smaller than the largest.

A pattern with more than half of the literals says little more than that the input is itself: that
is a failure of the search (``Unproved``), with its reason.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.own_answer import HALVINGS, OwnPrecondition, Unproved
from precond.errors import QueryError
from precond.mine.boxes.largest_box import underapproximation_box
from precond.mine.input_preconditions.by_units import wide
from precond.mine.input_preconditions.relax import InputPrecondition, input_precondition
from precond.network.graph import Network
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.bounds.pattern_pass import pattern_pass
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.effort import Effort
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove, quick_stages
from precond.proof.verdict import Status
from precond.region.box import Box
from precond.region.literals import Literals
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.region.value_ranges import ValueRanges

Array = NDArray[np.float64]
BISECTIONS = 2
FINE = 16  # balls of the finer ladder that are bounded at once, four to a halving
RUNGS = 3  # times as many, where none of the first ones proves
MOST = 0.5  # of the signature's literals that a precondition may keep
ATTEMPTS = 4  # balls that relaxation is tried in, down the ladder
CLIMBS = 3  # and up again
LOWER = 2  # steps down the ladder


@dataclass(eq=False, kw_only=True)
class _Search:
    """``claim``: that the whole signature of ``point`` (n,) implies a property, over a box that
    balls are cut to; ``ranges``: what a radius with ``of_range`` is a share of."""

    claim: Claim
    point: Array
    ranges: ValueRanges
    of_range: bool
    effort: Effort
    deadline: Deadline
    ledger: Ledger | None

    def __post_init__(self) -> None:
        network = self.claim.network
        self.literals = Literals.of(network, self.claim.pattern)
        self.answers: dict[float, Status] = {}
        self.stages = quick_stages(self.effort.device)
        self.wide = wide(network) and bool(self.claim.problem.conjuncts)

    def ball(self, size: float) -> Box:
        if not size:
            return Box(self.point, self.point)
        radius = Radius(size, of_range=self.of_range)
        return self.ranges.ball(self.point, radius, within=self.claim.box)

    def proves(self, size: float) -> bool:
        """Whether the whole signature does in the ball of this radius."""
        verdict = prove(
            replace(self.claim, box=self.ball(size)),
            budget=min(self.effort.each, self.deadline.left),
            points=self.point[None],
            ledger=self.ledger,
            stages=self.stages,
            device=self.effort.device,
        )
        self.answers[size] = verdict.status
        return verdict.is_proved

    def _bound(self, size: float) -> float:
        """Of the whole signature in the ball of this radius; positive where it proves."""
        problem = replace(self.claim, box=self.ball(size)).problem
        found = pattern_pass(problem, device=self.effort.device, deadline=self.deadline)
        self.answers[size] = Status.PROVED if found.proves else Status.UNKNOWN
        return found.value if found.proves else -np.inf

    def guessed(self, radius: float) -> tuple[float | None, int]:
        """The same as ``_largest`` of a wide signature, with fewer questions.

        A bound sinks from the input's own margin faster than in proportion to the radius: where it
        is positive, the next guess is 0.4 of where the chord meets 0, else an eighth.
        """
        margin, size = self._bound(0.0), radius / 64
        while size >= radius / 2**HALVINGS and not self.deadline.passed:
            value = self._bound(size)
            if value > 0:
                further = min(radius, 0.4 * size * margin / max(margin - value, 1e-12))
                proves = further > size and self._bound(further) > 0
                return (further if proves else size), 0
            size /= 8
        return None, max(0, int(np.log2(size * 2**HALVINGS / radius)) + 1)

    def start(self, sizes: Sequence[float]) -> int:
        """Where on a ladder of radii, largest first, to relax: two steps above the largest in
        which few layers prove, where bounds find one, else at its top."""
        if self.wide:
            return LOWER
        pattern = self.literals.pattern(self.literals.first(self._few_layers()))
        for begin in range(0, len(sizes), FINE):
            problems = [
                replace(self.claim, box=self.ball(size), pattern=pattern).problem
                for size in sizes[begin : begin + FINE]
            ]
            if not problems[0].conjuncts:
                break
            found = pattern_bounds(problems, device=self.effort.device, deadline=self.deadline)
            proved = np.flatnonzero((found > 0) & ~np.isposinf(found))
            if len(proved):
                return max(0, begin + int(proved[0]) - LOWER)
        return 0

    def relax(self, size: float) -> tuple[InputPrecondition | None, int | None]:
        """A precondition with few enough literals, if that is found; and how many were left."""
        found = self._relaxed(size, self.deadline.left * (0.8 if self.wide else 1 / 3))
        if found.pattern is None:
            return None, None
        left = len(found.pattern)
        return (found if left <= MOST * len(self.literals.phases) else None), left

    def _few_layers(self) -> int:
        """First layers that have at most half of the literals."""
        counts = [self.literals.first(k).sum() for k in range(len(self.literals.layers) + 1)]
        return int(np.flatnonzero(np.array(counts) <= MOST * len(self.literals.phases))[-1])

    def _relaxed(self, size: float, seconds: float) -> InputPrecondition:
        return input_precondition(
            self.claim.network,
            self.point,
            self.claim.property,
            domain=self.ball(size),
            budget=max(seconds, 1e-3),
            each=self.effort.each,
            ledger=self.ledger,
            device=self.effort.device,
        )

    def box(self, pattern: DecisionPattern, size: float) -> Box | None:
        """A box inside the pattern's region, where it is a polytope."""
        network: Network = self.claim.network
        if not pattern.is_closed(network):
            return None
        try:
            return underapproximation_box(
                network, pattern, self.point, domain=self.ball(size), deadline=self.deadline
            )
        except QueryError:  # the input lies on the pattern's border, or time is up
            return None


def own_precondition(
    claim: Claim,
    point: Array,
    radius: Radius | float,
    effort: Effort,
    *,
    ranges: ValueRanges | None = None,
    ledger: Ledger | None = None,
) -> OwnPrecondition | Unproved:
    """The relaxed signature of ``point`` (n,).

    ``claim``: that the whole signature implies a property, over a box that balls are cut to.
    ``ranges``: of each value, by default the sides of that box.
    ``Unproved`` where no ball down to radius / 2¹² proves, where the budget ran out before one
    did, or where relaxation leaves more than half of the literals in every ball tried.
    """
    deadline, begun = Deadline.after(effort.budget), time.monotonic()
    first = Radius.of(radius)
    search = _Search(
        claim=claim,
        point=point,
        ranges=ranges or ValueRanges(claim.box, claim.box.width, columns=True),
        of_range=first.of_range,
        effort=effort,
        deadline=deadline,
        ledger=ledger,
    )
    whole, untried = search.guessed(first.size) if search.wide else _largest(search, first.size)
    fewest: int | None = None
    if whole is not None and not deadline.passed:
        sizes = [whole * 2 ** (-step / 4) for step in range(FINE * RUNGS)]
        start = search.start(sizes)
        for step in range(start, min(len(sizes), start + 2 * ATTEMPTS), 2):
            found, left = search.relax(sizes[step])
            if found is not None:
                return _climbed(search, sizes[: step + 1], found)
            fewest = left if fewest is None or (left is not None and left < fewest) else fewest
            if deadline.passed:
                break
    refuted, open_ = (
        tuple(size for size, said in search.answers.items() if said is status)
        for status in (Status.REFUTED, Status.UNKNOWN)
    )
    return Unproved(
        refuted=refuted,
        open=open_,
        untried=untried,
        proved=whole,
        seconds=time.monotonic() - begun,
        left=fewest,
        literals=len(search.literals.phases),
        of_range=search.of_range,
    )


def _largest(search: _Search, radius: float) -> tuple[float | None, int]:
    """The largest radius found at which the whole signature proves; how many smaller halves were
    not tried where there is none."""
    low, high = 0, HALVINGS + 1  # larger balls than radius / 2^low do not prove
    while low < high and not search.deadline.passed:
        middle = (low + high) // 2
        if search.proves(radius / 2**middle):
            high = middle
        else:
            low = middle + 1
    if high > HALVINGS:
        return None, HALVINGS + 1 - low
    return _raised(search, radius / 2**high, high), 0


def _raised(search: _Search, largest: float, halvings: int) -> float:
    """``largest`` proves, and twice as large does not, unless nothing was halved."""
    above = 2 * largest
    for _ in range(BISECTIONS if halvings else 0):
        between = float(np.sqrt(largest * above))
        if not search.deadline.passed and search.proves(between):
            largest = between
        else:
            above = between
    return largest


def _climbed(search: _Search, sizes: Sequence[float], found: InputPrecondition) -> OwnPrecondition:
    """``found`` in the ball of the last of ``sizes``; one in a larger ball where ``found`` needs
    no neuron."""
    size = sizes[-1]
    for larger in sizes[-2 : -2 - CLIMBS : -1]:
        if search.deadline.passed or (found.pattern is not None and len(found.pattern)):
            break
        better, _ = search.relax(larger)
        if better is None:
            break
        found, size = better, larger
    assert found.pattern is not None
    return OwnPrecondition(
        radius=size,
        precondition=found,
        box=search.box(found.pattern, size),
        literals=len(search.literals.phases),
        whole=sizes[0],
        of_range=search.of_range,
    )
