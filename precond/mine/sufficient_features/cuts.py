"""The claim that every large set of free units has a violator: one inequality about all sets.

Let d be a direction: where every feature goes when it is free.  For z in [0, 1]^m, one number a
unit, let x + d z be the input whose units have gone the share z of their way.  A *way* is such a
direction and a row, an inequality that says what a violator is: g(x + d z) ≥ 0.  Several ways
are mixed with shares λ ≥ 0.  If *every* z with Σ z ≥ s has Σ λ g(x + d z) ≥ 0, then some way has
g(x + d z) ≥ 0: so do the 0/1 vectors z of sets of units, and no set of s units or more can be
free.  That is a claim over a box cut by a half-space, about copies of the network behind the maps
z ↦ x + d z; ``prove`` answers it.

Mixing is what several rivals need, of whom each set is stopped by another one, and a rival
whose worst corner lies elsewhere for other sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from precond.mine.sufficient_features.question import Array, FeatureQuestion
from precond.network.graph import INPUT, Network
from precond.network.layers import Concat, Node, Reshape, Scale, Select
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.verdict import Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern


@dataclass(frozen=True, eq=False)
class Way:
    """Along ``direction`` (n,) to where the inequality of ``row`` holds; ``share`` λ > 0."""

    direction: Array
    row: int
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class ProvedCut:
    """Every set of ``size`` free units or more has a violator: ``verdict`` on ``claim``."""

    size: int
    claim: Claim
    verdict: Verdict


def cut_claim(question: FeatureQuestion, ways: Sequence[Way], size: int) -> Claim | None:
    """For all z in [0, 1]^m of ``size`` units or more: the mixed inequality of ``ways`` holds.
    None where no float is its factor."""
    count = question.units.count
    inequality = _mixed(question, ways)
    if inequality is None:
        return None
    return Claim(
        _moved(question, ways),
        Box.uniform(count, 0.0, 1.0),
        DecisionPattern(),
        property=Property(((inequality,),), f"fails: {inequality}"),
        halfspaces=HalfSpaces(-np.ones((1, count)), np.array([-float(size)])),
    )


def _mixed(question: FeatureQuestion, ways: Sequence[Way]) -> Inequality | None:
    """Σ λ (g ≥ 0) over the outputs of all copies, in exact arithmetic."""
    terms, bound, strict = {}, Fraction(0), False
    for k, way in enumerate(ways):
        (own,) = question.property.negation()[way.row]
        if own.inputs:  # of z nothing is known but where it leads
            return None
        share = Fraction(way.share)
        for index, factor in own.outputs:
            terms[k * question.network.output_size + index] = share * Fraction(factor)
        bound += share * Fraction(own.bound)
        strict = strict or own.strict
    numbers = [*terms.values(), bound]
    if any(Fraction(float(number)) != number for number in numbers):
        return None
    return Inequality(tuple((i, float(v)) for i, v in terms.items()), float(bound), strict=strict)


def _moved(question: FeatureQuestion, ways: Sequence[Way]) -> Network:
    """z (m,) ↦ the outputs at x + d z for the direction d of each way."""
    network, units = question.network, question.units
    nodes = [Node("z", Select(units.owner, network.input_shape), (INPUT,))]
    ends: list[str] = []
    for k, way in enumerate(ways):
        move = _inside(question, way.direction).reshape(network.input_shape)
        point = question.x.reshape(network.input_shape)
        nodes.append(Node(f"{k}.moved", Scale(move, point), ("z",)))
        for node in network.nodes:
            sources = tuple(f"{k}.moved" if s == INPUT else f"{k}.{s}" for s in node.inputs)
            nodes.append(Node(f"{k}.{node.name}", node.layer, sources))
        nodes.append(Node(f"{k}.flat", Reshape((network.output_size,)), (f"{k}.{network.output}",)))
        ends.append(f"{k}.flat")
    nodes.append(Node("all", Concat(0), tuple(ends)))
    return Network(tuple(nodes), (units.count,), f"{network.origin}, moved")


def _inside(question: FeatureQuestion, way: Array) -> Array:
    """``way`` (n,) made so little shorter that x + way lies in the domain in exact arithmetic."""
    result = way.copy()
    lower, upper = question.reach.lower, question.reach.upper
    for i in np.flatnonzero(way).tolist():
        end = Fraction(float(upper[i] if way[i] > 0 else lower[i]))
        room = abs(end - Fraction(float(question.x[i])))
        while abs(Fraction(float(result[i]))) > room:
            result[i] = np.nextafter(result[i], 0.0)
    return result
