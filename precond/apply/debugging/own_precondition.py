"""The precondition of one wrong input: its own signature, relaxed while it proves.

Wrong inputs lie near a decision border, so a ball that suits right ones is often too large: of
the radius and its halves the largest is taken in whose ball the input's full signature implies
the predicted class, and raised again.  Both by bisection: what proves in a ball proves in
smaller ones.  Relaxation (``mine.input``) starts from there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import QueryError
from precond.mine.boxes.largest_box import underapproximation_box
from precond.mine.input_preconditions.relax import InputPrecondition, input_precondition
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.prove import prove, quick_stages
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

Array = NDArray[np.float64]
WIDEST = 4096  # neurons beyond which setting up one linear program takes longer than ``each``
HALVINGS = 7
BISECTIONS = 2


@dataclass(frozen=True, eq=False)
class OwnPrecondition:
    """``found`` in the ball of ``radius``; ``box`` lies inside its region, where one was made."""

    radius: float
    found: InputPrecondition
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
    network: Network,
    signatures: Signatures,
    row: int,
    point: Array,
    property: Property,
    radius: float,
    within: Box,
    *,
    budget: float,
    each: float,
    ledger: Ledger | None = None,
    device: str = "cpu",
) -> OwnPrecondition | Unproved:
    """The relaxed signature of ``point`` (n,), which is row ``row`` of ``signatures``.

    ``Unproved`` where no ball down to radius / 2⁷ proves, or the budget ran out before one did.
    """
    deadline, begun = Deadline.after(budget), time.monotonic()
    answers: dict[float, Status] = {}
    full = DecisionPattern.of_row(signatures, row)
    stages = quick_stages(device)
    if sum(map(network.width, network.decision_layers)) > WIDEST:
        stages = stages[:1]

    def proves(size: float) -> bool:
        claim = Claim(network, Box.ball(point, size, within=within), full, property)
        verdict = prove(
            claim,
            budget=min(each, deadline.left),
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
        each=each,
        ledger=ledger,
        device=device,
    )
    if found.pattern is None:
        return unproved(largest)
    box = None
    if found.pattern.is_closed(network):
        try:
            box = underapproximation_box(network, found.pattern, point, ball)
        except QueryError:  # the input lies on the pattern's border: no box has a width
            box = None
    return OwnPrecondition(largest, found, box)
