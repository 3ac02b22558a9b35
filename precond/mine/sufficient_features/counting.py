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
from dataclasses import dataclass, replace
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
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

LIMITS = (1.01, 1.05, 1.15, 1.4)  # of the room, to be tried in turn
ROUNDS = 4
STEPS = (0.0, 0.04, 0.1, 0.2, 0.4)  # of the kept units, above the number that is known
HALVINGS = 2
TOGETHER = 3  # rows tried in a round
SLIGHT = 1e-3  # share of the prices, below which a rival takes no part
DIGITS = 2.0**20  # weights are rounded to so many parts of the largest


@dataclass(frozen=True, eq=False)
class Cut:
    """Every set of free units z, larger than the known one, has ``weights``·z ≤ ``limit``:
    ``verdict`` on ``claim``."""

    weights: Array
    limit: float
    claim: Claim
    verdict: Verdict

    @property
    def plain(self) -> bool:
        """Whether every unit counts the same."""
        return bool((self.weights == 1).all())


@dataclass(frozen=True, eq=False)
class Counting:
    """At most ``most`` units can be free, by ``cuts``."""

    most: int
    cuts: tuple[Cut, ...]


def counting_bound(inquiry: Inquiry, free: Flags) -> Counting:
    """The best bound found; ``free`` (m,) is the proved set that it is about."""
    known, count = int(free.sum()), len(free)
    cuts: list[Cut] = []
    best = Counting(count, ())
    candidate = free
    for round_ in range(ROUNDS):
        corners = worst_corners(inquiry.question, candidate)
        before = len(cuts)
        for row in _limiting(corners, cuts)[:TOGETHER]:
            cuts += _plain_cuts(inquiry, corners, row, cuts, known) if not round_ else []
            if cuts and cuts[-1].limit == known and cuts[-1].plain:
                return Counting(known, tuple(cuts))
        for row in _limiting(corners, cuts)[:TOGETHER]:
            cuts += _weighted_cuts(inquiry, corners, row, cuts, known)
        if len(cuts) == before or inquiry.deadline.passed:
            break
        most, place = _most(cuts, count)
        best = min(best, Counting(max(most, known), tuple(cuts)), key=lambda one: one.most)
        candidate = place > 1 - 1e-6
        if best.most <= known:
            break
    if cuts:
        most, _ = _most(cuts, count)
        best = min(best, Counting(max(most, known), tuple(cuts)), key=lambda one: one.most)
    return best


def _plain_cuts(
    inquiry: Inquiry, corners: Corners, row: int, cuts: list[Cut], known: int
) -> list[Cut]:
    """The best bound of the number of units that one row's direction gives."""
    count = inquiry.question.units.count
    ones = np.ones(count)
    low, high = known, min([count + 1, *(int(cut.limit) + 1 for cut in cuts if cut.plain)])
    found: list[Cut] = []
    for step in STEPS:
        tried = known + 1 + round(step * (count - known))
        if low < tried < high and not inquiry.deadline.passed:
            cut = _proved(inquiry, corners, row, ones, float(tried), cuts, known)
            if cut is not None:
                found, high = [replace(cut, limit=float(tried - 1))], tried
                break
            low = tried
    for _ in range(HALVINGS):
        tried = (low + high) // 2
        if not found or tried in (low, high) or inquiry.deadline.passed:
            break
        cut = _proved(inquiry, corners, row, ones, float(tried), cuts, known)
        if cut is None:
            low = tried
        else:
            found, high = [replace(cut, limit=float(tried - 1))], tried
    return found


def _weighted_cuts(
    inquiry: Inquiry, corners: Corners, row: int, cuts: list[Cut], known: int
) -> list[Cut]:
    """The tightest inequality that was proved of one row's margin, of those tried."""
    top = corners.cost[row].max()
    if corners.room[row] <= 0 or top <= 0:
        return []
    weights = np.round(corners.cost[row] / top * DIGITS) / DIGITS
    room = float(corners.room[row] / top)
    for share in LIMITS:
        if inquiry.deadline.passed or share * room > weights.sum():
            break
        cut = _proved(inquiry, corners, row, weights, share * room, cuts, known)
        if cut is not None:
            return [cut]
    return []


def _proved(
    inquiry: Inquiry,
    corners: Corners,
    row: int,
    weights: Array,
    limit: float,
    cuts: list[Cut],
    known: int,
) -> Cut | None:
    """The cut, if the prover says so."""
    question = inquiry.question
    direction = against(question, corners.slope[row]) - question.x
    claim = cut_claim(question, direction, row, weights, limit, cuts=cuts, known=known)
    verdict = inquiry.put(claim, inquiry.deadline.earlier(inquiry.each))
    shown = verdict.status in (Status.PROVED, Status.VACUOUS)
    return Cut(weights, limit, claim, verdict) if shown else None


def cut_claim(
    question: FeatureQuestion,
    direction: Array,
    row: int,
    weights: Array,
    limit: float,
    *,
    cuts: list[Cut],
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
        Property(((inequality,),), f"fails: {inequality}"),
        HalfSpaces(np.stack(rows), np.array(bounds)),
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


def _limiting(corners: Corners, cuts: list[Cut]) -> list[int]:
    """The rows that limit the set most, besides ``cuts``."""
    scale = np.maximum(corners.room, 1e-9)
    shares = [corners.cost / scale[:, None], *(cut.weights[None] / cut.limit for cut in cuts)]
    share = np.concatenate(shares)
    solved = linprog(-np.ones(share.shape[1]), A_ub=share, b_ub=np.ones(len(share)), bounds=(0, 1))
    if solved.x is None:
        return []
    prices = -solved.ineqlin.marginals[: len(corners.room)]
    order = np.argsort(-prices, kind="stable")
    return [int(r) for r in order if prices[r] > SLIGHT * max(prices.sum(), 1e-300)]


def _most(cuts: list[Cut], count: int) -> tuple[int, Array]:
    """How many units can be free at most, and the best place of the linear program."""
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
