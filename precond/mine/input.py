"""Input preconditions by iterative relaxation.

Take an input X and its full activation signature.  If that pattern implies the property in
the domain, free whole decision layers from the last one back while it still proves; at the
layer where that stops, free its neurons one at a time, in a given order.  The result is a
closed pattern from which no constrained neuron of that layer can be dropped.

A drop that failed with a witness stays refuted as the pattern weakens (the region only
grows); a drop that merely did not prove is tried again at the end, until nothing changes.

Source: Gopinath, Converse, Pasareanu, Taly 2019, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.errors import QueryError
from precond.network.evaluate import outputs, values_at
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger import Ledger
from precond.proof.prove import Stage, prove, quick_stages
from precond.proof.replay import in_region
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.signature import record

Array = NDArray[np.float64]


class Order(Enum):
    """In which order the neurons of the stopping layer are tried."""

    INDEX = "index"
    MAGNITUDE = "magnitude"
    """Smallest |pre-activation| first: the literals nearest to X."""


@dataclass(frozen=True, eq=False)
class InputPrecondition:
    """What relaxation made of one input.

    ``pattern`` is None when the full signature did not prove; ``verdict`` is then that
    claim's.  ``layer``: where whole layers stopped being free ("" if none is constrained).
    ``proofs``: claims put to the prover.  ``minimal``: every single drop at ``layer`` was
    refuted or failed to prove from the final pattern; False when time ran out before.
    """

    pattern: DecisionPattern | None
    verdict: Verdict
    layer: str
    proofs: int
    minimal: bool


def input_precondition(
    network: Network,
    point: ArrayLike,
    property: Property,
    domain: Box,
    *,
    order: Order = Order.MAGNITUDE,
    budget: float = 60.0,
    each: float = 5.0,
    stages: Sequence[Stage] | None = None,
    ledger: Ledger | None = None,
    device: str = "cpu",
) -> InputPrecondition:
    """Relax the signature of ``point`` (n,) while it implies ``property`` in ``domain``.

    ``budget``: seconds in all; ``each``: seconds for one proof.
    """
    x = np.asarray(point, dtype=np.float64).reshape(1, -1)
    if x.shape[1] != domain.size or not np.isfinite(x).all() or not domain.contains(x)[0]:
        raise QueryError(
            "input precondition",
            expected=f"an input of {domain.size} finite values inside the domain",
            got="one outside it" if x.shape[1] == domain.size else f"{x.shape[1]} values",
        )
    search = _Relaxation(
        network,
        x,
        property,
        domain,
        Deadline.after(budget),
        each,
        stages or quick_stages(device),
        ledger,
        device,
    )
    return search.run(order)


class _Relaxation:
    def __init__(
        self,
        network: Network,
        x: Array,
        property: Property,
        domain: Box,
        deadline: Deadline,
        each: float,
        stages: Sequence[Stage],
        ledger: Ledger | None,
        device: str,
    ) -> None:
        self.network = network
        self.x = x
        self.property = property
        self.domain = domain
        self.deadline = deadline
        self.each = each
        self.stages = stages
        self.ledger = ledger
        self.device = device
        self.proofs = 0
        self.witnesses = np.zeros((0, x.shape[1]))

    def run(self, order: Order) -> InputPrecondition:
        network = self.network
        signature = record(network, self.x)
        full = DecisionPattern.of_row(signature, 0)
        verdict = self._ask(full)
        if verdict.status is not Status.PROVED:
            return InputPrecondition(None, verdict, "", self.proofs, False)
        kept = list(network.decision_layers)
        pattern = full
        while kept and not self.deadline.passed:
            weaker = full.only(kept[:-1])
            answer = self._ask(weaker)
            if answer.status is not Status.PROVED:
                break
            pattern, verdict = weaker, answer
            kept.pop()
        if not kept:
            return InputPrecondition(pattern, verdict, "", self.proofs, True)
        layer = kept[-1]
        z = values_at(network, self.x, network.pre_activation(layer))[0]
        sequence = np.arange(len(z)) if order is Order.INDEX else np.argsort(np.abs(z))
        pending = [int(i) for i in sequence]
        refuted: set[int] = set()
        while True:
            changed = False
            for index in [i for i in pending if i not in refuted]:
                if self.deadline.passed:
                    return InputPrecondition(pattern, verdict, layer, self.proofs, False)
                neuron = DecisionPattern(frozenset([(layer, index)]), frozenset([(layer, index)]))
                answer = self._ask(pattern - neuron)
                if answer.status is Status.PROVED:
                    pattern, verdict, changed = pattern - neuron, answer, True
                    pending.remove(index)
                elif answer.status is Status.REFUTED:
                    refuted.add(index)
            if not changed:
                done = not self.deadline.passed  # else the last answers may have been cut short
                return InputPrecondition(pattern, verdict, layer, self.proofs, done)

    def _ask(self, pattern: DecisionPattern) -> Verdict:
        claim = Claim(self.network, self.domain, pattern, self.property)
        if len(self.witnesses) and in_region(claim.problem, self.witnesses).any():
            return Verdict(Status.REFUTED, "earlier witness")
        self.proofs += 1
        verdict = prove(
            claim,
            budget=min(self.each, self.deadline.left),
            points=self.x,
            ledger=self.ledger,
            stages=self.stages,
            device=self.device,
        )
        if verdict.witness is not None:
            self.witnesses = np.concatenate([self.witnesses, verdict.witness[None]])
        return verdict


def candidates(
    network: Network,
    inputs: Array,
    label: int,
    *,
    labels: NDArray[np.int64] | None = None,
    score: Callable[[Array], Array] | None = None,
) -> NDArray[np.int64]:
    """Rows of ``inputs`` (N, …) predicted as ``label`` (and so labelled, where labels are
    given), the surest first: largest margin over the next output, or ``score`` (N, K) → (N,).
    """
    y = outputs(network, inputs)
    chosen = y.argmax(1) == label
    if labels is not None:
        chosen &= labels == label
    rows = np.flatnonzero(chosen)
    if score is not None:
        surety = score(y[rows])
    else:
        others = np.delete(y[rows], label, axis=1)
        surety = y[rows, label] - others.max(axis=1, initial=-np.inf)
    return np.asarray(rows[np.argsort(-surety, kind="stable")], dtype=np.int64)
