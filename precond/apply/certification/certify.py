"""Robustness of single inputs: is the whole L∞ ball around x given the class of x?

For every radius each input is *certified* (proved for the real-valued network), *attacked* (a
witness in the ball is given another class, surely and in float32), *unknown*, or *wrong* (its
own class is not its label, so there is nothing to certify).  Cheap and batched first: linear
bounds and a gradient attack over many balls at once, optimised bounds for what is left; then the
complete prover, one ball at a time, the nearest to proved first.

Certified at one radius is certified at every smaller one, attacked at every larger one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from precond.apply.certification.answers import Ball, BallOutcome, Robustness
from precond.apply.certification.batch import Balls, batch_attack, margin_bounds, violates
from precond.apply.certification.settings import RobustnessSettings
from precond.basics.arguments import require_kind
from precond.errors import QueryError
from precond.network.evaluate import check_inputs
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.region.recording import record_in_time
from precond.region.value_ranges import ValueRanges, ranges_of

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
CLASSIFYING = 0.5  # of the budget, for the classes of the inputs at most
OPTIMISE = 20  # steps of slope optimisation for balls that plain bounds leave open


def robustness(
    network: Network,
    inputs: NDArray[np.floating],
    settings: RobustnessSettings | None = None,
    *,
    labels: Rows | None = None,
    rows: Rows | None = None,
    ledger: Ledger | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> Robustness:
    """Answer every ball around ``inputs`` (N, …), or around some ``rows`` of them.

    The class is read from the logits.  ``labels`` (N,): inputs predicted otherwise are WRONG;
    without them every input keeps its predicted class.  ``done`` is told of balls as they are
    settled.  Up to half of the budget goes to classifying the inputs; what is not classified by
    then is left out of ``Robustness.rows``.  Ctrl-C after that ends the search, not the answer.
    """
    require_kind("network", value=network, kind=Network, fix="load(model) gives one")
    settings = settings or RobustnessSettings()
    started, deadline = time.monotonic(), Deadline.after(settings.budget)
    network = network.logits
    sizes = sorted_radii(settings)
    flat = np.asarray(check_inputs(network, inputs)).reshape(len(inputs), -1)
    chosen = np.arange(len(flat)) if rows is None else np.asarray(rows, dtype=np.int64)
    until = deadline.earlier(CLASSIFYING * settings.budget)
    seen, kept = record_in_time(network, flat[chosen], (), until=until, device=settings.device)
    chosen, classes = chosen[kept], seen.predicted
    points = np.asarray(flat[chosen], dtype=np.float64)
    ranges = None
    if settings.natural is not None:
        ranges = ranges_of(settings.natural, flat.shape[1]).holding(points)
        sizes = tuple(map(ranges.plain, sizes))
    right = np.ones(len(points), dtype=np.bool_)
    if labels is not None:
        right = classes == labels[chosen]
    run = _RobustnessRun(
        network, points, classes, ranges=ranges, settings=settings, deadline=deadline, ledger=ledger
    )
    wrong = Ball(BallOutcome.WRONG)
    open_ball = Ball(BallOutcome.UNKNOWN)
    table = [[open_ball if r else wrong for r in right.tolist()] for _ in sizes]
    interrupted = False
    try:
        run.cheap(sizes, table, done)
        run.complete(sizes, table, done)
    except KeyboardInterrupt:
        interrupted = True
    return Robustness(
        network=network,
        inputs=points,
        rows=chosen,
        classes=classes,
        radii=sizes,
        balls=tuple(tuple(line) for line in table),
        seconds=time.monotonic() - started,
        interrupted=interrupted,
    )


class _RobustnessRun:
    def __init__(
        self,
        network: Network,
        points: Array,
        classes: Rows,
        ranges: ValueRanges | None,
        settings: RobustnessSettings,
        deadline: Deadline,
        ledger: Ledger | None,
    ) -> None:
        self.network = network
        self.points = points
        self.classes = classes
        self.ranges = ranges
        self.deadline = deadline
        self.each = settings.each
        self.ledger = ledger
        self.device = settings.device
        self.seed = settings.seed

    def around(self, which: Rows, radius: Radius) -> Balls:
        """The balls of ``radius`` around these inputs."""
        points = self.points[which]
        if self.ranges is None:
            lower, upper = points - radius.size, points + radius.size
        else:
            lower, upper = self.ranges.balls(points, radius)
        return Balls(points, lower, upper, classes=self.classes[which])

    def settle(
        self, table: list[list[Ball]], k: int, i: int, ball: Ball, done: Callable[[int], None]
    ) -> None:
        """Enter an answer, at the radii it answers too."""
        others = range(k + 1) if ball.outcome is BallOutcome.CERTIFIED else range(k, len(table))
        for other in others:
            if table[other][i].outcome is BallOutcome.UNKNOWN:
                table[other][i] = ball
                done(1)

    def cheap(
        self, sizes: Sequence[Radius], table: list[list[Ball]], done: Callable[[int], None]
    ) -> None:
        """Bounds, attack and optimised bounds over all balls of a radius at once, smallest radius
        first."""
        for k, radius in enumerate(sizes):
            self.bound(k, radius, table, steps=0, done=done)
            self.attack(k, radius, table, done=done)
            self.bound(k, radius, table, steps=OPTIMISE, done=done)

    def attack(
        self, k: int, radius: Radius, table: list[list[Ball]], done: Callable[[int], None]
    ) -> None:
        which = _open(table[k])
        found = batch_attack(
            self.network,
            self.around(which, radius),
            deadline=self.deadline.earlier(0.5 * self.deadline.left),
            seed=self.seed,
            device=self.device,
        )
        if not found:
            return
        places = np.array(sorted(found), dtype=np.int64)
        witnesses = np.stack([found[p] for p in places.tolist()])
        own = self.classes[which[places]]
        surely, small = violates(self.network, witnesses, own, device=self.device)
        for place, witness, good in zip(
            places.tolist(), witnesses, (surely & small).tolist(), strict=True
        ):
            if good:
                ball = Ball(BallOutcome.ATTACKED, "attack", witness=witness)
                self.settle(table, k, i=int(which[place]), ball=ball, done=done)

    def bound(
        self,
        k: int,
        radius: Radius,
        table: list[list[Ball]],
        steps: int,
        done: Callable[[int], None],
    ) -> None:
        which = _open(table[k])
        balls = self.around(which, radius)
        bounds = margin_bounds(
            self.network,
            balls.lower,
            balls.upper,
            classes=balls.classes,
            steps=steps,
            deadline=self.deadline,
            device=self.device,
        )
        engine = "bounds-optimised" if steps else "bounds"
        for i, bound in zip(which.tolist(), bounds.tolist(), strict=True):
            if excludes(bound):
                ball = Ball(BallOutcome.CERTIFIED, engine, margin=bound)
                self.settle(table, k, i, ball=ball, done=done)
            elif np.isfinite(bound):
                table[k][i] = Ball(BallOutcome.UNKNOWN, engine, margin=bound)

    def complete(
        self, sizes: Sequence[Radius], table: list[list[Ball]], done: Callable[[int], None]
    ) -> None:
        """The prover on what is left, balls whose bound is nearest to proved first."""
        waiting = [(k, i) for k in range(len(sizes)) for i in _open(table[k]).tolist()]
        waiting.sort(key=lambda ki: -_margin(table[ki[0]][ki[1]]))
        for k, i in waiting:
            if self.deadline.passed:
                return
            if table[k][i].outcome is not BallOutcome.UNKNOWN:
                continue  # settled by another radius meanwhile
            ball = self.around(np.array([i]), sizes[k])
            target = Property.of_class(int(self.classes[i]), self.network)
            claim = Claim(
                self.network,
                box=Box(ball.lower[0], ball.upper[0]),
                pattern=DecisionPattern(),
                property=target,
            )
            verdict = prove(
                claim,
                budget=min(self.each, self.deadline.left),
                ledger=self.ledger,
                device=self.device,
                seed=self.seed,
            )
            if verdict.status is Status.PROVED:
                answer = Ball(
                    BallOutcome.CERTIFIED, verdict.engine, verdict.confirmed, margin=verdict.bound
                )
                self.settle(table, k, i, ball=answer, done=done)
            elif verdict.status is Status.REFUTED and verdict.confirmed:
                answer = Ball(BallOutcome.ATTACKED, verdict.engine, witness=verdict.witness)
                self.settle(table, k, i, ball=answer, done=done)


def sorted_radii(settings: RobustnessSettings) -> tuple[Radius, ...]:
    """The radii, each once, in ascending order."""
    given = settings.radii if isinstance(settings.radii, Iterable) else (settings.radii,)
    radii = {Radius.of(radius) for radius in given}
    if len({radius.of_range for radius in radii}) != 1:
        got = ", ".join(map(str, given)) or "none"
        raise QueryError("radii", expected="one or more, all numbers or all shares", got=got)
    if settings.natural is None and any(radius.of_range for radius in radii):
        raise QueryError(
            "radius",
            expected="numbers where no ranges are given",
            got=", ".join(map(str, given)),
            fix="natural=ValueRanges.of(data) gives the range of each column",
        )
    return tuple(sorted(radii, key=lambda radius: radius.size))


def _open(line: Sequence[Ball]) -> Rows:
    return np.array(
        [i for i, b in enumerate(line) if b.outcome is BallOutcome.UNKNOWN], dtype=np.int64
    )


def _margin(ball: Ball) -> float:
    return -np.inf if ball.margin is None else ball.margin
