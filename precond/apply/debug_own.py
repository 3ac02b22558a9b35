"""The precondition of one wrong input: its own signature, relaxed while it proves.

Wrong inputs lie near a decision border, so a ball that suits right ones is often too large: the
radius is halved until the input's full signature implies the predicted class inside the ball,
then raised again by bisection.  Relaxation (``mine.input``) starts from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import QueryError
from precond.mine.input import InputPrecondition, input_precondition
from precond.mine.underapprox import underapproximation_box
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger import Ledger
from precond.proof.prove import prove, quick_stages
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

Array = NDArray[np.float64]
HALVINGS = 7
BISECTIONS = 2


@dataclass(frozen=True, eq=False)
class OwnPrecondition:
    """``found`` in the ball of ``radius``; ``box`` lies inside its region, where one was made."""

    radius: float
    found: InputPrecondition
    box: Box | None


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
) -> OwnPrecondition | None:
    """The relaxed signature of ``point`` (n,), which is row ``row`` of ``signatures``.

    None where no ball down to radius / 2⁷ proves, or the budget ran out before one did.
    """
    deadline = Deadline.after(budget)
    full = DecisionPattern.of_row(signatures, row)
    stages = quick_stages(device)

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
        return verdict.is_proved

    largest = next((r for r in _halved(radius) if not deadline.passed and proves(r)), None)
    if largest is None:
        return None
    if largest < radius:
        low, high = largest, 2 * largest
        for _ in range(BISECTIONS):
            middle = float(np.sqrt(low * high))
            if not deadline.passed and proves(middle):
                low = middle
            else:
                high = middle
        largest = low
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
    box = None
    if found.pattern is not None and found.pattern.is_closed(network):
        try:
            box = underapproximation_box(network, found.pattern, point, ball)
        except QueryError:  # the input lies on the pattern's border: no box has a width
            box = None
    return OwnPrecondition(largest, found, box)


def _halved(radius: float) -> Iterator[float]:
    for k in range(HALVINGS + 1):
        yield radius / 2**k
