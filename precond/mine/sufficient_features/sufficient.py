"""``sufficient_features``: the features of one input that suffice for what a network says of it.

Features of the set S stay as they are, all others move within ``reach``: the answer cannot
change.  The set found is minimal as far as proofs go, has a verdict with its certificate, and
comes with a proved lower bound on every set that suffices.

Sources: Ignatiev, Narodytska, Marques-Silva 2019 (abductive explanations); Wu, Wu, Barrett 2023
(VeriX).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from precond.basics.arguments import number, numbers, require_kind
from precond.basics.options import option
from precond.errors import QueryError
from precond.mine.sufficient_features.asking import Inquiry
from precond.mine.sufficient_features.budgeted import weight
from precond.mine.sufficient_features.changes import Changes
from precond.mine.sufficient_features.contrast import ContrastiveSet, contrastive_set
from precond.mine.sufficient_features.corners import worst_corners
from precond.mine.sufficient_features.counting import Counting, counting_bound
from precond.mine.sufficient_features.freeing import freed_by_bounds, freed_by_proof
from precond.mine.sufficient_features.hitting import hitting_bound
from precond.mine.sufficient_features.minimal import Minimised, minimised
from precond.mine.sufficient_features.question import Array, FeatureQuestion
from precond.mine.sufficient_features.units import Units
from precond.mine.sufficient_features.widen import Widened, widened
from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.effort import Effort
from precond.proof.ledger.ledger import Ledger
from precond.proof.verdict import Verdict
from precond.property import Property
from precond.region.box import Box

# Shares of the time that is left then; what the rest leaves is for counting.
BOUNDS, PROOF, SINGLE, HITTING, FINAL = 0.15, 0.4, 0.35, 0.4, 0.3


@dataclass(frozen=True, kw_only=True)
class SufficientSettings(Effort):
    """``within`` t: the outputs stay within ± t of those at the point (regression); without it the
    class stays.  ``contrast``: also look for few units whose change makes the network say this
    class.  ``exact``: the verdict on the set comes with a checked certificate.  ``lower``: whether
    time is spent on how small a set could be; ``intervals``: on intervals for kept features."""

    each: float = option(3.0, "seconds for one proof", metavar="SECONDS")
    within: float | None = None
    contrast: int | None = None
    exact: bool = True
    lower: bool = True
    intervals: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class SufficientFeatures:
    """``kept``: the units of S, those that matter most first.  ``verdict`` on ``claim``, the box
    in which they are fixed.  ``needed``: why each is kept (``Minimised``).  ``least``: every
    sufficient set keeps as many units, at least; ``counting`` is the proof, where it is one.
    ``widened``: the box with intervals for kept features.  ``proofs``: put to the prover."""

    question: FeatureQuestion
    kept: tuple[int, ...]
    claim: Claim
    verdict: Verdict
    needed: Minimised
    least: int
    counting: Counting | None
    widened: Widened | None
    contrast: ContrastiveSet | None
    proofs: int
    seconds: float

    @property
    def size(self) -> int:
        return len(self.kept)

    @property
    def is_smallest(self) -> bool:
        """Whether no sufficient set is smaller."""
        return self.verdict.is_proved and self.size <= self.least

    @property
    def gap(self) -> float:
        """How much smaller a sufficient set could be, as a share of this one."""
        return 0.0 if not self.size else max(0.0, 1 - self.least / self.size)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the kept units, those that matter most first."""
        return tuple(self.question.units.names[unit] for unit in self.kept)


def sufficient_features(
    network: Network,
    point: ArrayLike,
    reach: Box,
    *,
    units: Units | None = None,
    settings: SufficientSettings | None = None,
    ledger: Ledger | None = None,
    known: ArrayLike | None = None,
) -> SufficientFeatures:
    """The features of ``point`` (n,) that suffice while the others move within ``reach``.

    ``units``: what is kept or freed as one (default: each feature).  ``known`` (k, n):
    inputs worth trying as violators, such as those of an input near by.
    """
    begun = time.monotonic()
    settings = SufficientSettings() if settings is None else settings
    question = feature_question(
        network, point, reach, within=settings.within, units=units, device=settings.device
    )
    inquiry = Inquiry(
        question=question,
        pool=Changes(question),
        deadline=Deadline.after(settings.budget),
        each=settings.each,
        ledger=ledger,
        seed=settings.seed,
    )
    if known is not None:
        inquiry.pool.add(_near(question, numbers("known violators", known)))
    found = _search(inquiry)
    hitting = 0
    if settings.lower:
        found, hitting = _by_hitting(inquiry, found)
    counting = None
    if settings.lower and hitting < (~found.free).sum():
        found, counting = _by_counting(inquiry, found)
    claim = question.claim(found.free)
    limit = Deadline.after(max(FINAL * inquiry.deadline.left, FINAL * settings.budget))
    verdict = inquiry.put(claim, limit, exact=settings.exact)
    other = None
    if settings.contrast is not None:
        limit = Deadline.after(settings.each)
        other = contrastive_set(question, settings.contrast, limit, seed=settings.seed)
    wide = None
    if settings.intervals and question.units.plain and verdict.is_proved:
        wide = widened(inquiry, found.free, exact=settings.exact)
    most = question.units.count if counting is None else counting.most
    return SufficientFeatures(
        question=question,
        kept=_ordered(question, found),
        claim=claim,
        verdict=verdict,
        needed=found,
        least=max(hitting, question.units.count - most),
        counting=counting,
        widened=wide,
        contrast=other,
        proofs=inquiry.proofs,
        seconds=time.monotonic() - begun,
    )


