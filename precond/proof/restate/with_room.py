"""A claim whose counterexamples lie inside another's, with room to every side.

A counterexample on the very edge of a rounded claim may be none of the exact one, and one that
floats evaluate to a tie may not replay; one with room is not in doubt.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from precond.proof.claim import Claim, HalfSpaces
from precond.proof.restate.restatement import Restatement


def with_room(claim: Claim, margin: float) -> Restatement:
    """The claim with every way to violate it, and every side of its region but the box, moved
    inward by ``margin``: its counterexamples are some of the claim's, away from the edge, and
    its proof proves nothing."""

    def inward(value: float) -> float:
        return margin * max(1.0, abs(value))

    half, pattern = claim.halfspaces, claim.pattern
    if half is not None:
        half = HalfSpaces(half.matrix, half.bound - margin * np.maximum(1.0, np.abs(half.bound)))
    asked = replace(
        claim,
        property=claim.property.relaxed(margin),
        pattern=replace(
            pattern,
            above=frozenset((layer, i, t + inward(t)) for layer, i, t in pattern.above),
            below=frozenset((layer, i, t - inward(t)) for layer, i, t in pattern.below),
        ),
        halfspaces=half,
    )
    return Restatement(original=claim, claim=asked, proves=False)
