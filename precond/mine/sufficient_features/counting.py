"""A lower bound on every sufficient set, from a few proved inequalities about all of them.

Let d be a direction: where every feature goes when it is free.  For z in [0, 1]^m, one number a
unit, let x + d z be the input whose units have gone the share z of their way.  Take weights a ≥ 0
and a limit b.  If *every* z with a·z ≥ b gives an input without the property, then so do the 0/1
vectors z of sets of units, and each set that can be free has a·z < b.  That is a claim over a box
cut by a half-space, about the network behind the map z ↦ x + d z; ``prove`` answers it.

The weights are what each unit takes from one rival's margin, so that the claim is nearly tight.
Claims about several rivals, and about the sets that the others leave, together bound how many
units can be free: the linear program max Σ z over them, of which any multipliers λ ≥ 0 give a
bound, Σ λ b + Σ_i max(0, 1 − (λ a)_i), here summed up in rationals.  Only sets larger than the
one known matter, so Σ z ≥ (its size + 1) and the inequalities proved so far are among the
assumptions of every claim.

A hitting set of violators cannot do this cheaply: where many features take a little each, the
violators that exclude all sets of a size are too many to be listed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

from precond.mine.sufficient_features.asking import Inquiry
from precond.mine.sufficient_features.corners import Corners, against, worst_corners
from precond.mine.sufficient_features.question import Array, FeatureQuestion
from precond.mine.sufficient_features.units import Flags
from precond.network.graph import INPUT, Network
from precond.network.layers import Node, Scale, Select
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.verdict import Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

LIMITS = (1.02, 1.1, 1.4)  # of the room, to be tried in turn
BETWEEN = (0.3, 0.75)  # the room and what the place of the linear program takes
ROUNDS = 40
STEPS = (
    0.0,
    0.03,
    0.07,
    0.12,
    0.18,
    0.26,
    0.4,
)  # of the kept units, above the number that is known
TOGETHER = 3  # rows tried in a round
SLIGHT = 1e-3  # share of the prices, below which a rival takes no part
DIGITS = 2.0**20  # weights are rounded to so many parts of the largest


@dataclass(frozen=True, eq=False)
class ProvedCut:
    """Every set of free units z, larger than the known one, has ``weights``·z ≤ ``limit``:
    ``verdict`` on ``claim``."""

    weights: Array
    limit: float
    claim: Claim
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Counting:
    """At most ``most`` units can be free, by ``cuts``."""

    most: int
    cuts: tuple[ProvedCut, ...]


def counting_bound(inquiry: Inquiry, free: Flags) -> Counting:
    """The best bound found; ``free`` (m,) is the proved set that it is about.

    First the number of units and the weights of the rows that limit the known set; then, round
    after round, weights that exclude the best place of the linear program.
    """
    known, count = int(free.sum()), len(free)
    corners = worst_corners(inquiry.question, free)
    cuts: list[ProvedCut] = []
    rows = _limiting(corners)[:TOGETHER]
    for row in rows[:1]:
        cuts += _tightest(
            inquiry,
            corners,
            row,
            weights=np.ones(count),
            limits=_numbers(known, count),
            cuts=cuts,
            known=known,
        )
        if cuts and cuts[-1].limit <= known:
            return Counting(known, tuple(cuts))
    for row in rows:
        weights, room = _scaled(corners, row)
        limits = [share * room for share in LIMITS if room > 0]
        cuts += _tightest(
            inquiry, corners, row, weights=weights, limits=limits, cuts=cuts, known=known
        )
    most, place = _most(cuts, count)
    for _ in range(ROUNDS):
        if inquiry.deadline.passed or most <= known:
            break
        corners = worst_corners(inquiry.question, place > 0.5)
        fresh: list[ProvedCut] = []
        for row in np.argsort(corners.margin, kind="stable")[:TOGETHER].tolist():
            weights, room = _scaled(corners, row)
            gone = float(weights @ place)
            limits = [room + share * (gone - room) for share in BETWEEN if 0 < room < gone]
            fresh += _tightest(
                inquiry,
                corners,
                row,
                weights=weights,
                limits=limits,
                cuts=[*cuts, *fresh],
                known=known,
            )
        if not fresh:
            break
        cuts += fresh
        most, place = _most(cuts, count)
    return Counting(max(most, known), tuple(cuts))


def _numbers(known: int, count: int) -> list[float]:
    """Numbers of units to be tried, from the first that is not known to be free."""
    steps = (known + 1 + round(step * (count - known)) for step in STEPS)
    return list(dict.fromkeys(float(number) for number in steps if number <= count))


def _scaled(corners: Corners, row: int) -> tuple[Array, float]:
    """One row's costs as shares of the largest, and its room in the same measure."""
    top = float(corners.cost[row].max(initial=0.0))
    if top <= 0:
        return np.zeros(corners.cost.shape[1]), 0.0
    return np.round(corners.cost[row] / top * DIGITS) / DIGITS, float(corners.room[row] / top)


