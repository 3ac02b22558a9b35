"""The precondition of one wrong input: its own signature, relaxed while it proves.

Wrong inputs lie near a decision border, so a ball that suits right ones is often too large: of
the radius and its halves the largest is taken in whose ball the input's full signature implies
the predicted class, and raised again.  Both by bisection: what proves in a ball proves in
smaller ones.  Relaxation (``mine.input``) starts from there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from precond.errors import QueryError
from precond.mine.boxes.largest_box import underapproximation_box
from precond.mine.input_preconditions.relax import InputPrecondition, input_precondition
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.effort import Effort
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove, quick_stages
from precond.proof.verdict import Status
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
WIDEST = 4096  # neurons beyond which setting up one linear program takes longer than ``each``
HALVINGS = 7
BISECTIONS = 2


@dataclass(frozen=True, eq=False)
class OwnPrecondition:
    """``precondition`` in the ball of ``radius``; ``box``, where there is one, in its region."""

    radius: float
    precondition: InputPrecondition
    box: Box | None


@dataclass(frozen=True)
class Unproved:
    """Why an input has no precondition of its own.

    Radii of the balls that were tried: ``refuted`` ones hold an input with the same signature
    and another class (as larger ones do), ``open`` ones were not decided within their time;
    ``untried`` smaller ones had no time at all.  ``proved``: the signature does prove there, but
    no time was left to free a neuron.  ``seconds``: spent on all of it.
    """

    refuted: tuple[float, ...]
    open: tuple[float, ...]
    untried: int
    proved: float | None
    seconds: float


NOT_TRIED = Unproved((), (), HALVINGS + 1, None, 0.0)


def own_precondition(
    claim: Claim,
    point: Array,
    radius: float,
    effort: Effort,
    *,
    ledger: Ledger | None = None,
) -> OwnPrecondition | Unproved:
    """The relaxed signature of ``point`` (n,).

    ``claim``: that the whole signature implies a property, over a box that balls are cut to.
    ``Unproved`` where no ball down to radius / 2⁷ proves, or the budget ran out before one did.
    """
    deadline, begun = Deadline.after(effort.budget), time.monotonic()
    network, property, within, device = claim.network, claim.property, claim.box, effort.device
    answers: dict[float, Status] = {}
    stages = quick_stages(device)
    if sum(map(network.width, network.decision_layers)) > WIDEST:
        stages = stages[:1]

    def proves(size: float) -> bool:
        verdict = prove(
            replace(claim, box=Box.ball(point, size, within=within)),
            budget=min(effort.each, deadline.left),
            points=point[None],
            ledger=ledger,
            stages=stages,
            device=device,
        )
        answers[size] = verdict.status
        return verdict.is_proved

    def unproved(proved: float | None) -> Unproved:
        refuted, open_ = (
            tuple(size for size, said in answers.items() if said is status)
            for status in (Status.REFUTED, Status.UNKNOWN)
        )
        untried = 0 if proved else HALVINGS + 1 - low
        return Unproved(refuted, open_, untried, proved, time.monotonic() - begun)

    low, high = 0, HALVINGS + 1  # larger balls than radius / 2^low do not prove
    while low < high and not deadline.passed:
        middle = (low + high) // 2
        if proves(radius / 2**middle):
            high = middle
        else:
            low = middle + 1
    if high > HALVINGS:
        return unproved(None)
    largest = radius / 2**high
    if high:
        above = 2 * largest
        for _ in range(BISECTIONS):
            between = float(np.sqrt(largest * above))
            if not deadline.passed and proves(between):
                largest = between
            else:
                above = between
    ball = Box.ball(point, largest, within=within)
    found = input_precondition(
        network,
        point,
        property,
        ball,
        budget=max(deadline.left, 1e-3),
        each=effort.each,
        ledger=ledger,
        device=device,
    )
    if found.pattern is None:
        return unproved(largest)
    box = _box(found.pattern, network, point, ball, deadline)
    return OwnPrecondition(largest, found, box)


def _box(
    pattern: DecisionPattern, network: Network, point: Array, ball: Box, deadline: Deadline
) -> Box | None:
    """A box inside the pattern's region, where it is a polytope."""
    if not pattern.is_closed(network):
        return None
    try:
        return underapproximation_box(network, pattern, point, ball, deadline=deadline)
    except QueryError:  # the input lies on the pattern's border, or time is up
        return None
