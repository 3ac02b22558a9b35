"""Proofs through a tail: from the reachable values of a layer to the property.

Cut f = g ∘ h at a decision layer: h ends with its activation, g is the rest.  Over the box
and the pattern's literals up to the cut, h's values lie in a box B that bounds prove.  If g
has the property over B and the pattern's later literals, the claim holds: the tail forgets
how the values of the layer hang together, so its region is larger.  A proof of the tail is a
proof of the claim; a witness of the tail is a value of the layer that no input may reach,
and refutes nothing.

Where a pattern fixes nearly all of a layer, few values vary in B, and the tail is decided at
once where the whole network would not be.

The cut may be the input itself: then nothing is forgotten and a witness is a real one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from precond.errors import QueryError
from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU
from precond.network.parts import cuts, tail
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.restate.restatement import Restatement, same
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

NOT_REACHED = "a counterexample of a tail is none of the network"
Reach = tuple[np.ndarray, np.ndarray] | None


@dataclass(frozen=True, eq=False)
class Tail:
    """The part of ``network`` after decision layer ``cut`` (all of it after ``INPUT``), over
    inputs in ``box``.  Bounds of the cut layer are refined until ``deadline``; later they are
    wider, and hold all the same."""

    network: Network
    box: Box
    cut: str
    deadline: Deadline = field(default=FOREVER, compare=False)

    def __post_init__(self) -> None:
        possible = (INPUT, *tail_cuts(self.network))
        if self.cut not in possible:
            raise QueryError(
                f"cut of {self.network.origin} at {self.cut}",
                expected=f"one of {', '.join(possible)}",
                got=self.cut,
            )

    @property
    def rest(self) -> Network:
        """g: its input is the cut layer's activation, (m,) or (C, H, W)."""
        return self.network if self.cut == INPUT else _rest(self.network, self.cut)

    @property
    def layers(self) -> tuple[str, ...]:
        """Decision layers of the tail, the cut first where it is one."""
        rest = self.rest.decision_layers
        return rest if self.cut == INPUT else (self.cut, *rest)

    def values(self, pattern: DecisionPattern) -> Box | None:
        """B: a box around the cut layer's activations under the literals up to the cut; None
        if there are none."""
        if self.cut == INPUT:
            return self.box
        names = self.network.decision_layers
        upto = pattern.only(names[: names.index(self.cut) + 1])
        earlier = pattern.only(names[: names.index(self.cut)])
        known = _reach(self.network, self.box, earlier, cut=self.cut, deadline=self.deadline)
        if known is None:
            return None
        low, high = known
        cut = upto.intervals(self.network).get(self.cut)
        if cut is not None:
            low, high = np.maximum(low, cut[0]), np.minimum(high, cut[1])
        if (low > high).any():
            return None
        return Box(np.maximum(low, 0.0), np.maximum(high, 0.0))

    def claim(self, pattern: DecisionPattern, property: Property) -> Claim | None:
        """What is left to show of ``pattern ⇒ property`` after the cut; None if no value of
        the cut layer has the pattern."""
        restated = self.restated(Claim(self.network, self.box, pattern, property=property))
        return None if restated is None else restated.claim

    def restated(self, claim: Claim) -> Restatement | None:
        """``claim`` asked of the rest alone; None if its region is empty.

        ``claim`` must be about this network and box, without input constraints or inequalities
        over inputs.
        """
        if self.cut == INPUT:
            return same(claim)
        if speaks_of_inputs(claim):
            raise QueryError(
                f"tail after {self.cut}",
                expected="a claim about outputs alone",
                got="one that speaks of inputs too",
            )
        values = self.values(claim.pattern)
        if values is None:
            return None
        names = self.network.decision_layers
        later = claim.pattern.only(names[names.index(self.cut) + 1 :])
        asked = Claim(self.rest, values, later, property=claim.property)
        return Restatement(original=claim, claim=asked, refutes=False, reason=NOT_REACHED)


def speaks_of_inputs(claim: Claim) -> bool:
    """Whether a claim has constraints on inputs, or compares them in its property."""
    compared = any(i.inputs for clause in claim.property.clauses for i in clause)
    return compared or claim.halfspaces is not None


def tail_cuts(network: Network) -> tuple[str, ...]:
    """Decision layers at which a claim can be cut, first to last: plain ReLUs that all later
    nodes read the input through."""
    return tuple(
        name
        for name in cuts(network)
        if name in network.decision_layers and not isinstance(network.node[name].layer, LeakyReLU)
    )


@lru_cache(maxsize=16)
def _rest(network: Network, cut: str) -> Network:
    return tail(network, cut)


@lru_cache(maxsize=64)
def _kept(_: tuple[Network, Box, DecisionPattern, str]) -> list[Reach]:
    """Where bounds that were refined to the end are kept: by network, box, pattern and cut."""
    return []


def _reach(
    network: Network, box: Box, pattern: DecisionPattern, cut: str, deadline: Deadline
) -> Reach:
    """Rigorous bounds of the cut layer's pre-activations; None if it has no values."""
    kept = _kept((network, box, pattern, cut))
    if kept:
        return kept[0]
    found = _bounds(network, box, pattern, cut=cut, deadline=deadline)
    if not deadline.passed:
        kept.append(found)
    return found


def _bounds(
    network: Network, box: Box, pattern: DecisionPattern, cut: str, deadline: Deadline
) -> Reach:
    problem = Problem(network, box, pattern.intervals(network), conjuncts=())
    refined = region_of(problem, deadline=deadline)
    if bool(refined.empty[0]):
        return None
    return layer_bounds(refined)[cut]
