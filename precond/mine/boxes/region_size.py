"""How large a pattern's region is, and several boxes inside it.

``region_share`` counts uniform points of the domain that satisfy the pattern, with Wilson's
95 % interval.  A small region would be hit by none, so where the pattern is closed and the
inputs are few, points are drawn from the smallest box around its polytope instead, which two
linear programs for each input give; the share is then of that box, and times its volume
relative to the domain's.

``union_of_boxes`` covers more of a region than one box can: further boxes grow from further
inputs that satisfy the pattern and lie in no earlier box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from precond.errors import QueryError
from precond.mine.boxes.largest_box import underapproximation_box
from precond.mine.support import wilson
from precond.network.graph import Network
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.polytope import polytope
from precond.region.recording import record

Array = NDArray[np.float64]
FEW = 32  # inputs, up to which the box around a polytope is computed
BATCH = 20_000


@dataclass(frozen=True)
class VolumeShare:
    """A region's volume as a share of the domain's: ``value`` in [``low``, ``high``] (95 %).

    ``hits`` of ``samples`` points, drawn from a part of the domain of relative volume ``part``.
    """

    hits: int
    samples: int
    part: float = 1.0

    @property
    def value(self) -> float:
        return self.part * self.hits / self.samples

    @property
    def low(self) -> float:
        return self.part * wilson(self.hits, self.samples)[0]

    @property
    def high(self) -> float:
        return self.part * wilson(self.hits, self.samples)[1]


def region_share(
    network: Network,
    pattern: DecisionPattern,
    domain: Box,
    *,
    samples: int = BATCH,
    seed: int = 0,
) -> VolumeShare:
    """The share of ``domain`` (of its inputs that vary) in which ``pattern`` holds."""
    if samples < 1:
        raise QueryError("volume estimate", expected="at least one sample", got=str(samples))
    box = bounding_box(network, pattern, domain)
    rng = np.random.default_rng(seed)
    hits = 0
    for start in range(0, samples, BATCH):
        points = box.sample(min(BATCH, samples - start), rng)
        hits += int(pattern.holds(record(network, points)).sum())
    return VolumeShare(hits, samples, relative_volume(box, domain))


def relative_volume(box: Box, domain: Box) -> float:
    """The volume of ``box`` in units of ``domain``'s, over the inputs that vary in it."""
    varies = domain.width > 0
    ratios = box.width[varies] / domain.width[varies]
    return float(np.exp(np.log(np.maximum(ratios, 1e-300)).sum())) if varies.any() else 1.0


def bounding_box(network: Network, pattern: DecisionPattern, domain: Box) -> Box:
    """A box around ``pattern`` ∩ ``domain``: the smallest, for closed patterns over few inputs,
    a little wider for the solver's tolerance; else ``domain``."""
    if domain.size > FEW or not len(pattern) or not pattern.is_closed(network):
        return domain
    region = polytope(network, pattern)
    scale = np.maximum(np.abs(region.matrix).max(axis=1), 1e-12)
    rows, limits = region.matrix / scale[:, None], region.bound / scale
    lower, upper = domain.lower.copy(), domain.upper.copy()
    bounds = np.stack([lower, upper], axis=1)
    for index in range(domain.size):
        for sign, corner in ((1.0, lower), (-1.0, upper)):
            cost = np.zeros(domain.size)
            cost[index] = sign
            solved = linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs")
            if solved.x is not None:
                slack = 1e-6 * domain.width[index] + 1e-12
                corner[index] = solved.x[index] - sign * slack
    lower, upper = np.maximum(lower, domain.lower), np.minimum(upper, domain.upper)
    return Box(np.minimum(lower, upper), np.maximum(lower, upper))


def union_of_boxes(
    network: Network,
    pattern: DecisionPattern,
    points: ArrayLike,
    domain: Box,
    *,
    most: int = 5,
) -> tuple[Box, ...]:
    """At most ``most`` boxes inside ``pattern`` ∩ ``domain``, whose union holds as many of
    ``points`` (N, n) as they reach; each is grown from the first point that no earlier box holds.

    Points outside the region are passed over, as are those on its border, where no box fits.
    QueryError if the pattern is not closed.
    """
    rows = np.asarray(points, dtype=np.float64)
    rows = rows.reshape(len(rows), -1)
    rows = rows[domain.contains(rows)]
    rows = rows[pattern.holds(record(network, rows))] if len(rows) else rows
    boxes: list[Box] = []
    polytope(network, pattern)  # QueryError where it is not closed
    while len(rows) and len(boxes) < most:
        try:
            box = underapproximation_box(network, pattern, rows[0], domain=domain)
        except QueryError:  # within rounding of the border
            rows = rows[1:]
            continue
        boxes.append(box)
        rows = rows[1:][~box.contains(rows[1:])]
    return tuple(boxes)


def union_share(
    boxes: Sequence[Box], domain: Box, *, samples: int = BATCH, seed: int = 0
) -> VolumeShare:
    """The share of ``domain`` that the boxes cover together.

    Points are drawn from the boxes in proportion to their volumes and count where the box
    drawn from is the first that holds them (Karp and Luby 1983).
    """
    if not boxes:
        return VolumeShare(0, samples)
    volumes = np.array([relative_volume(box, domain) for box in boxes])
    total = float(volumes.sum())
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(boxes), size=samples, p=volumes / total)
    hits = 0
    for index, box in enumerate(boxes):
        points = box.sample(int((chosen == index).sum()), rng)
        earlier = [other.contains(points) for other in boxes[:index]]
        hits += len(points) - int(np.logical_or.reduce(earlier).sum() if earlier else 0)
    return VolumeShare(hits, samples, total)