def feature_question(
    network: Network,
    point: ArrayLike,
    reach: Box,
    *,
    within: float | None = None,
    units: Units | None = None,
    device: str = "cpu",
) -> FeatureQuestion:
    """The question, with its arguments checked."""
    require_kind("network", network, Network, fix="load(model) gives one")
    require_kind("reach", reach, Box, fix="Box.ball(x, 0.05, Box.uniform(n, 0, 1)), for example")
    x = numbers("point", point).reshape(-1)
    if x.size != network.input_size or not np.isfinite(x).all():
        raise QueryError(
            f"point for {network.origin}",
            expected=f"{network.input_size} finite numbers",
            got=f"{x.size} numbers",
        )
    if within is None:
        network = network.logits
    units = Units.single(x.size) if units is None else require_kind("units", units, Units)
    if units.owner.size != x.size:
        raise QueryError("units", expected=f"{x.size} features", got=str(units.owner.size))
    value = outputs(network, x.reshape(1, *network.input_shape))
    if within is None:
        label = int(network.classes.predicted(value)[0])
        property_ = Property.of_class(label, network)
        if not property_.holds(value)[0]:
            raise QueryError(
                "the input's class",
                expected="one class ahead of all others",
                got="a tie",
                fix="Nothing suffices for a tie; choose another input",
            )
    else:
        property_ = _near_outputs(value[0], number("within", within))
    return FeatureQuestion(
        network=network, x=x, property=property_, reach=reach, units=units, device=device
    )


def _near_outputs(value: Array, t: float) -> Property:
    if not 0 < t < np.inf:
        raise QueryError("within", expected="a number above 0", got=f"{t:g}")
    parts = [Property.between(k, float(y - t), float(y + t)) for k, y in enumerate(value)]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined & part
    return joined


def _near(question: FeatureQuestion, points: Array) -> Array:
    """Points given for another input, moved into the domain of this one."""
    flat = points.reshape(-1, question.x.size)
    return np.clip(flat, question.reach.lower, question.reach.upper)


def _search(inquiry: Inquiry) -> Minimised:
    with inquiry.within(BOUNDS):
        free = freed_by_bounds(inquiry)
    with inquiry.within(PROOF):
        free = freed_by_proof(inquiry, free)
    with inquiry.within(SINGLE):
        return minimised(inquiry, free)


def _by_hitting(inquiry: Inquiry, found: Minimised) -> tuple[Minimised, int]:
    """How small a set could be, by violators; with a smaller set if one is met."""
    kept = int((~found.free).sum())
    if not kept:
        return found, 0
    with inquiry.within(HITTING):
        hitting = hitting_bound(inquiry, kept)
    if hitting.free is not None:
        with inquiry.within(SINGLE):
            found = minimised(inquiry, hitting.free)
    return found, hitting.bound


def _by_counting(inquiry: Inquiry, found: Minimised) -> tuple[Minimised, Counting]:
    """How many units can be free, by claims about all sets; with a larger set if one is met."""
    counting = counting_bound(inquiry, found.free)
    if counting.free.sum() > found.free.sum():
        found = minimised(inquiry, counting.free)
    return found, counting


def _ordered(question: FeatureQuestion, found: Minimised) -> tuple[int, ...]:
    """The kept units, those first that would take most of the scarcest margin."""
    corners = worst_corners(question, found.free)
    share = weight(corners.room, corners.cost)
    order = np.argsort(-share, kind="stable")
    return tuple(int(unit) for unit in order if not found.free[unit])
