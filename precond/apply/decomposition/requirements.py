"""What a decomposition takes: a box, a property of outputs alone, a cut that nothing goes round."""

from __future__ import annotations

from precond.errors import QueryError
from precond.logit_property import require_kept
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.restate.tail import tail_cuts


def check_claim(claim: Claim) -> None:
    """QueryError unless the claim is a box and a property of outputs alone."""
    require_kept(claim.network, claim.property)
    if len(claim.pattern) or claim.halfspaces is not None:
        raise QueryError(
            f"decomposition of a claim about {claim.network.origin}",
            expected="a box of inputs",
            got="one with a pattern or linear constraints on inputs",
            fix="Bound each input by itself",
        )
    if any(i.inputs for clause in claim.property.clauses for i in clause):
        raise QueryError(
            f"decomposition of a claim about {claim.network.origin}",
            expected="a property of outputs alone, as the tail does not see the inputs",
            got="one that compares inputs and outputs",
            fix="'precond verify' decides such queries",
        )


def check_layer(network: Network, layer: str) -> None:
    """QueryError unless ``network`` can be cut at decision layer ``layer``."""
    possible = tail_cuts(network)
    if layer not in possible:
        kind = "a layer that cannot be cut" if layer in network.shapes else "no such layer"
        raise QueryError(
            f"layer {layer} of {network.origin}",
            expected=f"one of {', '.join(possible) or '(it cannot be cut anywhere)'}",
            got=kind,
            fix="A cut must be a plain ReLU layer that no connection goes round",
        )
