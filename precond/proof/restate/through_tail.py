"""Claims whose pattern fixes most of a layer, or bounds values of the last layer that can be cut
at, asked through the tail after that layer first.

Such a pattern leaves few values of the layer to vary, so its tail is decided at once where the
whole network would not be (``tail``).  A proof of the tail proves the claim; whatever else the
tail says is no answer, and the claim is then asked of the whole network.
"""

from __future__ import annotations

from functools import partial

from precond.proof.claim import Claim
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.restate.fixed_neurons import without_fixed_neurons
from precond.proof.restate.restatement import Restatement
from precond.proof.restate.tail import Tail, speaks_of_inputs, tail_cuts

FIXED = 0.8  # share of a layer's neurons the pattern must have off
SHARE = 0.7  # of the budget that the tail may take


def cut_of(claim: Claim) -> str | None:
    """The first layer that ``claim``'s pattern turns off nearly whole, or else the last cut where
    the pattern has values there and nothing elsewhere; None where there is no such layer, or the
    claim speaks of inputs too."""
    if speaks_of_inputs(claim):
        return None
    network, off = claim.network, [layer for layer, _ in claim.pattern.off]
    cuts = tail_cuts(network)
    fixed = next((cut for cut in cuts if off.count(cut) >= FIXED * network.width(cut)), None)
    if fixed is None and (claim.pattern.above or claim.pattern.below):
        last = cuts[-1:]
        return next((cut for cut in last if claim.pattern.layers == (cut,)), None)
    return fixed


def through_tail(claim: Claim, cut: str, deadline: Deadline = FOREVER) -> Restatement | None:
    """The claim asked of the layers after ``cut``, without the neurons that are fixed there;
    None where no value of that layer has the pattern."""
    restated = Tail(claim.network, claim.box, cut, deadline=deadline).restated(claim)
    if restated is None:
        return None
    return restated.then(partial(without_fixed_neurons, deadline=deadline))
