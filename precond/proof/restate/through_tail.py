"""Claims whose pattern fixes most of a layer, asked through the tail after that layer first.

Such a pattern leaves few values of the layer to vary, so its tail is decided at once where the
whole network would not be (``tail``).  A proof of the tail proves the claim; whatever else the
tail says is no answer, and the claim is then asked of the whole network.
"""

from __future__ import annotations

from precond.proof.bounds.region import FOREVER
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.restate.fixed_neurons import reduced
from precond.proof.restate.tail import Tail, tail_cuts

FIXED = 0.8  # share of a layer's neurons the pattern must have off
SHARE = 0.7  # of the budget that the tail may take


def tail_claim(claim: Claim, deadline: Deadline = FOREVER) -> tuple[str, Claim] | None:
    """The first layer that ``claim``'s pattern turns off nearly whole, and what is left to show
    after it; None where there is no such layer, or the claim speaks of inputs too, or no value
    of the layer has the pattern."""
    pattern = claim.pattern
    if claim.halfspaces is not None or any(
        inequality.inputs for clause in claim.property.clauses for inequality in clause
    ):
        return None
    for cut in tail_cuts(claim.network):
        off = sum(layer == cut for layer, _ in pattern.off)
        if off < FIXED * claim.network.width(cut):
            continue
        asked = Tail(claim.network, claim.box, cut, deadline).claim(claim)
        return None if asked is None else (cut, reduced(asked, deadline).claim)
    return None
