"""Many claims about boxes of one network, answered together where one pass of bounds is enough.

A query of thousands of small boxes spends its time between engines, not in them.  So points of
all boxes are tried first, then layer bounds and one backward pass are computed for a batch of
boxes at a time (``bounds.many_boxes``).  What that closes is PROVED by the engine ``bounds``, as
``prove`` would have said; a point that violates its claim counts after its exact replay.  The
rest is for ``prove``, claim by claim.

A few boxes are tried first.  Where hardly any of a batch is closed, the others are left to
``prove`` at once, which would only compute the same bounds again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from precond.network.activation import OutputActivation
from precond.proof.arithmetic import Arithmetic
from precond.proof.attempt import PROPAGATION, Attempt, Outcome
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.bounds.many_boxes import (
    BoxBounds,
    ManyBoxes,
    box_bounds,
    many_boxes,
    same_form,
    violations,
)
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import place_in_ledger
from precond.proof.replay import replay
from precond.proof.restate.runs import refusal
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box

Array = NDArray[np.float64]
MANY = 8  # claims from which on a batch is worth its preparation
NUMBERS = 1 << 19  # values, and coefficients of forms, of all boxes in a batch
LARGEST_BATCH = 2048  # boxes
FIRST = 16  # part of a batch that is tried first
WORTH = 0.2  # share of the boxes that a pass has to close
DRAWN = 5  # points drawn in each box, beside its middle and two corners
ENGINE = "bounds"


def prove_together(
    claims: Sequence[Claim],
    deadline: Deadline,
    *,
    device: str = "cpu",
    seed: int = 0,
    execution: Arithmetic = Arithmetic.REAL,
    ledger: Ledger | None = None,
) -> Iterator[tuple[int, Verdict]]:
    """Pairs of a claim's number and its verdict, PROVED or REFUTED, in the order they are known,
    one for a claim.  ``execution``: as in ``prove``, but a proof always covers these runs.
    With a ``ledger`` a verdict is written before it is given.
    """
    for numbers in _batches(claims, execution):
        search = _Together(claims, numbers, deadline, device=device, execution=execution)
        for number, verdict in chain(search.by_points(seed), search.by_bounds()):
            if ledger is None:
                yield number, verdict
            else:
                place = place_in_ledger(claims[number], execution=execution)
                yield number, ledger.remember(*place, verdict, verdict.seconds)


def _batches(claims: Sequence[Claim], execution: Arithmetic) -> list[NDArray[np.int64]]:
    """Numbers of claims that can be asked together, those of one network and form."""
    groups: dict[object, list[int]] = {}
    for number, claim in enumerate(claims):
        alone = claim.halfspaces is not None or bool(claim.problem.intervals)
        if not alone and claim.network.output_activation is OutputActivation.NONE:
            key = id(claim.network), same_form(claim.problem.conjuncts)
            groups.setdefault(key, []).append(number)
    return [
        np.array(numbers)
        for numbers in groups.values()
        if len(numbers) >= MANY and _in_floats([claims[k].problem for k in numbers], execution)
    ]


def _in_floats(problems: Sequence[Problem], execution: Arithmetic) -> bool:
    """Whether float64 carries all of them, and runs are something to speak of: asked of the box
    around their boxes, and of all inequalities at once."""
    lower = np.min([problem.box.lower for problem in problems], axis=0)
    upper = np.max([problem.box.upper for problem in problems], axis=0)
    conjuncts = tuple(conjunct for problem in problems for conjunct in problem.conjuncts)
    whole = replace(problems[0], box=Box(lower, upper), conjuncts=conjuncts, execution=execution)
    written = bool(conjuncts) and beyond_floats(whole) is None
    return written and refusal(whole, execution) is None


class _Together:
    """The claims ``numbers`` of a list, all of one network and form.  ``open``: those without a
    verdict, by their place in ``numbers``."""

    def __init__(
        self,
        claims: Sequence[Claim],
        numbers: NDArray[np.int64],
        deadline: Deadline,
        *,
        device: str,
        execution: Arithmetic,
    ) -> None:
        self.claims = claims
        self.numbers = numbers
        self.deadline = deadline
        self.device = device
        self.execution = execution
        self.open = np.ones(len(numbers), dtype=np.bool_)
        first = claims[numbers[0]]
        widths = [first.network.width(node.name) for node in first.network.nodes]
        each = sum(widths) + max(widths) * sum(same_form(first.problem.conjuncts))
        self.size = int(np.clip(NUMBERS // each, 1, LARGEST_BATCH))

    def by_points(self, seed: int) -> Iterator[tuple[int, Verdict]]:
        """Refuted by a point of the box that was looked at."""
        rng = np.random.default_rng(seed)
        for places in _parts(np.arange(len(self.numbers)), self.size):
            if self.deadline.passed:
                return
            boxes = self._boxes(places)
            lower, upper = (side.cpu().numpy()[:, None] for side in (boxes.lower, boxes.upper))
            drawn = rng.random((len(places), DRAWN, lower.shape[-1]))
            shares = [np.full_like(drawn[:, :1], share) for share in (0.5, 0.0, 1.0)]
            points = lower + np.concatenate([*shares, drawn], axis=1) * (upper - lower)
            yield from self._refuted(places, boxes, np.clip(points, lower, upper))

    def by_bounds(self) -> Iterator[tuple[int, Verdict]]:
        """Proved by bounds, or refuted where these are lowest."""
        closed = looked_at = 0
        for places in self._in_turn():
            if self.deadline.passed or closed < WORTH * looked_at:
                return
            begun = time.monotonic()
            boxes = self._boxes(places)
            bounds = box_bounds(boxes, self.device, self.deadline)
            seconds = (time.monotonic() - begun) / len(places)
            closed, looked_at = closed + int(bounds.closed.sum()), looked_at + len(places)
            yield from self._proved(places, bounds, seconds)
            yield from self._refuted(places, boxes, bounds.corners[:, None])

    def _in_turn(self) -> Iterator[NDArray[np.int64]]:
        """The open boxes: a few from everywhere, then all others."""
        places = np.flatnonzero(self.open)
        if not len(places):
            return
        few = places[:: max(1, -(-len(places) * FIRST // self.size))]
        yield few
        yield from _parts(np.setdiff1d(places, few), self.size)

    def _boxes(self, places: NDArray[np.int64]) -> ManyBoxes:
        problems = [self.claims[k].problem for k in self.numbers[places]]
        first = replace(problems[0], execution=self.execution)
        return many_boxes([first, *problems[1:]], self.device)

    def _proved(
        self, places: NDArray[np.int64], bounds: BoxBounds, seconds: float
    ) -> Iterator[tuple[int, Verdict]]:
        for place in np.flatnonzero(bounds.closed).tolist():
            number = int(self.numbers[places[place]])
            self.open[places[place]] = False
            counts = {Outcome.INFEASIBLE: len(self.claims[number].problem.conjuncts)}
            attempt = Attempt(ENGINE, seconds, counts=counts, lines=PROPAGATION)
            yield (
                number,
                Verdict(
                    Status.PROVED,
                    engine=ENGINE,
                    seconds=seconds,
                    bound=float(bounds.bound[place]),
                    attempts=(attempt,),
                    holds_in=self.execution.covers,
                ),
            )

    def _refuted(
        self, places: NDArray[np.int64], boxes: ManyBoxes, points: Array
    ) -> Iterator[tuple[int, Verdict]]:
        """Of the points (G, N, n) of the boxes ``places``, one of a box that violates."""
        violated = violations(boxes, points, self.device) & self.open[places][:, None]
        for place in np.flatnonzero(violated.any(axis=1)).tolist():
            begun = time.monotonic()
            number = int(self.numbers[places[place]])
            point = points[place, int(violated[place].argmax())]
            shown = replay(self.claims[number], point)
            if not shown.counts:
                continue
            self.open[places[place]] = False
            seconds = time.monotonic() - begun
            yield (
                number,
                Verdict(
                    Status.REFUTED,
                    engine="attack",
                    seconds=seconds,
                    exact=True,
                    confirmed=shown.in_float32,
                    witness=point,
                    reason="" if shown.in_float32 else "shown in exact arithmetic, not in float32",
                    attempts=(Attempt("attack", seconds, counts={Outcome.WITNESS: 1}),),
                ),
            )


def _parts(places: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [places[start : start + size] for start in range(0, len(places), size)]
