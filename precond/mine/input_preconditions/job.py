"""``input_precondition`` as a job for a pool: one input is relaxed wherever there is room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.mine.input_preconditions.relax import (
    InputPrecondition,
    Method,
    Order,
    input_precondition,
)
from precond.network.graph import Network
from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box


@dataclass(frozen=True, eq=False, kw_only=True)
class RelaxJob:
    """The arguments of ``input_precondition``; every proof on the way goes to the ledger."""

    network: Network
    point: NDArray[np.floating]
    property: Property
    domain: Box
    order: Order = Order.INFLUENCE
    budget: float = 60.0
    each: float = 5.0
    method: Method = Method.CORE
    device: str = "cpu"

    def known(self, ledger: Ledger) -> InputPrecondition | None:  # noqa: ARG002 - a job's
        """None: the proofs are in the ledger, the search among them is done again."""
        return None

    def run(self, ledger: Ledger | None) -> InputPrecondition:
        return input_precondition(
            self.network,
            self.point,
            self.property,
            domain=self.domain,
            order=self.order,
            budget=self.budget,
            each=self.each,
            method=self.method,
            ledger=ledger,
            device=self.device,
        )

    def failed(self, reason: str) -> InputPrecondition:
        return InputPrecondition(
            pattern=None,
            verdict=Verdict(Status.UNKNOWN, "pool", self.budget, reason=reason),
            layer="",
            proofs=0,
            minimal=False,
        )
