"""How rules relate: implies, overlaps, equivalent, contradicts, complete; exactly.

A rule's region is its box cut by its pattern, read as on data: on is z > 0, off is z ≤ 0.
Questions are about all real inputs of the network, not about the literals alone, so that
two rules over different layers may imply each other.  What is answered with an input gives
it as fractions, and that input has been evaluated exactly.

    implies(a, b)      region a ⊆ region b                else an input of a that is not in b
    overlaps(a, b)     some input is in both              and which
    equivalent(a, b)   region a = region b                else an input of just one
    contradicts(a, b)  they overlap, and no output could have both properties
    complete(rules)    every input of a box is in some region, else one that is in none

Cheap answers come first: literals alone, then sampled inputs, then layer bounds, then z3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction

import numpy as np

from precond.errors import QueryError
from precond.network.evaluate import iterate
from precond.network.graph import Network
from precond.network.rational import rational_values
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.z3.logic import Undecided, common_output, common_point
from precond.proof.precondition import Precondition
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

Point = tuple[Fraction, ...]
SAMPLES = 512


class Truth(Enum):
    """An answer; UNKNOWN only for lack of time."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class RuleAnswer:
    """``point``: the input that shows it, where one does."""

    truth: Truth
    point: Point | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class BoxedRule:
    """``pattern`` in ``box`` implies ``property`` (None where only the region matters)."""

    box: Box
    pattern: DecisionPattern
    property: Property | None = None


def rule_of(entry: Precondition, domain: Box) -> BoxedRule:
    """The rule of a precondition; ``domain`` is the file's, used where it has none of its own."""
    return BoxedRule(entry.domain or domain, entry.pattern, entry.property)


def implies(network: Network, a: BoxedRule, b: BoxedRule, *, budget: float = 10.0) -> RuleAnswer:
    """Whether every input of ``a``'s region is in ``b``'s."""
    _check(network, a, b)
    if b.box.includes(a.box) and a.pattern.implies(b.pattern):
        return RuleAnswer(Truth.YES, reason="by the literals alone")
    return _denied(_search(network, a.box, [a], outside=[b], deadline=Deadline.after(budget)))


def overlaps(network: Network, a: BoxedRule, b: BoxedRule, *, budget: float = 10.0) -> RuleAnswer:
    """Whether some input is in both regions."""
    _check(network, a, b)
    box = _meet(a.box, b.box)
    if box is None:
        return RuleAnswer(Truth.NO, reason="the boxes have nothing in common")
    return _search(network, box, [a, b], outside=[], deadline=Deadline.after(budget))


def equivalent(network: Network, a: BoxedRule, b: BoxedRule, *, budget: float = 10.0) -> RuleAnswer:
    """Whether the regions are the same set of inputs."""
    deadline = Deadline.after(budget)
    there = implies(network, a, b, budget=deadline.left / 2)
    if there.truth is Truth.NO:
        return there
    back = implies(network, b, a, budget=deadline.left)
    return there if back.truth is Truth.YES else back


def contradicts(
    network: Network, a: BoxedRule, b: BoxedRule, *, budget: float = 10.0
) -> RuleAnswer:
    """Whether some input is in both regions while no output could have both properties.

    Then at least one of the two rules is false there.  QueryError where a rule has no property.
    """
    if a.property is None or b.property is None:
        raise QueryError("contradiction of rules", expected="two properties", got="a rule without")
    deadline = Deadline.after(budget)
    try:
        both = common_output(
            (a.property, b.property), network.output_size, network.input_size, deadline=deadline
        )
    except Undecided as error:
        return RuleAnswer(Truth.UNKNOWN, reason=str(error))
    if both is not None:
        return RuleAnswer(Truth.NO, reason="an output can have both properties")
    return overlaps(network, a, b, budget=deadline.left)


def complete(
    network: Network, rules: Sequence[BoxedRule], box: Box, *, budget: float = 10.0
) -> RuleAnswer:
    """Whether every input of ``box`` is in the region of some rule."""
    _check(network, *rules, everything := BoxedRule(box, DecisionPattern()))
    near = [rule for rule in rules if _meet(rule.box, box) is not None]
    return _denied(
        _search(network, box, [everything], outside=near, deadline=Deadline.after(budget))
    )


def _check(network: Network, *rules: BoxedRule) -> None:
    for rule in rules:
        rule.pattern.check(network)
        if rule.box.size != network.input_size:
            raise QueryError(
                "box of a rule", expected=f"{network.input_size} inputs", got=str(rule.box.size)
            )


def _denied(found: RuleAnswer) -> RuleAnswer:
    """The answer to a question that ``found`` would be a counterexample to."""
    flipped = {Truth.YES: Truth.NO, Truth.NO: Truth.YES, Truth.UNKNOWN: Truth.UNKNOWN}
    return replace(found, truth=flipped[found.truth])


