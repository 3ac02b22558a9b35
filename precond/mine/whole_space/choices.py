"""Patterns over a tail's layers as choices of literals (T,), and what is known of them.

A choice keeps some of the decisions of one input, the one in the middle.  Claims about
choices, their proofs, and the violations met on the way are shared by all who search for the
same class: a violation refutes every choice that it satisfies, whatever is in the middle.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from precond.mine.violators import Violators
from precond.mine.whole_space.candidates import Flags
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.plans import whole_stages
from precond.proof.prover.prove import prove
from precond.proof.restate.fixed_neurons import without_fixed_neurons
from precond.proof.restate.restatement import ask
from precond.proof.restate.tail import Tail
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.literals import Literal, Literals, pattern_of
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

Array = NDArray[np.float64]
LONGER, LEAST = 3.0, 1.0  # times the last proof's seconds for the next, and at least so many


def patience(took: float, most: float) -> float:
    """Seconds for a proof after one that ``took`` so many; what needs far more is not worth it."""
    return min(most, max(LONGER * took, LEAST))


def allowance(left: float) -> float:
    """The seconds of a proof by the ``left`` ones: a tenth at least, and in whole tenths, so
    that a second run asks for no more than a ledger's UNKNOWN had."""
    return max(1, round(10 * left)) / 10


class Choices:
    """Of one class: ``on`` (N, T), the decisions of its inputs; ``inputs`` (N, n).

    ``points`` (k, n): violations met; ``proofs`` asked for so far, those that ``ledger`` knew
    too.
    """

    def __init__(
        self,
        tail: Tail,
        property: Property,
        signatures: Signatures,
        device: str = "cpu",
        ledger: Ledger | None = None,
    ) -> None:
        self.tail = tail
        self.property = property
        self.device = device
        self.ledger = ledger
        parts = [signatures.decisions(layer) for layer in tail.layers]
        self.on: Flags = np.concatenate(parts, axis=1)
        self.inputs: Array = signatures.values(tail.cut)
        self.names = [
            (layer, k)
            for layer, part in zip(tail.layers, parts, strict=True)
            for k in range(part.shape[1])
        ]
        self.points: Array = np.zeros((0, tail.box.size))
        self.proofs = 0

    def pattern(self, kept: Flags, phases: Flags) -> DecisionPattern:
        """The pattern of the kept literals (T,) with these phases (T,)."""
        return pattern_of(Literal(*self.names[k], bool(phases[k])) for k in np.flatnonzero(kept))

    def claim(self, kept: Flags, phases: Flags) -> Claim | None:
        """As it is asked, through the tail; None where no value of the cut is possible."""
        return self.tail.claim(self.pattern(kept, phases), self.property)

    def prove(self, kept: Flags, phases: Flags, deadline: Deadline) -> Verdict | None:
        """The verdict, None where it is vacuous; a witness is remembered."""
        claim = self.claim(kept, phases)
        if claim is None:
            return None
        self.proofs += 1
        answer = partial(
            prove,
            budget=allowance(deadline.left),
            ledger=self.ledger,
            stages=whole_stages(self.device),
            device=self.device,
        )
        verdict = ask(without_fixed_neurons(claim), answer)
        if verdict.witness is not None:
            self.remember(verdict.witness[None])
        return None if verdict.status is Status.VACUOUS else verdict

    def remember(self, points: Array) -> None:
        """Violations (k, n)."""
        self.points = np.concatenate([self.points, points])

    def violators(self, phases: Flags) -> Violators:
        """What violates, by the literals of an input with these phases."""
        every = np.ones(len(self.names), dtype=np.bool_)
        claim = Claim(self.tail.rest, self.tail.box, DecisionPattern(), property=self.property)
        literals = Literals.of(claim.network, self.pattern(every, phases))
        found = Violators(claim, literals, self.device)
        found.add(self.points)
        return found