def _tightest(
    inquiry: Inquiry,
    corners: Corners,
    row: int,
    weights: Array,
    limits: list[float],
    cuts: list[ProvedCut],
    known: int,
) -> list[ProvedCut]:
    """The cut with the first of the growing ``limits`` that is proved, if one is."""
    for limit in limits:
        if inquiry.deadline.passed or limit > weights.sum():
            break
        cut = _proved(inquiry, corners, row, weights=weights, limit=limit, cuts=cuts, known=known)
        if cut is not None:
            return [cut]
    return []


def _proved(
    inquiry: Inquiry,
    corners: Corners,
    row: int,
    weights: Array,
    limit: float,
    cuts: list[ProvedCut],
    known: int,
) -> ProvedCut | None:
    """The cut, if the prover says so."""
    question = inquiry.question
    direction = against(question, corners.slope[row]) - question.x
    claim = cut_claim(
        question, direction, row, weights=weights, limit=limit, cuts=cuts, known=known
    )
    verdict = inquiry.put(claim, inquiry.deadline.earlier(inquiry.each))
    if not verdict.is_proved:
        return None
    if (weights == 1).all() and limit == round(limit):
        limit -= 1  # a whole number below it
    return ProvedCut(weights, limit, claim, verdict=verdict)


def cut_claim(
    question: FeatureQuestion,
    direction: Array,
    row: int,
    weights: Array,
    limit: float,
    *,
    cuts: list[ProvedCut],
    known: int,
) -> Claim:
    """For all z in [0, 1]^m with ``weights``·z ≥ ``limit``, with more than ``known`` units and
    within ``cuts``: the inequality of ``row`` fails at x + direction z."""
    count = question.units.count
    (inequality,) = question.property.negation()[row]
    rows = [-weights, -np.ones(count), *(cut.weights for cut in cuts)]
    bounds = [-limit, -float(known + 1), *(cut.limit for cut in cuts)]
    return Claim(
        _moved(question, _inside(question, direction)),
        Box.uniform(count, 0.0, 1.0),
        DecisionPattern(),
        property=Property(((inequality,),), f"fails: {inequality}"),
        halfspaces=HalfSpaces(np.stack(rows), np.array(bounds)),
    )


def _moved(question: FeatureQuestion, direction: Array) -> Network:
    """z (m,) ↦ the outputs at x + direction z."""
    network, shape = question.network, question.network.input_shape
    nodes = [
        Node("z", Select(question.units.owner, shape), (INPUT,)),
        Node("moved", Scale(direction.reshape(shape), question.x.reshape(shape)), ("z",)),
    ]
    for node in network.nodes:
        sources = tuple("moved" if s == INPUT else f"of.{s}" for s in node.inputs)
        nodes.append(Node(f"of.{node.name}", node.layer, sources))
    return Network(tuple(nodes), (question.units.count,), f"{network.origin}, moved")


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


def _limiting(corners: Corners) -> list[int]:
    """The rows that limit the largest set, those first that limit it most."""
    share = corners.cost / np.maximum(corners.room, 1e-9)[:, None]
    solved = linprog(-np.ones(share.shape[1]), A_ub=share, b_ub=np.ones(len(share)), bounds=(0, 1))
    if solved.x is None:
        return []
    prices = -solved.ineqlin.marginals
    order = np.argsort(-prices, kind="stable")
    return [int(r) for r in order if prices[r] > SLIGHT * max(prices.sum(), 1e-300)]


def _most(cuts: list[ProvedCut], count: int) -> tuple[int, Array]:
    """How many units can be free at most, and the best place of the linear program."""
    if not cuts:
        return count, np.ones(count)
    weights = np.stack([cut.weights for cut in cuts])
    limits = np.array([cut.limit for cut in cuts])
    solved = linprog(-np.ones(count), A_ub=weights, b_ub=limits, bounds=(0, 1))
    if solved.x is None:
        return count, np.zeros(count)
    prices = [Fraction(float(max(-v, 0.0))) for v in solved.ineqlin.marginals]
    total = sum((p * Fraction(cut.limit) for p, cut in zip(prices, cuts, strict=True)), Fraction(0))
    used = [(p, cut.weights) for p, cut in zip(prices, cuts, strict=True) if p]
    for unit in range(count):
        spent = sum((p * Fraction(float(w[unit])) for p, w in used), Fraction(0))
        total += max(Fraction(0), 1 - spent)
    return math.floor(total), np.asarray(solved.x)