def _search(
    network: Network,
    box: Box,
    inside: Sequence[BoxedRule],
    outside: Sequence[BoxedRule],
    deadline: Deadline,
) -> RuleAnswer:
    """Whether some input of ``box`` is in all regions of ``inside`` and none of ``outside``."""
    together = DecisionPattern()
    for rule in inside:
        together &= rule.pattern
    if together.is_contradictory:
        return RuleAnswer(Truth.NO, reason="two literals exclude each other")
    sampled = _sampled(network, box, inside, outside=outside)
    if sampled is not None:
        return RuleAnswer(Truth.YES, sampled, "a sampled input")
    part = _part(network, {layer for r in (*inside, *outside) for layer in r.pattern.layers})
    known = part.decision_layers
    problem = Problem(part, box, together.only(known).intervals(part), conjuncts=())
    refined = region_of(problem, deadline=deadline)
    if bool(refined.empty[0]):
        return RuleAnswer(Truth.NO, reason="layer bounds leave nothing")
    problem = replace(problem, bounds=layer_bounds(refined))
    try:
        point = common_point(
            network,
            problem,
            [(rule.box, rule.pattern) for rule in inside],
            outside=[(rule.box, rule.pattern) for rule in outside],
            deadline=deadline,
        )
    except Undecided as error:
        return RuleAnswer(Truth.UNKNOWN, reason=str(error))
    if point is None:
        return RuleAnswer(Truth.NO, reason="z3")
    if not _is_such(network, point, inside, outside=outside):
        return RuleAnswer(Truth.UNKNOWN, reason="z3 gave an input that does not check")
    return RuleAnswer(Truth.YES, point, "z3")


def _meet(a: Box, b: Box) -> Box | None:
    """The common box, if there is one."""
    low, high = np.maximum(a.lower, b.lower), np.minimum(a.upper, b.upper)
    return Box(low, high) if (low <= high).all() else None


def _part(network: Network, layers: set[str]) -> Network:
    """The nodes that decide ``layers``; at least one node."""
    needed: set[str] = set()
    for layer in layers:
        source = network.pre_activation(layer)
        needed |= {source, *network.ancestors[source]}
    nodes = tuple(node for node in network.nodes if node.name in needed)
    return Network(nodes or network.nodes[:1], network.input_shape, network.origin)


def _sampled(
    network: Network, box: Box, inside: Sequence[BoxedRule], outside: Sequence[BoxedRule]
) -> Point | None:
    """A random input, judged in float64 and then exactly."""
    points = np.concatenate(
        [box.sample(SAMPLES, np.random.default_rng(0)), [(box.lower + box.upper) / 2]]
    )
    layers = sorted({layer for rule in (*inside, *outside) for layer in rule.pattern.layers})
    sources = {layer: network.pre_activation(layer) for layer in layers}
    z: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    if layers:
        for _, found in iterate(network, points, sorted(set(sources.values()))):
            for layer, source in sources.items():
                z[layer].append(found[source].flatten(1).cpu().numpy())
    values = {layer: np.concatenate(parts) for layer, parts in z.items()}

    def member(rule: BoxedRule) -> np.ndarray:
        result = rule.box.contains(points)
        for layer, index, limit, above in _literals(rule.pattern):
            column = values[layer][:, index]
            result &= column > limit if above else column <= limit
        return result

    such = np.ones(len(points), dtype=np.bool_)
    for rule in inside:
        such &= member(rule)
    for rule in outside:
        such &= ~member(rule)
    for row in np.flatnonzero(such)[:5]:
        point = tuple(Fraction(float(v)) for v in points[row])
        if _is_such(network, point, inside, outside=outside):
            return point
    return None


def _literals(pattern: DecisionPattern) -> list[tuple[str, int, float, bool]]:
    """(layer, index, limit, above) of every literal."""
    return [
        *((layer, i, 0.0, True) for layer, i in sorted(pattern.on)),
        *((layer, i, 0.0, False) for layer, i in sorted(pattern.off)),
        *((layer, i, t, True) for layer, i, t in sorted(pattern.above)),
        *((layer, i, t, False) for layer, i, t in sorted(pattern.below)),
    ]


def _is_such(
    network: Network, point: Point, inside: Sequence[BoxedRule], outside: Sequence[BoxedRule]
) -> bool:
    """Whether an input is in all regions of ``inside`` and none of ``outside``, exactly."""
    layers = {layer for rule in (*inside, *outside) for layer in rule.pattern.layers}
    wanted = {network.pre_activation(layer) for layer in layers}
    values = rational_values(network, point, wanted)

    def member(rule: BoxedRule) -> bool:
        low, high = rule.box.lower, rule.box.upper
        if any(
            not Fraction(float(a)) <= x <= Fraction(float(b))
            for a, x, b in zip(low, point, high, strict=True)
        ):
            return False
        return all(
            (values[network.pre_activation(layer)][index] > Fraction(limit)) == above
            for layer, index, limit, above in _literals(rule.pattern)
        )

    return all(map(member, inside)) and not any(map(member, outside))
